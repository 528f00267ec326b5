"""Random architectures: costs against the built network and thop, two image sizes, gradients, ONNX outputs.

python benchmarks/random_architectures.py --count 500 --onnx 100
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
import thop
import torch
from machine import describe
from torch import nn
from ultralytics.cfg import get_cfg

from evaluators import complexity
from evaluators.latency import export_onnx, onnx_difference, stirred
from search_spaces import YoloSpace, build_model

CLASSES = 3
FREE = {nn.BatchNorm2d: lambda m, x, y: None, nn.Upsample: lambda m, x, y: None}


def finite_gradients(model) -> bool:
    model.args = get_cfg()
    batch = {
        "img": torch.rand(2, 3, 64, 64),
        "cls": torch.zeros(2, 1),
        "bboxes": torch.tensor([[0.5, 0.5, 0.4, 0.4], [0.4, 0.4, 0.5, 0.5]]),
        "batch_idx": torch.tensor([0.0, 1.0]),
    }
    loss, _ = model.train()(batch)
    loss.sum().backward()
    # the fixed convolution of the DFL is no trainable parameter
    return all(p.grad is not None and p.grad.isfinite().all() for n, p in model.named_parameters() if ".dfl." not in n)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--onnx", type=int, default=100, help="how many of them to export and compare")
    parser.add_argument("--seed", type=int, default=2026)
    args = parser.parse_args()
    print(describe())
    space, rng = YoloSpace(), np.random.default_rng(args.seed)
    architectures = [space.sample(rng) for _ in range(args.count)]
    costs = complexity(architectures, CLASSES, 64)
    good = dict.fromkeys(("parameters", "MACs", "forward at 64 and 96 px", "finite gradients"), 0)
    differences = []
    with tempfile.TemporaryDirectory() as folder:
        for i, architecture in enumerate(architectures):
            model = build_model(architecture, CLASSES)
            good["parameters"] += costs.params[i] == sum(p.numel() for p in model.parameters())
            model.eval()
            macs = thop.profile(model, [torch.zeros(1, 3, 64, 64)], custom_ops=FREE, verbose=False)[0]
            good["MACs"] += costs.macs[i] == macs
            with torch.no_grad():
                outputs = [model(torch.rand(1, 3, size, size))[0] for size in (64, 96)]
            anchors = [sum((size // int(s)) ** 2 for s in model.stride) for size in (64, 96)]
            good["forward at 64 and 96 px"] += all(
                out.shape == (1, 4 + CLASSES, a) and bool(out.isfinite().all()) for out, a in zip(outputs, anchors)
            )
            good["finite gradients"] += finite_gradients(model)
            if i < args.onnx:
                model = stirred(model, seed=i)
                path = export_onnx(model, Path(folder) / "model.onnx", 64)
                differences.append(onnx_difference(model, path, 64))
            if sys.stderr.isatty() or (i + 1) % 100 == 0:
                print(f"{i + 1}/{args.count}", file=sys.stderr)
    for what, count in good.items():
        print(f"{what:<26}{count} of {args.count}")
    within = sum(d < 1e-3 for d in differences)
    if differences:
        print(
            f"{'ONNX Runtime = PyTorch':<26}{within} of {len(differences)} within 1e-3 "
            f"(largest difference {max(differences):.1e}; boxes as shares of the image)"
        )
    return int(any(count < args.count for count in good.values()) or within < len(differences))


if __name__ == "__main__":
    sys.exit(main())
