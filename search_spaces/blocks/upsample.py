"""Upsample: nearest-neighbour interpolation to twice the size."""

from __future__ import annotations

from typing import Any

from torch import nn

from ..graph import Layer
from ..tape import Tape, Tensor
from .base import Block


class UpsampleBlock(Block):
    """Shapes: (B, c, H, W) -> (B, c, 2H, 2W)."""

    name = "Upsample"
    module = nn.Upsample

    def build(self, layer: Layer) -> nn.Module:
        return nn.Upsample(scale_factor=2, mode="nearest")

    def row(self, layer: Layer) -> list[Any]:
        return [1, "nn.Upsample", [None, 2, "nearest"]]

    def trace(self, tape: Tape, *inputs: Tensor, **arguments: Any) -> Tensor:
        return tape.resize("nearest", inputs[0], 2)


BLOCK = UpsampleBlock()
