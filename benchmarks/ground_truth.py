"""Ground truth: many architectures trained on one dataset with one schedule, some with several seeds, in one table.

    python benchmarks/ground_truth.py digits [--workers 2]
    python benchmarks/ground_truth.py bccd --data ../shared/data/bccd [--workers 2]
    python benchmarks/ground_truth.py choices [--workers 2]          # and choices-long

What is trained is random within bands of MACs, with plain scalings of YOLOv8 and presets among it; `choices` are YOLOv8n with one choice
changed, or a few that belong together, and `choices-long` some of them for five times as long. Rows are added to
results/ground-truth/NAME.csv as trainings end, and what it holds is not trained again: stop it and start it as you like. Beside it,
NAME.json says how. `seconds` are of the processor, whatever else the machine did. With --report it only prints what the table says:
spread over architectures against spread over seeds, and how well a part of the schedule tells the order at its end.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from machine import describe

from evaluators import complexity
from evaluators.data.digits import DigitsSettings, digits_yaml
from search_spaces import Architecture, YoloSpace
from search_spaces.families.yolov8 import SCALINGS, YOLOV8N

TABLES = Path(__file__).resolve().parent.parent / "results" / "ground-truth"
WIDTHS = ("1/16", "1/8", "3/16", "1/4", "3/8")  # of YOLOv8, times these
REPEATED, SEEDS = 15, 3
FIRST = 5  # of the repeated ones, which are trained twice before all others
PER_BAND = 8
PRESETS = ("csppc", "csppc-adown", "hwd-backbone", "adown", "afpn-p3-p5", "csppc-adown-afpn", "light-recipe")


@dataclass(frozen=True)
class Stick:
    """A dataset and a schedule.

    Attributes:
        bands: bounds of MACs per image between which random architectures are drawn.
        scalings: (width multiple, depth multiple, image size) of plain YOLOv8s.
        preset_size: image size of the presets, in pixels.
    """

    epochs: int
    rungs: tuple[int, ...]
    batch: int
    image_sizes: tuple[int, ...]
    bands: tuple[float, ...]
    scalings: tuple[tuple[str, str, int], ...]
    preset_size: int
    data: str = "digits"
    variants: tuple[str, ...] = ()
    seeds: int = 1


N, SHALLOW, DEEP = "1/3", "1/6", "1/2"  # depth multiples; the first is YOLOv8n's
STICKS = {
    "digits": Stick(
        epochs=12,
        rungs=(1, 3, 6, 12),
        batch=8,
        image_sizes=(64, 96, 128),
        bands=(6e6, 12e6, 22e6, 36e6, 55e6, 80e6, 120e6),
        scalings=(
            *((width, N, 96) for width in ("1/16", "1/8", "3/16", "1/4")),
            *((width, N, 64) for width in ("1/8", "3/16", "1/4", "3/8")),
            *((width, N, 128) for width in ("1/16", "1/8", "3/16")),
            ("1/8", DEEP, 96),
            ("1/4", SHALLOW, 96),
        ),
        preset_size=96,
    ),
    "bccd": Stick(
        epochs=25,
        rungs=(2, 6, 12, 25),
        batch=8,
        image_sizes=(96, 128, 160),
        bands=(8e6, 16e6, 28e6, 45e6, 65e6, 90e6, 130e6),
        scalings=(
            *((width, N, 128) for width in ("1/16", "1/8", "3/16")),
            *((width, N, 96) for width in ("1/16", "1/8", "3/16", "1/4")),
            *((width, N, 160) for width in ("1/16", "1/8")),
            ("1/8", DEEP, 128),
            ("1/4", SHALLOW, 96),
        ),
        preset_size=96,
        data="bccd",
    ),
}
PART = ("p2", "p3", "p4", "p5")
VARIANTS = {  # name -> (preset, what is changed of it)
    "yolov8n": ("yolov8n", {}),
    "C3k2": ("yolov8n", {f"{part}_block": "C3k2" for part in (*PART, "pan_p4", "pan_p3", "pan_n4", "pan_n5")}),
    "CSPPC": ("csppc", {}),
    "CSPPC in the backbone": ("csppc-backbone", {}),
    "ADown": ("adown", {}),
    "HWD": ("hwd-backbone", {}),
    "depths 1": ("yolov8n", {"p3_depth": 1, "p4_depth": 1}),
    "depths 3": ("yolov8n", {"p3_depth": 3, "p4_depth": 3}),
    "P2 stage of 16 channels": ("yolov8n", {"p2_width": 16}),
    "neck of half the width": (
        "yolov8n",
        {"pan_p4_width": 64, "pan_p3_width": 32, "pan_n4_width": 64, "pan_n5_width": 128},
    ),
    "one bin": ("yolov8n", {"head_reg_max": 1}),
    "depthwise class branch": ("yolov8n", {"head_class_branch": "depthwise"}),
    "64 px": ("yolov8n", {"image_size": 64}),
    "128 px": ("yolov8n", {"image_size": 128}),
    "AFPN /8": ("afpn-p3-p5", {}),
    "AFPN /8, 1 residual block": ("afpn-p3-p5", {"afpn_depth": 1}),
    "AFPN /4": ("afpn-p3-p5", {"afpn_reduction": 4}),
    "AFPN /2": ("afpn-p3-p5", {"afpn_reduction": 2}),
    "AFPN /2, 1 residual block": ("afpn-p3-p5", {"afpn_reduction": 2, "afpn_depth": 1}),
    "AFPN /2, 1 residual block, 64 wide": ("afpn-p3-p5", {"afpn_reduction": 2, "afpn_depth": 1, "afpn_width": 64}),
    "AFPN /2, 1 residual block, with P2": ("afpn-p2-p5", {"afpn_reduction": 2, "afpn_depth": 1}),
    "light recipe": ("light-recipe", {}),
    "light recipe, AFPN /2, 1 residual block": ("light-recipe", {"afpn_reduction": 2, "afpn_depth": 1}),
}
LONG = ("yolov8n", "CSPPC", "HWD", "one bin", "AFPN /8", "AFPN /2, 1 residual block", "light recipe")
STICKS["choices"] = Stick(12, (3, 6, 12), 8, (), (), (), 96, variants=tuple(VARIANTS), seeds=2)
STICKS["choices-long"] = Stick(60, (12, 30, 60), 8, (), (), (), 96, variants=LONG)
COLUMNS = ("params", "macs", "peak_activation_bytes")


def dataset_of(name: str, data: str | None) -> str:
    if STICKS[name].data == "digits":
        return str(digits_yaml(DigitsSettings(train=600, val=200)))
    if data is None:
        sys.exit("--data: the folder of BCCD (Shenggan/BCCD_Dataset on GitHub, Pascal VOC XML)")
    return data


def plan(stick: Stick, num_classes: int) -> list[tuple[str, Architecture, int]]:
    """(name, architecture, seed) in the order of training: a few twice, so that the noise is known early, then all once."""
    space = YoloSpace()
    if stick.variants:
        given = [(name, *VARIANTS[name]) for name in stick.variants]
        made = [(n, space.preset(preset, **{"image_size": stick.preset_size, **new})) for n, preset, new in given]
        return [(*each, seed) for seed in range(stick.seeds) for each in made]
    chosen = []
    for width, depth, size in stick.scalings:
        values = {**YOLOV8N, **SCALINGS[f"w{width} d{depth}"], "image_size": size}
        chosen.append((f"yolov8 w{width} d{depth}", space.architecture(**values)))
    chosen += [(name, space.preset(name, image_size=stick.preset_size)) for name in PRESETS]
    within = space.restrict({"image_size": list(stick.image_sizes)})
    rng = np.random.default_rng(0)
    pool = [space.adopt(within.sample(rng)) for _ in range(6000)]
    macs = complexity(pool, num_classes).macs
    for low, high in itertools.pairwise(stick.bands):
        found = np.flatnonzero((macs >= low) & (macs < high))[:PER_BAND]
        chosen += [("", pool[i]) for i in found]
    order = np.random.default_rng(1).permutation(len(chosen))
    chosen = [chosen[i] for i in order]
    first = [(*each, seed) for each in chosen[:FIRST] for seed in range(2)]
    every = [(*each, 0) for each in chosen[FIRST:]]
    again = [(*each, seed) for seed in range(1, SEEDS) for each in chosen[:REPEATED]]
    return [*first, *every, *(each for each in again if each not in first)]


def evaluate(name: str, data: str, values: dict, seed: int) -> dict:
    import torch

    from evaluators.detector import DetectorEvaluator

    torch.set_num_threads(1)
    stick, architecture = STICKS[name], YoloSpace().architecture(**values)
    evaluator = DetectorEvaluator(data, stick.epochs, batch=stick.batch, seed=seed, rungs=stick.rungs)
    row: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as directory:
        evaluator.prepare(Path(directory))
        evaluator.setup()
        started = time.process_time()
        for rung in stick.rungs:
            metrics = evaluator.evaluate(architecture, Path(directory), rung)
            row[f"map50_95@{rung}"] = metrics["map50_95"]
        row["train_seconds"] = time.process_time() - started
    costs = complexity([architecture], evaluator.num_classes)
    return {
        "map50_95": metrics["map50_95"],
        "map50": metrics["map50"],
        **row,
        **{column: int(getattr(costs, column)[0]) for column in COLUMNS},
    }


def run(name: str, data: str, workers: int, table: Path) -> None:
    from evaluators.data import load_dataset

    stick, dataset = STICKS[name], load_dataset(data)
    table.parent.mkdir(parents=True, exist_ok=True)
    about = {"data": stick.data, "num_classes": dataset.num_classes, "train_images": len(dataset.train)}
    about |= {
        "val_images": len(dataset.val),
        **{k: v for k, v in asdict(stick).items() if k != "data"},
        "machine": describe(),
    }
    table.with_suffix(".json").write_text(json.dumps(about, indent=1) + "\n")
    done = {(row["key"], row["seed"]) for row in read(table)}
    jobs = plan(stick, dataset.num_classes)
    todo = [job for job in jobs if (job[1].key, str(job[2])) not in done]
    running: list[tuple[subprocess.Popen, tuple[str, Architecture, int]]] = []
    started, ended = time.time(), 0
    while todo or running:
        while todo and len(running) < workers:
            job = todo.pop(0)
            given = json.dumps([job[1].to_dict(), job[2]])
            command = [sys.executable, __file__, name, "--data", data, "--one", given]
            environment = {**os.environ, "OMP_NUM_THREADS": "1"}
            process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
            running.append((process, job))
        time.sleep(0.5)
        for process, job in [each for each in running if each[0].poll() is not None]:
            running.remove((process, job))
            if process.returncode:
                sys.exit(f"{job[1].key}, seed {job[2]}, failed")
            row = json.loads(process.stdout.read().splitlines()[-1])
            add(
                table,
                {
                    "key": job[1].key,
                    "name": job[0],
                    "seed": job[2],
                    **row,
                    "architecture": json.dumps(job[1].to_dict()),
                },
            )
            ended += 1
            left = (len(todo) + len(running)) * (time.time() - started) / ended / 60
            print(
                f"{len(jobs) - len(todo) - len(running)}/{len(jobs)} {job[1].key} {job[0]} seed {job[2]}: map50_95 "
                f"{row['map50_95']:.3f}, {row['macs'] / 1e6:.0f} MMACs, {row['train_seconds']:.0f} s; {left:.0f} min left",
                flush=True,
            )


def add(table: Path, row: dict) -> None:
    new = not table.exists()
    with open(table, "a", newline="") as stream:
        writer = csv.DictWriter(stream, row.keys())
        if new:
            writer.writeheader()
        writer.writerow(row)


def read(table: Path) -> list[dict]:
    if not table.exists():
        return []
    with open(table, newline="") as stream:
        return list(csv.DictReader(stream))


def report(name: str, table: Path) -> None:
    from scipy.stats import kendalltau

    rows, stick = read(table), STICKS[name]
    if stick.variants:
        compare(rows, stick)
        return
    about = json.loads(table.with_suffix(".json").read_text())
    print(describe())
    print(
        f"{name}: {about['train_images']} training images, {about['val_images']} for validation, {stick.epochs} epochs, "
        f"batch {stick.batch}; {len(rows)} trainings"
    )
    final = f"map50_95@{stick.epochs}"
    by_key: dict[str, list[dict]] = {}
    for row in rows:
        by_key.setdefault(row["key"], []).append(row)
    first = [group[0] for group in by_key.values()]
    accuracy = np.array([float(row["map50_95"]) for row in first])
    groups = [np.array([float(r["map50_95"]) for r in group]) for group in by_key.values() if len(group) > 1]
    degrees = sum(len(group) - 1 for group in groups)
    noise = (sum(((group - group.mean()) ** 2).sum() for group in groups) / degrees) ** 0.5
    print(
        f"{len(first)} architectures: map50_95 {accuracy.min():.3f} to {accuracy.max():.3f}, standard deviation {accuracy.std(ddof=1):.3f}"
    )
    print(
        f"over seeds: standard deviation {noise:.4f} ({len(groups)} architectures, {degrees} degrees of freedom); ratio {accuracy.std(ddof=1) / noise:.1f}"
    )
    pairs = [group[:2] for group in groups]
    tau = kendalltau(*np.array(pairs).T).statistic
    print(f"Kendall's tau of one seed against another: {tau:.3f} ({len(pairs)} architectures)")
    print(f"tau with log MACs: {kendalltau(accuracy, [float(row['macs']) for row in first]).statistic:.3f}")
    for rung in stick.rungs[:-1]:
        early = [float(row[f"map50_95@{rung}"]) for row in first]
        late = [float(row[final]) for row in first]
        print(
            f"tau of {rung} of {stick.epochs} epochs ({100 * rung / stick.epochs:.0f}%) with all: {kendalltau(early, late).statistic:.3f}"
        )
    print(f"training: {sum(float(row['train_seconds']) for row in rows) / 3600:.1f} processor hours")


def compare(rows: list[dict], stick: Stick) -> None:
    print(describe())
    print(f"YOLOv8n with a choice changed; {stick.epochs} epochs; map50_95 of each seed, and of a part of the schedule")
    for name in stick.variants:
        own = [row for row in rows if row["name"] == name]
        if not own:
            continue
        early = " ".join(f"{np.mean([float(r[f'map50_95@{rung}']) for r in own]):.3f}" for rung in stick.rungs[:-1])
        last = " ".join(f"{float(row['map50_95']):.3f}" for row in own)
        mega, params = float(own[0]["macs"]) / 1e6, int(own[0]["params"])
        print(f"{name:42s} {last:12s} | {early} | {mega:5.0f} MMACs, {params:9,} parameters")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=STICKS)
    parser.add_argument("--data", help="of bccd: its folder")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--report", action="store_true")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    table = TABLES / f"{arguments.name}.csv"
    if arguments.report:
        report(arguments.name, table)
        return
    data = dataset_of(arguments.name, arguments.data)
    if arguments.one:
        values, seed = json.loads(arguments.one)
        print(json.dumps(evaluate(arguments.name, data, values, seed)))
    else:
        run(arguments.name, data, arguments.workers, table)


if __name__ == "__main__":
    main()
