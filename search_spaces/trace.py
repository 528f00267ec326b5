"""What each module does, as operators with their shapes: the mirror of every module's forward pass.

A trace is written once per module with the same steps as its `forward`; parameters, MACs, memory and latency features
all come from it. Batch normalisation and activations belong to the convolution before them and work in place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .graph import BYTES_PER_VALUE, Layer, LayerGraph, Shape


class Tensor:
    """A feature map while tracing; a view shares the memory of the tensor it was taken from."""

    __slots__ = ("shape", "storage")

    def __init__(self, shape: Shape, view_of: Tensor | None = None):
        self.shape = shape
        self.storage = view_of.storage if view_of else self


@dataclass(frozen=True, eq=False)
class Operator:
    """One operator: convolution (with what is folded into it), pooling, resize, concat, add, multiply or softmax."""

    kind: str
    inputs: tuple[Tensor, ...]
    output: Tensor
    kernel: Any = 1
    stride: Any = 1
    groups: Any = 1
    bias: bool = False
    norm: bool = False
    activation: str | None = None

    @property
    def cost(self):
        """(parameters, MACs) of a convolution, its bias and normalisation included; other operators have none."""
        if self.kind != "conv":
            return 0, 0
        channels, height, width = self.output.shape
        weights = channels * (self.inputs[0].shape.channels // self.groups) * (self.kernel * self.kernel)
        return weights + (self.bias + 2 * self.norm) * channels, weights * (height * width)


class Tape:
    """Collects operators in the order they run."""

    def __init__(self):
        self.operators: list[Operator] = []

    def _emit(self, kind, inputs, shape, **attributes) -> Tensor:
        output = Tensor(shape)
        self.operators.append(Operator(kind, tuple(inputs), output, **attributes))
        return output

    def conv(
        self, x, channels, kernel=1, stride=1, groups=1, padding=None, bias=False, norm=True, activation="silu"
    ) -> Tensor:
        """A convolution; `padding` None keeps the size at stride 1 (odd kernels)."""
        padding = kernel // 2 if padding is None else padding
        shape = Shape(channels, *self._slide(x, kernel, stride, padding))
        return self._emit(
            "conv", [x], shape, kernel=kernel, stride=stride, groups=groups, bias=bias, norm=norm, activation=activation
        )

    def pool(self, kind, x, kernel, stride, padding) -> Tensor:
        shape = Shape(x.shape.channels, *self._slide(x, kernel, stride, padding))
        return self._emit(kind, [x], shape, kernel=kernel, stride=stride)

    @staticmethod
    def _slide(x, kernel, stride, padding):
        """Height and width after sliding a window; most windows keep them, and most maps are square."""
        _, height, width = x.shape
        if stride == 1 and 2 * padding == kernel - 1:
            return height, width
        slid = (height + 2 * padding - kernel) // stride + 1
        return slid, slid if width is height else (width + 2 * padding - kernel) // stride + 1

    def resize(self, kind, x, factor) -> Tensor:
        shape = Shape(x.shape.channels, x.shape.height * factor, x.shape.width * factor)
        return self._emit(kind, [x], shape, stride=factor)

    def concat(self, tensors: Sequence[Tensor], axis: int = 0) -> Tensor:
        """Join along the channels (axis 0) or, for flattened maps, along their places (axis 2)."""
        shape = list(tensors[0].shape)
        shape[axis] = sum(t.shape[axis] for t in tensors)
        return self._emit("concat", tensors, Shape(*shape))

    def elementwise(self, kind, *tensors) -> Tensor:
        return self._emit(kind, tensors, tensors[0].shape)

    @staticmethod
    def view(x, channels) -> Tensor:
        """Some channels of `x`, sharing its memory."""
        return Tensor(Shape(channels, *x.shape[1:]), view_of=x)


# -- modules of Ultralytics -----------------------------------------------------------------------------------------


def conv(tape, x, channels):
    return tape.conv(x, channels, 3, 2)


def _cross_stage(tape, x, channels, repeats, bottleneck):
    """C2f's frame: split, a chain of bottlenecks on the second half, everything concatenated."""
    hidden = channels // 2
    split = tape.conv(x, 2 * hidden)
    parts = [tape.view(split, hidden), tape.view(split, hidden)]
    for _ in range(repeats):
        parts.append(bottleneck(parts[-1], hidden))
    return tape.conv(tape.concat(parts), channels)


def _bottleneck(tape, x, channels, hidden, shortcut):
    y = tape.conv(tape.conv(x, hidden, 3), channels, 3)
    return tape.elementwise("add", x, y) if shortcut else y


def c2f(tape, x, channels, repeats, shortcut):
    return _cross_stage(tape, x, channels, repeats, lambda y, c: _bottleneck(tape, y, c, c, shortcut))


def c3k2(tape, x, channels, repeats, shortcut):
    return _cross_stage(tape, x, channels, repeats, lambda y, c: _bottleneck(tape, y, c, c // 2, shortcut))


def adown(tape, x, channels):
    half = x.shape.channels // 2
    x = tape.pool("avgpool", x, 2, 1, 0)
    first = tape.conv(tape.view(x, half), channels // 2, 3, 2)
    second = tape.conv(tape.pool("maxpool", tape.view(x, half), 3, 2, 1), channels // 2)
    return tape.concat([first, second])


def sppf(tape, x, channels, kernel):
    parts = [tape.conv(x, x.shape.channels // 2, activation=None)]
    for _ in range(3):
        parts.append(tape.pool("maxpool", parts[-1], kernel, 1, kernel // 2))
    return tape.conv(tape.concat(parts), channels)


def upsample(tape, x, channels):
    return tape.resize("nearest", x, 2)


def concat(tape, *inputs, channels):
    return tape.concat(inputs)


def detect(tape, *levels, num_classes, reg_max, class_branch, box_width, class_width):
    def box(x):
        x = tape.conv(tape.conv(x, box_width, 3), box_width, 3)
        return tape.conv(x, 4 * reg_max, bias=True, norm=False, activation=None)

    def depthwise_separable(x, channels):
        return tape.conv(tape.conv(x, x.shape.channels, 3, groups=x.shape.channels), channels)

    def scores(x):
        step = depthwise_separable if class_branch == "depthwise" else lambda y, channels: tape.conv(y, channels, 3)
        x = step(step(x, class_width), class_width)
        return tape.conv(x, num_classes, bias=True, norm=False, activation=None)

    def flat(x):
        return Tensor(Shape(x.shape.channels, 1, x.shape.height * x.shape.width), view_of=x)

    boxes = tape.concat([flat(box(x)) for x in levels], axis=2)
    classes = tape.concat([flat(scores(x)) for x in levels], axis=2)
    if reg_max > 1:  # distribution focal loss: the expected value over the bins, a fixed convolution
        bins = tape.elementwise("softmax", Tensor(Shape(reg_max, 4, boxes.shape.width), view_of=boxes))
        expected = tape.conv(bins, 1, norm=False, activation=None)
        boxes = Tensor(Shape(4, 1, boxes.shape.width), view_of=expected)
    return boxes, classes


# -- modules of blocks/ ---------------------------------------------------------------------------------------------


def csppc(tape, x, channels, repeats, shortcut):
    def partial(y, hidden):
        quarter = hidden // 4
        first = tape.view(y, quarter)
        for _ in range(2):
            first = tape.conv(first, quarter, 3, norm=False, activation=None)
        return tape.concat([first, tape.view(y, hidden - quarter)])

    return _cross_stage(tape, x, channels, repeats, partial)


def hwd(tape, x, channels):
    return tape.conv(x, channels, 2, 2, padding=0, bias=True, activation="relu")


def afpn(tape, levels, width, reduction):
    def resize(x, source, target, channels):
        if source == target:
            return x
        factor = 2 ** abs(source - target)
        if source > target:
            return tape.resize("bilinear", tape.conv(x, channels), factor)
        return tape.conv(x, channels, factor, factor, padding=0)

    def fuse(inputs, channels):
        scores = tape.concat([tape.conv(x, 8) for x in inputs])
        scores = tape.conv(scores, len(inputs), bias=True, norm=False, activation=None)
        weights = tape.elementwise("softmax", scores)
        total = None
        for x in inputs:
            term = tape.elementwise("mul", x, tape.view(weights, 1))
            total = term if total is None else tape.elementwise("add", total, term)
        return tape.conv(total, channels, 3)

    def residual(x, channels):
        y = tape.conv(x, channels, 3, bias=True, activation="relu")
        y = tape.conv(y, channels, 3, bias=True, activation=None)
        return tape.elementwise("add", x, y)

    channels = [level.shape.channels // reduction for level in levels]
    features = [tape.conv(tape.conv(level, c), c) for level, c in zip(levels, channels)]
    for count in range(2, len(levels) + 1):
        features[:count] = [
            fuse([resize(features[j], j, i, channels[i]) for j in range(count)], channels[i]) for i in range(count)
        ]
        for i in range(count):
            for _ in range(4):
                features[i] = residual(features[i], channels[i])
    return [tape.conv(x, width) for x in features]


def afpn_detect(tape, *levels, width, reduction, **head):
    return detect(tape, *afpn(tape, levels, width, reduction), **head)


TRACES = {
    "Conv": conv,
    "C2f": c2f,
    "C3k2": c3k2,
    "CSPPC": csppc,
    "ADown": adown,
    "HWD": hwd,
    "SPPF": sppf,
    "Upsample": upsample,
    "Concat": concat,
    "Detect": detect,
    "AFPNDetect": afpn_detect,
}


def trace(layer: Layer) -> tuple[list[Operator], list[Tensor], list[Tensor]]:
    """The operators of one layer, its input tensors and its output tensors."""
    tape = Tape()
    inputs = [Tensor(shape) for shape in layer.in_shapes]
    outputs = TRACES[layer.module](tape, *inputs, **layer.arguments)
    outputs = list(outputs) if isinstance(outputs, tuple) else [outputs]
    return tape.operators, inputs, outputs


def operators(graph: LayerGraph) -> list[Operator]:
    """All operators of the graph of one architecture, in the order they run."""
    return [operator for layer in graph.layers for operator in trace(layer)[0]]


def peak_bytes(steps: Sequence[Operator], inputs: Sequence[Tensor], outputs: Sequence[Tensor], held: Sequence[bool]):
    """Most bytes alive at once inside a layer: its inputs, what it makes, until each tensor's last use.

    Args:
        steps, inputs, outputs: of the layer's trace.
        held: for each input, whether something after this layer still needs it.
    """
    kept = {t.storage for t, keep in zip(inputs, held) if keep} | {t.storage for t in outputs}
    last = {t.storage: step for step, operator in enumerate(steps) for t in operator.inputs}
    sizes = {t.storage: t.storage.shape.values for t in (*inputs, *(step.output for step in steps))}
    alive = peak = sum(sizes[t.storage] for t in inputs)
    for step, operator in enumerate(steps):
        alive = alive + sizes[operator.output]
        peak = np.maximum(peak, alive)
        for storage in {t.storage for t in operator.inputs}:
            if last[storage] == step and storage not in kept:
                alive = alive - sizes[storage]
    return peak * BYTES_PER_VALUE
