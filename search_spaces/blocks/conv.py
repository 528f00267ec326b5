"""Conv: the strided 3x3 convolution that YOLOv8 halves its feature maps with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ultralytics.nn.modules.conv import Conv

from ..graph import Layer
from ..tape import Tape, Tensor
from .axes import Axes
from .base import Block


class ConvBlock(Block):
    """Convolution 3x3 of stride 2, batch normalisation, SiLU. Shapes: (B, c1, H, W) -> (B, c2, H/2, W/2)."""

    name = "Conv"
    module = Conv

    def arguments(self, arguments: Mapping[str, Any]) -> tuple[Any, ...]:
        return arguments["channels"], 3, 2

    def trace(self, tape: Tape, *inputs: Tensor, **arguments: Any) -> Tensor:
        return tape.conv(inputs[0], arguments["channels"], 3, 2)

    def axes(self, layer: Layer) -> Axes:
        axes = Axes()
        axes.add("in0", layer.in_shapes[0].channels)
        axes.add("out", layer.arguments["channels"])
        axes.unit("", "in0", "out")
        return axes


BLOCK = ConvBlock()
