"""Operators and the tape that collects them while a block is traced."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from .graph import Number, Shape


class Tensor:
    """A feature map while tracing; a view shares the memory of the tensor it was taken from."""

    __slots__ = ("shape", "storage")

    def __init__(self, shape: Shape, view_of: Tensor | None = None) -> None:
        self.shape = shape
        self.storage: Tensor = view_of.storage if view_of else self


@dataclass(frozen=True, eq=False)
class Operator:
    """One operator: convolution (with what is folded into it), pooling, resize, concat, add, multiply or softmax.

    Attributes:
        learnt: whether a convolution has weights; a product of two feature maps, which counts as one, has none.
    """

    kind: str
    inputs: tuple[Tensor, ...]
    output: Tensor
    kernel: Number = 1
    stride: Number = 1
    groups: Number = 1
    bias: bool = False
    norm: bool = False
    activation: str | None = None
    learnt: bool = True

    @property
    def weights(self) -> Number:
        """Numbers that a convolution reads beside its input when it runs, normalisation folded into it; others read none."""
        if self.kind != "conv" or not self.learnt:
            return 0
        return self._kernels + (self.bias or self.norm) * self.output.shape.channels

    @property
    def _kernels(self) -> Number:
        return self.output.shape.channels * (self.inputs[0].shape.channels // self.groups) * (self.kernel * self.kernel)

    @property
    def cost(self) -> tuple[Number, Number]:
        """(parameters, MACs) of a convolution or product, its bias and normalisation included; other operators have none."""
        if self.kind != "conv":
            return 0, 0
        channels, height, width = self.output.shape
        kernels = self._kernels
        return self.learnt * (kernels + (self.bias + 2 * self.norm) * channels), kernels * (height * width)


class Tape:
    """Collects operators in the order they run."""

    def __init__(self) -> None:
        self.operators: list[Operator] = []

    def _emit(self, kind: str, inputs: Iterable[Tensor], shape: Shape, **attributes: Any) -> Tensor:
        output = Tensor(shape)
        self.operators.append(Operator(kind, tuple(inputs), output, **attributes))
        return output

    def conv(
        self,
        x: Tensor,
        channels: Number,
        kernel: Number = 1,
        stride: Number = 1,
        groups: Number = 1,
        padding: Number | None = None,
        bias: bool = False,
        norm: bool = True,
        activation: str | None = "silu",
    ) -> Tensor:
        """A convolution; `padding` None keeps the size at stride 1 (odd kernels)."""
        padding = kernel // 2 if padding is None else padding
        shape = Shape(channels, *self._slide(x, kernel, stride, padding))
        return self._emit(
            "conv", [x], shape, kernel=kernel, stride=stride, groups=groups, bias=bias, norm=norm, activation=activation
        )

    def product(self, x: Tensor, y: Tensor, channels: Number) -> Tensor:
        """A product of matrices, `x` @ `y`: at every place of `x` its channels are summed up with as many weights of `y`, once for each
        of `channels`. That is a convolution of 1x1 whose weights are not learnt."""
        return self._emit("conv", [x, y], Shape(channels, *x.shape[1:]), learnt=False)

    def pool(self, kind: str, x: Tensor, kernel: Number, stride: Number, padding: Number) -> Tensor:
        """A pooling, `maxpool` or `avgpool`."""
        shape = Shape(x.shape.channels, *self._slide(x, kernel, stride, padding))
        return self._emit(kind, [x], shape, kernel=kernel, stride=stride)

    @staticmethod
    def _slide(x: Tensor, kernel: Number, stride: Number, padding: Number) -> tuple[Number, Number]:
        """Height and width after sliding a window; most windows keep them, and most maps are square."""
        _, height, width = x.shape
        if stride == 1 and 2 * padding == kernel - 1:
            return height, width
        slid = (height + 2 * padding - kernel) // stride + 1
        return slid, slid if width is height else (width + 2 * padding - kernel) // stride + 1

    def resize(self, kind: str, x: Tensor, factor: Number) -> Tensor:
        """An enlargement by a factor, `nearest` or `bilinear`."""
        shape = Shape(x.shape.channels, x.shape.height * factor, x.shape.width * factor)
        return self._emit(kind, [x], shape, stride=factor)

    def concat(self, tensors: Sequence[Tensor], axis: int = 0) -> Tensor:
        """Join along the channels (axis 0) or, for flattened maps, along their places (axis 2)."""
        shape = list(tensors[0].shape)
        shape[axis] = sum(t.shape[axis] for t in tensors)
        return self._emit("concat", tensors, Shape(*shape))

    def elementwise(self, kind: str, *tensors: Tensor) -> Tensor:
        """An operator that keeps the shape of its first input: `add`, `mul` or `softmax`."""
        return self._emit(kind, tensors, tensors[0].shape)

    @staticmethod
    def view(x: Tensor, channels: Number) -> Tensor:
        """Some channels of `x`, sharing its memory."""
        return Tensor(Shape(channels, *x.shape[1:]), view_of=x)
