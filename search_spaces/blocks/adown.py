"""ADown: YOLOv9's downsampler, one half of the channels convolved and the other pooled.

Source: C.-Y. Wang, I.-H. Yeh, H.-Y. M. Liao, "YOLOv9: Learning What You Want to Learn Using Programmable Gradient
Information", arXiv 2402.13616.
"""

from __future__ import annotations

from typing import Any

from ultralytics.nn.modules.block import ADown

from ..graph import Layer
from ..tape import Tape, Tensor
from .axes import Axes
from .base import Block


class ADownBlock(Block):
    """Shapes: (B, c1, H, W) -> (B, c2, H/2, W/2); c1 and c2 even."""

    name = "ADown"
    module = ADown

    def trace(self, tape: Tape, *inputs: Tensor, **arguments: Any) -> Tensor:
        half, channels = inputs[0].shape.channels // 2, arguments["channels"]
        x = tape.pool("avgpool", inputs[0], 2, 1, 0)
        first = tape.conv(tape.view(x, half), channels // 2, 3, 2)
        second = tape.conv(tape.pool("maxpool", tape.view(x, half), 3, 2, 1), channels // 2)
        return tape.concat([first, second])

    def axes(self, layer: Layer) -> Axes:
        read, given = layer.in_shapes[0].channels // 2, layer.arguments["channels"] // 2
        axes = Axes()
        axes.add("in0", read, read)
        axes.add("out", given, given)
        for half, unit in enumerate(("cv1", "cv2")):
            axes.unit_reads(unit, "in0", first=half * read, count=read)
            axes.unit_writes(unit, "out", first=half * given, count=given)
        return axes


BLOCK = ADownBlock()
