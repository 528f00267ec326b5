"""HWD: Haar wavelet downsampling.

Source: G. Xu et al., "Haar wavelet downsampling: a simple but effective downsampling module for semantic
segmentation", Pattern Recognition 143 (2023). One level of the 2-D Haar transform (C -> 4C channels at half the size),
then a 1x1 convolution with bias, batch normalisation, ReLU.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from ultralytics.nn.modules.conv import Conv

from ..graph import Layer
from ..tape import Tape, Tensor
from .axes import Axes
from .base import Block

# Rows: the subbands LL, LH, HL, HH; entries: their weights of the four pixels of a 2x2 cell (orthonormal).
HAAR = torch.tensor([[[1, 1], [1, 1]], [[1, 1], [-1, -1]], [[1, -1], [1, -1]], [[1, -1], [-1, 1]]]) / 2


class HaarConv2d(nn.Conv2d):
    """The Haar transform and the 1x1 convolution after it, as one 2x2 convolution of stride 2.

    Both steps are linear, so their composition is a single convolution. The parameters are those of the 1x1
    convolution: `weight[o, c]` holds, as a 2x2 array, its weights of the subbands LL, LH, HL, HH of channel c.
    """

    def __init__(self, c1: int, c2: int):
        super().__init__(c1, c2, kernel_size=2, stride=2, bias=True)

    def spatial_weight(self) -> torch.Tensor:
        """The kernel over pixels, (c2, c1, 2, 2)."""
        return torch.einsum("ocs,shw->ochw", self.weight.flatten(2), HAAR.to(self.weight))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.conv2d(x, self.spatial_weight(), self.bias, stride=2)


class HWD(Conv):
    """Haar wavelet downsampling. Shapes: (B, c1, H, W) -> (B, c2, H/2, W/2)."""

    def __init__(self, c1: int, c2: int):
        super().__init__(c1, c2, act=nn.ReLU())
        self.conv = HaarConv2d(c1, c2)

    def to_spatial(self) -> None:
        """Replace the convolution by its plain equivalent, which the usual folding of batch normalisation handles."""
        if isinstance(self.conv, HaarConv2d):
            plain = nn.Conv2d(self.conv.in_channels, self.conv.out_channels, 2, 2).to(self.conv.weight)
            plain.weight.data = self.conv.spatial_weight().detach()
            plain.bias.data = self.conv.bias.detach().clone()
            self.conv = plain


class HWDBlock(Block):
    """Traced as the one convolution that the transform and the 1x1 convolution make together."""

    name = "HWD"
    module = HWD

    def trace(self, tape: Tape, *inputs: Tensor, **arguments: Any) -> Tensor:
        return tape.conv(inputs[0], arguments["channels"], 2, 2, padding=0, bias=True, activation="relu")

    def fuse(self, module: nn.Module) -> None:
        if hasattr(module, "bn"):
            module.to_spatial()

    def axes(self, layer: Layer) -> Axes:
        axes = Axes()
        axes.add("in0", layer.in_shapes[0].channels)
        axes.add("out", layer.arguments["channels"])
        axes.unit("", "in0", "out")
        return axes


BLOCK = HWDBlock()
