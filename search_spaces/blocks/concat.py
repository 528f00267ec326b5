"""Concat: feature maps of one size joined along their channels."""

from __future__ import annotations

from typing import Any

from torch import nn
from ultralytics.nn.modules.conv import Concat

from ..graph import Layer
from ..tape import Tape, Tensor
from .base import Block


class ConcatBlock(Block):
    """Shapes: (B, c1, H, W), (B, c2, H, W) ... -> (B, c1 + c2 + ..., H, W)."""

    name = "Concat"
    module = Concat

    def build(self, layer: Layer) -> nn.Module:
        return Concat(1)

    def row(self, layer: Layer) -> list[Any]:
        return [1, "Concat", [1]]

    def trace(self, tape: Tape, *inputs: Tensor, **arguments: Any) -> Tensor:
        return tape.concat(inputs)


BLOCK = ConcatBlock()
