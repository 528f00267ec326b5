"""Published parameter counts and FLOPs against the networks that the builder builds.

python benchmarks/published_counts.py
"""

from __future__ import annotations

import sys

import thop
import torch
from machine import describe
from torch import nn

from search_spaces import YoloSpace, build_model

# (preset, classes) -> (parameters, GFLOPs at 640 px or None); sources in docs/search-space.md
PUBLISHED = {
    ("yolov8n", 1): (3_011_043, 8.08),
    ("yolov8n", 80): (3_157_200, 8.74),
    ("light-recipe", 1): (1_436_977, 12.99),
    ("light-recipe-adown", 1): (1_371_217, None),
    ("csppc-backbone", 1): (2_556_099, None),
    ("csppc-neck", 1): (2_577_891, None),
    ("csppc", 1): (2_122_947, 5.87),
    ("csppc", 80): (2_269_104, None),
    ("adown-p3-p5", 1): (2_731_491, None),
    ("adown-backbone", 1): (2_728_163, None),
    ("adown", 1): (2_595_043, None),
    ("hwd-backbone", 1): (2_793_923, None),
    ("csppc-adown", 1): (1_706_947, 5.02),
    ("csppc-adown-afpn", 1): (1_380_424, 5.33),
    ("afpn-p2-p5", 1): (2_109_041, None),
    ("afpn-p2-p5-w64", 1): (1_883_505, None),
    ("afpn-p3-p5", 1): (2_118_248, None),
}


def main() -> int:
    print(describe())
    print(f"{'preset':<20}{'classes':>8}{'published':>12}{'built':>12}{'GFLOPs pub.':>13}{'thop':>8}")
    free = {nn.BatchNorm2d: lambda m, x, y: None, nn.Upsample: lambda m, x, y: None}
    wrong = 0
    for (name, classes), (params, gflops) in PUBLISHED.items():
        model = build_model(YoloSpace().preset(name), classes).eval()
        built = sum(p.numel() for p in model.parameters())
        counted = 2e-9 * thop.profile(model, [torch.zeros(1, 3, 640, 640)], custom_ops=free, verbose=False)[0]
        off = built != params or (gflops is not None and abs(counted / gflops - 1) > 0.01)
        wrong += off
        print(
            f"{name:<20}{classes:>8}{params:>12,}{built:>12,}{gflops or '-':>13}{counted:>8.2f}{'  DIFFERS' if off else ''}"
        )
    print(f"{len(PUBLISHED) - wrong} of {len(PUBLISHED)} equal (parameters exactly, FLOPs within 1%)")
    return wrong


if __name__ == "__main__":
    sys.exit(main())
