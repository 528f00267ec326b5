"""Latency of models that no layer graph describes: predicted from their ONNX files, and measured.

    python benchmarks/latency_strangers.py epyc-onnxruntime [--image-sizes 160 320]

Ultralytics' own families with fresh weights. A profile is of a machine in one state, and this may be another one: so what is compared
is every model's ratio to YOLOv8n's, predicted against measured in the same run.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from machine import describe
from ultralytics.nn.tasks import DetectionModel

from evaluators.formats.onnx import export_onnx
from evaluators.formats.onnx_operators import read_network
from evaluators.latency import LatencyMeter
from evaluators.latency.features import operator_work, work_of
from evaluators.latency.profile import DeviceProfile
from search_spaces import YoloSpace, build_model

REFERENCE = "yolov8n"
MODELS = (REFERENCE, "yolov5n", "yolov8s", "yolov9t", "yolov10n", "yolo11n", "yolo11s", "yolo12n", "yolo26n")


def equal_ones(count: int) -> str:
    """How many random architectures have, by their ONNX files, the work that their layer graphs have."""
    space, equal = YoloSpace(), 0
    within = space.restrict({"image_size": [64, 96, 128, 160]})
    for seed in range(count):
        architecture = space.adopt(within.sample(seed))
        with tempfile.TemporaryDirectory() as folder:
            path = export_onnx(build_model(architecture, 5), Path(folder) / "model.onnx", architecture["image_size"])
            network = read_network(path)
        found = work_of(network.operators, network.image.height * network.image.width)
        equal += bool(np.allclose(found.table, operator_work([architecture], 5).table))
    return f"the work of {equal} of {count} random architectures is the same from their ONNX files as from their layer graphs"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("profile")
    parser.add_argument("--image-sizes", type=int, nargs="+", default=[160, 320])
    parser.add_argument("--classes", type=int, default=80)
    parser.add_argument(
        "--random", type=int, default=30, help="architectures whose files are compared with their graphs"
    )
    arguments = parser.parse_args()
    profile = DeviceProfile.load(arguments.profile)
    meter = LatencyMeter(
        profile.runtime,
        profile.device,
        profile.precision,
        profile.threads,
        profile.num_classes,
        activations=profile.int8,
    )
    print(describe())
    if arguments.random:
        print(equal_ones(arguments.random))
    print(f"profile {profile.name}: {profile.protocol}")
    errors, protocol = [], ""
    for size in arguments.image_sizes:
        rows = {}
        for name in MODELS:
            with tempfile.TemporaryDirectory() as folder:
                model = DetectionModel(f"{name}.yaml", nc=arguments.classes, verbose=False)
                path = export_onnx(model, Path(folder) / "model.onnx", size)
                network = read_network(path)
                measured = meter.measure_file(path, size)
            rows[name] = profile.predict_network(network), measured, network
            protocol = measured.protocol
        (reference, *_), of_reference, _ = rows[REFERENCE]
        for name, ((value, low, high), measured, network) in rows.items():
            predicted, found = value / reference, measured.median_ms / of_reference.median_ms
            if name != REFERENCE:
                errors.append(predicted / found - 1)
            print(
                f"{size} px {name:9s} {network.macs / 1e6:7,.0f} MMACs: predicted {value:6.2f} ms ({low:.2f} to {high:.2f}), measured "
                f"{measured.median_ms:6.2f} ms (quartiles {measured.q25_ms:.2f} to {measured.q75_ms:.2f}); to {REFERENCE} {predicted:.3f} "
                f"and {found:.3f} ({100 * (predicted / found - 1):+.0f}%)"
                + (" disturbed" if measured.disturbed else ""),
                flush=True,
            )
    size = np.abs(errors)
    print(f"measured: {protocol}")
    print(
        f"ratios to {REFERENCE}: {100 * np.mean(size <= 0.1):.0f}% of {len(size)} within 10%, median error {100 * np.median(size):.1f}%, "
        f"largest {100 * size.max():.0f}%"
    )


if __name__ == "__main__":
    main()
