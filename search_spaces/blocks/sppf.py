"""SPPF: spatial pyramid pooling by three poolings in a row, at the end of YOLOv8's backbone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn
from ultralytics.nn.modules.block import SPPF

from ..graph import Layer
from ..tape import Tape, Tensor
from .axes import Axes
from .base import Block

POOLINGS = 3


class SPPFBlock(Block):
    """1x1 convolution to half the channels, three max poolings, 1x1 convolution of all four maps.

    The first convolution has an activation where the argument `activated` says so: in Ultralytics' YOLOv8 and YOLO11 it has one, in
    what its module makes by itself, since YOLO26, it has none.
    """

    name = "SPPF"
    module = SPPF

    def arguments(self, arguments: Mapping[str, Any]) -> tuple[Any, ...]:
        return arguments["channels"], arguments["kernel"]

    def build(self, layer: Layer) -> nn.Module:
        made = super().build(layer)
        made.cv1.act = nn.SiLU() if layer.arguments.get("activated", False) else nn.Identity()
        return made

    def trace(self, tape: Tape, *inputs: Tensor, **arguments: Any) -> Tensor:
        activation = "silu" if arguments.get("activated", False) else None
        parts = [tape.conv(inputs[0], inputs[0].shape.channels // 2, activation=activation)]
        for _ in range(POOLINGS):
            parts.append(tape.pool("maxpool", parts[-1], arguments["kernel"], 1, arguments["kernel"] // 2))
        return tape.conv(tape.concat(parts), arguments["channels"])

    def axes(self, layer: Layer) -> Axes:
        channels = layer.in_shapes[0].channels
        axes = Axes()
        axes.add("in0", channels)
        axes.add("hidden", channels // 2)
        axes.add("out", layer.arguments["channels"])
        axes.unit("cv1", "in0", "hidden")
        for part in range(1 + POOLINGS):
            axes.unit_reads("cv2", "hidden", start=part * (channels // 2))
        axes.unit_writes("cv2", "out")
        return axes


BLOCK = SPPFBlock()
