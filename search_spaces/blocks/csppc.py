"""CSPPC: C2f whose bottlenecks are two partial convolutions in sequence.

Source: partial convolution, J. Chen et al., "Run, Don't Walk: Chasing Higher FLOPS for Faster Neural Networks"
(FasterNet), arXiv 2303.03667.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from ultralytics.nn.modules.block import C2f

from ..graph import Number
from ..tape import Tape, Tensor
from .axes import Axes
from .cross_stage import CrossStage

PARTS = 4  # FasterNet's n_div: the first 1/4 of the channels is convolved


class PartialBottleneck(nn.Module):
    """Two 3x3 convolutions on the first quarter of the channels; the rest passes through.

    Nothing stands between the two, so the rest is joined once, after the second. Shape in and out: (B, C, H, W). Their weights begin
    with the variance 1/inputs, which keeps that of what they read: there is no normalisation that would mend PyTorch's 1/(3 inputs), and
    bottlenecks follow one another.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.quarter = channels // PARTS
        self.cv1 = nn.Conv2d(self.quarter, self.quarter, 3, padding=1, bias=False)
        self.cv2 = nn.Conv2d(self.quarter, self.quarter, 3, padding=1, bias=False)
        for conv in (self.cv1, self.cv2):
            nn.init.kaiming_normal_(conv.weight, nonlinearity="linear")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first, rest = x.split((self.quarter, x.shape[1] - self.quarter), 1)
        return torch.cat((self.cv2(self.cv1(first)), rest), 1)


class CSPPC(C2f):
    """C2f with `PartialBottleneck`s. Shapes: (B, c1, H, W) -> (B, c2, H, W); c2 * e is 4 or more."""

    def __init__(self, c1: int, c2: int, n: int = 1, e: float = 0.5):
        super().__init__(c1, c2, n, e=e)
        self.m = nn.ModuleList(PartialBottleneck(self.c) for _ in range(n))


class CSPPCBlock(CrossStage):
    """C2f's frame with partial bottlenecks, which have no shortcut."""

    name = "CSPPC"
    module = CSPPC

    def arguments(self, arguments: Mapping[str, Any]) -> tuple[Any, ...]:
        usual = arguments["channels"], arguments["repeats"]
        return usual if self.share(arguments) == 0.5 else (*usual, self.share(arguments))

    def bottleneck(self, tape: Tape, x: Tensor, hidden: Number, arguments: Mapping[str, Any]) -> Tensor:
        quarter = hidden // PARTS
        first = tape.view(x, quarter)
        for _ in range(2):
            first = tape.conv(first, quarter, 3, norm=False, activation=None)
        return tape.concat([first, tape.view(x, hidden - quarter)])

    def segments(self, hidden: int) -> tuple[int, ...]:
        return hidden // PARTS, hidden - hidden // PARTS

    def bottleneck_axes(self, axes: Axes, path: str, hidden: int, arguments: Mapping[str, Any]) -> None:
        for conv in (f"{path}.cv1", f"{path}.cv2"):
            axes.reads(conv, "hidden", count=hidden // PARTS)
            axes.writes(conv, "hidden", count=hidden // PARTS)


BLOCK = CSPPCBlock()
