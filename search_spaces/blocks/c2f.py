"""C2f: YOLOv8's block."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ultralytics.nn.modules.block import C2f

from ..graph import Number
from ..tape import Tape, Tensor
from .axes import Axes
from .cross_stage import CrossStage


class C2fBlock(CrossStage):
    """Bottlenecks of two 3x3 convolutions of the same width."""

    name = "C2f"
    module = C2f

    def bottleneck(self, tape: Tape, x: Tensor, hidden: Number, arguments: Mapping[str, Any]) -> Tensor:
        y = tape.conv(tape.conv(x, hidden, 3), hidden, 3)
        return tape.elementwise("add", x, y) if arguments["shortcut"] else y

    def bottleneck_axes(self, axes: Axes, path: str, hidden: int, arguments: Mapping[str, Any]) -> None:
        axes.add(f"{path}.inner", hidden)
        axes.unit(f"{path}.cv1", "hidden", f"{path}.inner")
        axes.unit(f"{path}.cv2", f"{path}.inner", "hidden")


BLOCK = C2fBlock()
