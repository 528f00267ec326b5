"""Trainings in every precision, the same seed twice, two trainings at once, and latency, on one GPU: one table.

Each training is a process of its own, as in a search; nothing of Ray is imported. What cannot be done is a row that says why.

    benchmarks/gpu.sh [OUTPUT]
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

# module -> what brings it
NEEDED = {
    "torch": "torch", "torchvision": "torchvision", "ultralytics": "ultralytics", "thop": "ultralytics-thop", "polars": "polars",
    "cv2": "opencv-python-headless", "pycocotools": "pycocotools", "pydantic": "pydantic", "yaml": "pyyaml",
    "sklearn": "scikit-learn", "scipy": "scipy", "filelock": "filelock", "onnx": "onnx", "onnxruntime": "onnxruntime",
    "matplotlib": "matplotlib", "requests": "requests", "psutil": "psutil",
}  # fmt: skip
PRECISIONS = ("bf16", "fp16", "fp32")
COLUMNS = "{:<34}{:>9}{:>10}{:>9}{:>9}  {}"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path, help="file that the table is written to")
    parser.add_argument("--device", default="0", help="cpu, or a CUDA device")
    parser.add_argument("--preset", default="yolov8n")
    parser.add_argument("--size", type=int, default=320, help="pixels")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--train", type=int, default=400, help="scenes to train on")
    parser.add_argument("--val", type=int, default=100, help="scenes to judge on")
    parser.add_argument(
        "--seconds", type=float, default=450, help="nothing is begun after so long, and what runs is ended"
    )
    parser.add_argument("--one", metavar="PRECISION", help="train once, in FOLDER, and print what came out as JSON")
    parser.add_argument("--folder", type=Path)
    return parser.parse_args()


def scenes(args: argparse.Namespace) -> Any:
    from evaluators.data import load_dataset
    from evaluators.data.digits import DigitsSettings, digits_yaml

    edges = {"smallest": args.size // 4, "largest": args.size // 2}
    return load_dataset(str(digits_yaml(DigitsSettings(image_size=args.size, train=args.train, val=args.val, **edges))))


def train_one(args: argparse.Namespace) -> dict[str, Any]:
    """A training in this process: what it took, and how accurate the checkpoint is."""
    import torch

    from evaluators.accuracy import coco_map
    from evaluators.accuracy.detections import open_predictor
    from evaluators.training import Fidelity, precision_on, train
    from search_spaces import YoloSpace

    data, architecture = scenes(args), YoloSpace().preset(args.preset, image_size=args.size)
    precision = precision_on(args.device, args.one)
    fidelity = Fidelity(args.epochs)
    result = train(architecture, data, fidelity, args.folder, device=args.device, amp=args.one, batch=args.batch)
    accuracy = coco_map(open_predictor(result.checkpoint, device=args.device, image_size=args.size), data)
    return {
        "precision": precision,
        "seconds": result.metrics["train_seconds"],
        "map50_95": accuracy["map50_95"],
        "gib": torch.cuda.max_memory_reserved() / 2**30 if args.device != "cpu" else None,
        "checkpoint": str(result.checkpoint),
    }


def begin(args: argparse.Namespace, precision: str, folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, __file__, *sys.argv[1:], "--one", precision, "--folder", str(folder)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def outcome(process: subprocess.Popen[str], deadline: float) -> dict[str, Any]:
    """What a training printed, or {"failed": why}."""
    try:
        output, errors = process.communicate(timeout=max(1.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return {"failed": "the time was up"}
    if process.returncode:
        return {"failed": re.sub(r"^[\w.]+: ", "", (errors.strip().splitlines() or ["no reason"])[-1])}
    return json.loads(output.splitlines()[-1])


class Table:
    """The rows, shown as they come."""

    def __init__(self, *heading: str) -> None:
        self.lines = list(heading)
        self.add("what", "precision", "mAP50-95", "seconds", "GiB", "")

    def add(self, *cells: str) -> None:
        self.lines.append(COLUMNS.format(*cells).rstrip())

    def training(self, what: str, asked: str, found: dict[str, Any], note: str = "") -> None:
        if "failed" in found:
            self.add(what, asked, "-", "-", "-", found["failed"])
            return
        memory = "-" if found["gib"] is None else f"{found['gib']:.2f}"
        self.add(what, found["precision"], f"{found['map50_95']:.4f}", f"{found['seconds']:.1f}", memory, note)


def trainings(args: argparse.Namespace, table: Table, folder: Path, deadline: float) -> None:
    alone = {}
    for precision in PRECISIONS:
        alone[precision] = outcome(begin(args, precision, folder / precision), deadline)
        table.training("training", precision, alone[precision])
    first = next((found for found in alone.values() if "failed" not in found), None)
    if first is None:
        return
    usual = first["precision"]
    again = outcome(begin(args, usual, folder / "again"), deadline)
    table.training("the same seed again", usual, again, difference(first, again))
    pair = [begin(args, usual, folder / f"shared-{number}") for number in (1, 2)]
    for number, process in enumerate(pair, start=1):
        found = outcome(process, deadline)
        times = "" if "failed" in found else f"{found['seconds'] / first['seconds']:.2f} times as long as alone"
        table.training(f"two at once, number {number}", usual, found, times)


def difference(first: dict[str, Any], second: dict[str, Any]) -> str:
    """How far two trainings of one seed are apart."""
    if "failed" in second:
        return ""
    import torch

    from evaluators.training import load_checkpoint

    states = [load_checkpoint(found["checkpoint"]).state_dict() for found in (first, second)]
    largest = max(float((a.float() - states[1][name].float()).abs().max()) for name, a in states[0].items())
    same = all(torch.equal(a, states[1][name]) for name, a in states[0].items())
    accuracy = abs(first["map50_95"] - second["map50_95"])
    return "the same weights" if same else f"weights differ by up to {largest:.2g}, mAP by {accuracy:.4f}"


def latencies(args: argparse.Namespace, table: Table, deadline: float) -> None:
    from evaluators import EvaluationError
    from evaluators.latency import LatencyMeter
    from search_spaces import InputError, YoloSpace, build_model

    on = "cpu" if args.device == "cpu" else "cuda"
    model = build_model(YoloSpace().preset(args.preset, image_size=args.size))
    for runtime, precision in (("pytorch", "FP32"), ("pytorch", "FP16"), ("onnxruntime", "FP32")):
        what = f"latency, {runtime} on {on}"
        if time.monotonic() > deadline:
            table.add(what, precision, "-", "-", "-", "the time was up")
            continue
        try:
            found = LatencyMeter(runtime, on, precision).measure(model, args.size)
        except (InputError, EvaluationError) as error:
            table.add(what, precision, "-", "-", "-", str(error))
            continue
        quartiles = f"quartiles {found.q25_ms:.3f} to {found.q75_ms:.3f}"
        table.add(what, precision, "-", "-", "-", f"{found.median_ms:.3f} ms, {quartiles}, {found.runtime}")


def main() -> int:
    args = arguments()
    missing = [name for module, name in NEEDED.items() if find_spec(module) is None]
    if missing:
        print(f"missing here: {' '.join(missing)}", file=sys.stderr)
        return 1
    if args.one:
        print(json.dumps(train_one(args)))
        return 0
    import torch
    from machine import describe

    if args.device != "cpu" and not torch.cuda.is_available():
        print("PyTorch sees no CUDA device here; --device cpu tries everything out without one", file=sys.stderr)
        return 1
    started = time.monotonic()
    card = "CPU" if args.device == "cpu" else torch.cuda.get_device_name()
    table = Table(
        describe(),
        f"{card}, CUDA {torch.version.cuda}; {args.preset} at {args.size} px, {args.epochs} epochs of {args.train} scenes, "
        f"batch {args.batch}; `{' '.join(['benchmarks/gpu.sh', *sys.argv[1:]])}`",
    )
    scenes(args)  # made once, before anything is timed
    with tempfile.TemporaryDirectory() as folder:
        trainings(args, table, Path(folder), started + args.seconds)
        latencies(args, table, started + args.seconds)
    table.lines.append(f"{time.monotonic() - started:.0f} s in all")
    text = "\n".join(table.lines) + "\n"
    args.output.parent.mkdir(parents=True, exist_ok=True)
    args.output.write_text(text, encoding="utf-8")
    print(text, end="")
    loaded = sorted(name for name in sys.modules if name.partition(".")[0] == "ray")
    assert not loaded, loaded
    return 0


if __name__ == "__main__":
    sys.exit(main())
