"""C3k2: the block of YOLO11 and YOLO26, here with plain bottlenecks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ultralytics.nn.modules.block import C3k2

from ..graph import Number
from ..tape import Tape, Tensor
from .axes import Axes
from .cross_stage import CrossStage


class C3k2Block(CrossStage):
    """Bottlenecks of two 3x3 convolutions with half the width between them."""

    name = "C3k2"
    module = C3k2

    def arguments(self, arguments: Mapping[str, Any]) -> tuple[Any, ...]:
        return (
            arguments["channels"],
            arguments["repeats"],
            False,
            self.share(arguments),
            False,
            1,
            arguments["shortcut"],
        )

    def bottleneck(self, tape: Tape, x: Tensor, hidden: Number, shortcut: bool) -> Tensor:
        y = tape.conv(tape.conv(x, hidden // 2, 3), hidden, 3)
        return tape.elementwise("add", x, y) if shortcut else y

    def bottleneck_axes(self, axes: Axes, path: str, hidden: int) -> None:
        axes.add(f"{path}.inner", hidden // 2)
        axes.unit(f"{path}.cv1", "hidden", f"{path}.inner")
        axes.unit(f"{path}.cv2", f"{path}.inner", "hidden")


BLOCK = C3k2Block()
