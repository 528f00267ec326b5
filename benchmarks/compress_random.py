"""Random architectures pruned, quantised and shipped: how many come through, and how far their files are from PyTorch.

    python benchmarks/compress_random.py --count 50

Networks are not trained: their normalisations are stirred, so that outputs are of a usual size. Each is pruned to 0.7 of its channels,
shipped to ONNX, OpenVINO and ncnn, which compares outputs with PyTorch's, and to ONNX in INT8, calibrated on built-in scenes.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from machine import describe

from evaluators.compression.pruning import prune
from evaluators.data import load_dataset
from evaluators.data.digits import DigitsSettings, digits_yaml
from evaluators.formats.onnx import stirred
from nas.delivery.ship import ship
from search_spaces import Architecture, YoloSpace, build_model

FORMATS = ("onnx", "openvino", "ncnn")


def one(architecture: Architecture, dataset, folder: Path) -> tuple[float, dict[str, float]]:
    """Share of the MACs' parameters that pruning left, and the largest difference of every format."""
    size = architecture["image_size"]
    model = stirred(build_model(architecture, dataset.num_classes, dict(enumerate(dataset.names)))).eval()
    found = prune(model, size, ratio=0.3, multiple=4)
    checkpoint = folder / "pruned.pt"
    torch.save({"model": found.network.half(), "train_args": {"imgsz": size}}, checkpoint)
    options = {"with_latency": False, "threads": 1, "say": lambda text: None}
    shipped = ship(checkpoint, FORMATS, folder / "fp32", **options)
    ship(checkpoint, ["onnx"], folder / "int8", precision="INT8", dataset=dataset, **options)
    before, after = (sum(p.numel() for p in network.parameters()) for network in (model, found.network))
    return after / before, {each.kind: each.difference for each in shipped}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--seed", type=int, default=2026)
    arguments = parser.parse_args()
    print(f"# {describe()}", flush=True)
    space = YoloSpace()
    within = space.restrict({"image_size": [64, 96]})
    rng = np.random.default_rng(arguments.seed)
    left: list[float] = []
    worst = dict.fromkeys(FORMATS, 0.0)
    failed = 0
    started = time.process_time()
    with tempfile.TemporaryDirectory() as scratch:
        settings = DigitsSettings(image_size=96, train=32, val=8)
        dataset = load_dataset(digits_yaml(settings, Path(scratch)))
        for i in range(arguments.count):
            architecture = space.adopt(within.sample(rng))
            try:
                with tempfile.TemporaryDirectory() as folder:
                    share, differences = one(architecture, dataset, Path(folder))
            except Exception as error:
                failed += 1
                print(f"{i}: {architecture.key}: {type(error).__name__}: {error}", flush=True)
                continue
            left.append(share)
            worst = {kind: max(worst[kind], differences[kind]) for kind in FORMATS}
    print(
        f"{arguments.count - failed} of {arguments.count} came through, {time.process_time() - started:.0f} s of one core"
    )
    if left:
        print(
            f"parameters that 0.3 of the channels taken out left: median {np.median(left):.2f}, {min(left):.2f} to {max(left):.2f}"
        )
        print("largest difference from PyTorch: " + ", ".join(f"{kind} {value:.1g}" for kind, value in worst.items()))
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
