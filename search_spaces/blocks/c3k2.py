"""C3k2: the block of YOLO11 and YOLO26, with plain bottlenecks or with C3k in their place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ultralytics.nn.modules.block import Bottleneck, C3k2

from ..graph import Number
from ..tape import Tape, Tensor
from .axes import Axes
from .cross_stage import CrossStage

if TYPE_CHECKING:
    from torch import nn

INSIDE = 2  # bottlenecks of a C3k


class C3k2Block(CrossStage):
    """Bottlenecks of two 3x3 convolutions with half the width between them.

    Where its argument `c3k` says so, each of them is a C3k: two bottlenecks at half the width, beside them a 1x1 convolution to the
    other half, and one of both back to the whole.
    """

    name = "C3k2"
    module = C3k2

    def arguments(self, arguments: Mapping[str, Any]) -> tuple[Any, ...]:
        return (
            arguments["channels"],
            arguments["repeats"],
            arguments.get("c3k", False),
            self.share(arguments),
            False,
            1,
            arguments["shortcut"],
        )

    def bottleneck(self, tape: Tape, x: Tensor, hidden: Number, arguments: Mapping[str, Any]) -> Tensor:
        if not arguments.get("c3k", False):
            y = tape.conv(tape.conv(x, hidden // 2, 3), hidden, 3)
            return tape.elementwise("add", x, y) if arguments["shortcut"] else y
        inner = tape.conv(x, hidden // 2)
        for _ in range(INSIDE):
            y = tape.conv(tape.conv(inner, hidden // 2, 3), hidden // 2, 3)
            inner = tape.elementwise("add", inner, y) if arguments["shortcut"] else y
        return tape.conv(tape.concat([inner, tape.conv(x, hidden // 2)]), hidden)

    def bottleneck_axes(self, axes: Axes, path: str, hidden: int, arguments: Mapping[str, Any]) -> None:
        axes.add(f"{path}.inner", hidden // 2)
        axes.unit(f"{path}.cv1", "hidden", f"{path}.inner")
        if not arguments.get("c3k", False):
            axes.unit(f"{path}.cv2", f"{path}.inner", "hidden")
            return
        axes.add(f"{path}.beside", hidden // 2)
        axes.unit(f"{path}.cv2", "hidden", f"{path}.beside")
        for i in range(INSIDE):
            axes.add(f"{path}.{i}.inner", hidden // 2)
            axes.unit(f"{path}.m.{i}.cv1", f"{path}.inner", f"{path}.{i}.inner")
            axes.unit(f"{path}.m.{i}.cv2", f"{path}.{i}.inner", f"{path}.inner")
        axes.unit_reads(f"{path}.cv3", f"{path}.inner")
        axes.unit_reads(f"{path}.cv3", f"{path}.beside", start=hidden // 2)
        axes.unit_writes(f"{path}.cv3", "hidden")

    def passes_on(self, bottleneck: nn.Module) -> bool:
        return isinstance(bottleneck, Bottleneck) and bottleneck.add


BLOCK = C3k2Block()
