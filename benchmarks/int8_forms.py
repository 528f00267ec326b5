"""Forms of INT8 against FP32, in ONNX Runtime and OpenVINO: latency, mAP, and how far the outputs are from those of FP32.

    python benchmarks/int8_forms.py > results/latency/int8-forms.txt

Each network is trained on the built-in digits as a search does it, exported once, and quantised in every form with the same 32
training images. All files are timed in turns, one thread, and their latencies are given as ratios to that of FP32 in ONNX Runtime
in the same turn, so that a slow phase of the machine takes all of them alike.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from pathlib import Path

import machine
import numpy as np

from evaluators.accuracy.coco import score_detections
from evaluators.accuracy.detections import SessionPredictor, detect
from evaluators.data import Dataset, calibration_images, coco_ground_truth, load_dataset
from evaluators.formats.int8 import quantise_onnx, resized
from evaluators.formats.onnx import export_onnx
from evaluators.latency import agent
from evaluators.runtimes import Session, open_session
from evaluators.training import Fidelity, load_checkpoint, train
from search_spaces import YoloSpace

RUNTIMES = ("onnxruntime", "openvino")
TURNS, RUNS = 60, 4
COMPARED = 16  # validation images whose outputs are compared


def files_of(preset: str, size: int, dataset: Dataset, epochs: int, folder: Path) -> dict[str, Path]:
    """Form -> file, "FP32" first."""
    architecture = YoloSpace().preset(preset, image_size=size)
    model = load_checkpoint(train(architecture, dataset, Fidelity(epochs), folder, batch=4).checkpoint)
    files = {"FP32": export_onnx(model, folder / "fp32.onnx", size)}
    images = resized(calibration_images(dataset, 32, size), size)
    for form in agent.ACTIVATIONS:
        files[form] = Path(shutil.copyfile(files["FP32"], folder / f"{form}.onnx"))
        quantise_onnx(files[form], images, form)
    return files


def ratios(sessions: dict[tuple[str, str], Session]) -> dict[tuple[str, str], np.ndarray]:
    """(ratio to the first one, quartiles included; and its own ms) of every session, taken in turns."""
    times: dict[tuple[str, str], list[float]] = {key: [] for key in sessions}
    for _ in range(TURNS):
        for key, session in sessions.items():
            session.run()
            began = time.perf_counter()
            for _ in range(RUNS):
                session.run()
            times[key].append(1000 * (time.perf_counter() - began) / RUNS)
    first = np.array(next(iter(times.values())))
    return {key: np.array([*np.percentile(t / first, (25, 50, 75)), np.percentile(t, 25)]) for key, t in times.items()}


def outputs(session: Session, images: np.ndarray) -> np.ndarray:
    return np.concatenate([session.infer(image[None]) for image in images])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--networks", nargs="+", default=["yolov8-w1/8:96", "yolov8n:192"], help="PRESET:PIXELS")
    args = parser.parse_args()
    dataset = load_dataset("digits")
    truth = coco_ground_truth(dataset)
    print(machine.describe())
    print(f"form that suits this machine: {agent.suiting_activations()}; one thread; digits, {args.epochs} epochs")
    print(f"ratios are to FP32 in ONNX Runtime, medians of {TURNS} turns with quartiles; differences are means over "
          f"{COMPARED} images, of boxes in pixels and of scores")  # fmt: skip
    for network in args.networks:
        preset, _, pixels = network.rpartition(":")
        size = int(pixels)
        print(f"\n{preset} at {size} px")
        print(f"{'runtime':12}{'form':18}{'ratio':>7}  {'quartiles':13}{'ms':>7}{'mAP':>8}{'boxes':>9}{'scores':>9}")
        with tempfile.TemporaryDirectory() as folder:
            files = files_of(preset, size, dataset, args.epochs, Path(folder))
            sessions = {
                (runtime, form): open_session(
                    runtime, str(path), (1, 3, size, size), 1, "cpu", "FP32" if form == "FP32" else "INT8"
                )
                for runtime in RUNTIMES
                for form, path in files.items()
            }
            images = resized(calibration_images(dataset, COMPARED, size), size)
            exact = outputs(sessions["onnxruntime", "FP32"], images)
            for (runtime, form), (low, ratio, high, ms) in ratios(sessions).items():
                session = sessions[runtime, form]
                found = detect(SessionPredictor(session, size), dataset.val, size)
                accuracy = score_detections(truth, found)["map50_95"]
                off = np.abs(outputs(session, images) - exact)
                print(
                    f"{runtime:12}{form:18}{ratio:7.2f}  {low:.2f} to {high:.2f} {ms:7.2f}{accuracy:8.3f}"
                    f"{off[:, :4].mean():9.3f}{off[:, 4:].mean():9.4f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
