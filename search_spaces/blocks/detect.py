"""Detect: Ultralytics' anchor-free head, its class branch full (YOLOv8) or depthwise (YOLO11)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

from torch import nn
from ultralytics.nn.modules.conv import Conv, DWConv
from ultralytics.nn.modules.head import Detect

from ..graph import Layer, Number, Shape
from ..tape import Tape, Tensor
from .axes import Axes
from .base import Block


@contextlib.contextmanager
def class_branch(kind: str) -> Iterator[None]:
    """Detect picks its class branch by a class attribute, which Ultralytics' own parser leaves behind as it was last."""
    before = Detect.legacy
    Detect.legacy = kind == "full"
    try:
        yield
    finally:
        Detect.legacy = before


def narrow_branches(head: nn.Module, layer: Layer, channels: Sequence[int]) -> None:
    """Give a new head's branches the widths of the layer, where they are not those of Ultralytics' rule.

    Args:
        channels: that the branches read, level by level.
    """
    given = layer.arguments
    boxes, scores = given["box_width"], given["class_width"]
    if (head.cv2[0][1].conv.out_channels, _out(head.cv3[0][1])) == (boxes, scores):
        return
    for level, read in enumerate(channels):
        last = 4 * given["reg_max"]
        head.cv2[level] = nn.Sequential(Conv(read, boxes, 3), Conv(boxes, boxes, 3), nn.Conv2d(boxes, last, 1))
        if given["class_branch"] == "full":
            steps = [Conv(read, scores, 3), Conv(scores, scores, 3)]
        else:
            steps = [nn.Sequential(DWConv(c, c, 3), Conv(c, scores, 1)) for c in (read, scores)]
        head.cv3[level] = nn.Sequential(*steps, nn.Conv2d(scores, given["num_classes"], 1))


def _out(step: nn.Module) -> int:
    """Channels that a step of the class branch gives."""
    return (step[1] if isinstance(step, nn.Sequential) else step).conv.out_channels


class DetectBlock(Block):
    """Reads levels (B, c_i, H / 2**i, W / 2**i); gives boxes (4, anchors) and class scores (classes, anchors)."""

    name = "Detect"
    module = Detect
    is_head = True

    def is_ultralytics(self, layer: Layer) -> bool:
        finest, given = layer.in_shapes[0].channels, layer.arguments
        rule = max(16, finest // 4, 4 * given["reg_max"]), max(finest, min(given["num_classes"], 100))
        return (given["box_width"], given["class_width"]) == rule

    def build(self, layer: Layer) -> nn.Module:
        channels = [shape.channels for shape in layer.in_shapes]
        with class_branch(layer.arguments["class_branch"]):
            head = Detect(layer.arguments["num_classes"], layer.arguments["reg_max"], ch=channels)
        narrow_branches(head, layer, channels)
        return head

    def row(self, layer: Layer) -> list[Any]:
        return [1, self.name, ["nc"]]  # reg_max is read from the top of the file

    def trace(self, tape: Tape, *inputs: Tensor, **arguments: Any) -> Sequence[Tensor]:
        return self.branches(tape, inputs, **arguments)

    @staticmethod
    def branches(
        tape: Tape,
        levels: Sequence[Tensor],
        *,
        num_classes: int,
        reg_max: int,
        class_branch: str,
        box_width: Number,
        class_width: Number,
    ) -> Sequence[Tensor]:
        """Trace the branches over `levels` and the expected value of the box distribution."""

        def box(x: Tensor) -> Tensor:
            x = tape.conv(tape.conv(x, box_width, 3), box_width, 3)
            return tape.conv(x, 4 * reg_max, bias=True, norm=False, activation=None)

        def step(x: Tensor, channels: Number) -> Tensor:
            if class_branch == "full":
                return tape.conv(x, channels, 3)
            return tape.conv(tape.conv(x, x.shape.channels, 3, groups=x.shape.channels), channels)

        def scores(x: Tensor) -> Tensor:
            x = step(step(x, class_width), class_width)
            return tape.conv(x, num_classes, bias=True, norm=False, activation=None)

        def flat(x: Tensor) -> Tensor:
            return Tensor(Shape(x.shape.channels, 1, x.shape.height * x.shape.width), view_of=x)

        boxes = tape.concat([flat(box(x)) for x in levels], axis=2)
        classes = tape.concat([flat(scores(x)) for x in levels], axis=2)
        if reg_max > 1:  # distribution focal loss: the expected value over the bins, a fixed convolution
            bins = tape.elementwise("softmax", Tensor(Shape(reg_max, 4, boxes.shape.width), view_of=boxes))
            expected = tape.conv(bins, 1, norm=False, activation=None)
            boxes = Tensor(Shape(4, 1, boxes.shape.width), view_of=expected)
        return boxes, classes

    def axes(self, layer: Layer) -> Axes:
        axes = Axes()
        for i, shape in enumerate(layer.in_shapes):
            axes.add(f"in{i}", shape.channels)
            self.branch_axes(axes, layer, i, f"in{i}")
        return axes

    @staticmethod
    def branch_axes(axes: Axes, layer: Layer, level: int, source: str) -> None:
        """Add both branches over one level, which read the axis `source`."""
        box, scores = f"cv2.{level}", f"cv3.{level}"
        for branch, width in ((box, layer.arguments["box_width"]), (scores, layer.arguments["class_width"])):
            for step in range(2):
                axes.add(f"{branch}.{step}", width)
            axes.reads(f"{branch}.2", f"{branch}.1")
        for branch in (box, scores):
            for step, read in enumerate((source, f"{branch}.0")):
                if branch == scores and layer.arguments["class_branch"] == "depthwise":
                    axes.unit_writes(f"{branch}.{step}.0", read)
                    axes.unit(f"{branch}.{step}.1", read, f"{branch}.{step}")
                else:
                    axes.unit(f"{branch}.{step}", read, f"{branch}.{step}")


BLOCK = DetectBlock()
