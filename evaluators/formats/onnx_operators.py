"""What a network does, read off its ONNX file: the operators of a trace, for models that no layer graph describes.

file -> shapes (ONNX Runtime's inference) -> nodes -> operators: convolutions with what is folded into them, poolings,
resizings, ... ; what only passes on, and what decodes boxes at the end, is left out as traces leave it out
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import numpy as np

from search_spaces import InputError
from search_spaces.graph import Number, Shape
from search_spaces.tape import Operator, Tensor

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

# Neither computes anything that is worth counting: views, arithmetic of shapes, and numbers in another form.
PASSED_ON = {
    "Cast", "Constant", "ConstantOfShape", "DequantizeLinear", "Dropout", "DynamicQuantizeLinear", "Expand", "Flatten", "Gather",
    "Identity", "Pad", "QuantizeLinear", "Range", "Reshape", "Shape", "Slice", "Split", "Squeeze", "Tile", "Transpose", "Unsqueeze",
}  # fmt: skip
# Of these, what gives the same numbers
SAME = {"Cast", "DequantizeLinear", "DynamicQuantizeLinear", "Identity", "QuantizeLinear"}
ACTIVATIONS = {
    "Celu", "Clip", "Elu", "Erf", "Gelu", "HardSigmoid", "HardSwish", "LeakyRelu", "Mish", "PRelu", "Relu", "Selu",
    "Sigmoid", "Softplus", "Swish", "Tanh",
}  # fmt: skip
ARITHMETIC = {
    "Add": "add",
    "Sub": "add",
    "Sum": "add",
    "Max": "add",
    "Min": "add",
    "Mul": "mul",
    "Div": "mul",
    "Pow": "mul",
}
POOLINGS = {
    "MaxPool": "maxpool",
    "AveragePool": "avgpool",
    "GlobalAveragePool": "avgpool",
    "GlobalMaxPool": "maxpool",
    "ReduceMean": "avgpool",
    "ReduceMax": "maxpool",
}
DYNAMIC = "INT8-dynamic"  # eight bits with ranges that are taken from every image
MAP = 4  # dimensions of a feature map; what has fewer is decoded boxes and scores


@dataclass(frozen=True)
class OnnxNetwork:
    """A network for one image.

    Attributes:
        image: that it takes.
        operators: in the order they run.
        others: kinds of nodes of which nothing is known but the size of what they give; they count as arithmetic.
        params: weights of its convolutions and products, normalisation folded into them.
        zeros: share of them that are zero.
        precision: of its convolutions and products: FP32, FP16, INT8 or INT8-dynamic.
    """

    image: Shape
    operators: tuple[Operator, ...]
    others: tuple[str, ...]
    params: int
    zeros: float
    precision: str

    @property
    def macs(self) -> int:
        """Multiply-accumulates for one image."""
        return int(sum(operator.cost[1] for operator in self.operators))


def read_network(path: str | Path) -> OnnxNetwork:
    """The network of an ONNX file.

    Raises:
        InputError: not an ONNX file, more than one input, a batch other than one image, or a size that is not fixed.
    """
    import onnx

    try:
        document = onnx.load(path)
    except Exception as error:  # protobuf has several ways of refusing a file
        raise InputError(f"{path}: not an ONNX file ({type(error).__name__})") from None
    weights = {each.name for each in document.graph.initializer}
    images = [each.name for each in document.graph.input if each.name not in weights]
    if len(images) != 1:
        raise InputError(f"{path}: takes {len(images)} inputs; a detector takes one, an image")
    shapes = _shapes(document, str(path))
    image = shapes.get(images[0], ())
    if len(image) != MAP or image[0] != 1 or not all(image):
        asked = " x ".join(str(size) if size else "?" for size in image) or "?"
        raise InputError(
            f"{path}: takes an image of {asked}; it must be of one size, 1 x 3 x height x width: export it so"
        )
    reader = _Reader(document, shapes, images[0])
    for node in document.graph.node:
        try:
            reader.read(node)
        except (IndexError, KeyError, ValueError, ZeroDivisionError):
            raise InputError(
                f"{path}: {node.op_type} {node.name or node.output[0]!r} has no shape that is fixed"
            ) from None
    return OnnxNetwork(
        Shape(*image[1:]),
        tuple(reader.operators),
        tuple(sorted(reader.others)),
        reader.params,
        _zeros(document, reader.weights),
        _precision(document, reader.weights),
    )


def _precision(document: ModelProto, weights: Collection[str]) -> str:
    """What the network is held in, and computes in where the runtime has kernels for it."""
    import onnx

    kinds = {node.op_type for node in document.graph.node}
    if kinds & {"ConvInteger", "MatMulInteger"}:
        return DYNAMIC
    if kinds & {"QuantizeLinear", "QLinearConv", "QLinearMatMul"}:
        return "INT8"
    types = {each.data_type for each in document.graph.initializer if each.name in weights}
    return "FP16" if onnx.TensorProto.FLOAT16 in types else "FP32"


def _shapes(document: ModelProto, what: str) -> dict[str, tuple[int, ...]]:
    """Name of a tensor -> its shape, with 0 for what is not fixed."""
    from onnxruntime.tools.symbolic_shape_infer import SymbolicShapeInference

    try:
        # what it cannot tell all shapes of, it would leave in the folder where the user is
        with patch("onnx.save_model"):
            inferred = SymbolicShapeInference.infer_shapes(document, auto_merge=True)
    except Exception as error:  # what a file may hold is without end
        raise InputError(
            f"{what}: its shapes cannot be told ({type(error).__name__}: {error})".splitlines()[0]
        ) from None
    graph = inferred.graph
    found = {
        value.name: tuple(int(size.dim_value) for size in value.type.tensor_type.shape.dim)
        for value in (*graph.value_info, *graph.input, *graph.output)
    }
    found |= {each.name: tuple(each.dims) for each in graph.initializer}
    return found


def _zeros(document: ModelProto, names: Collection[str]) -> float:
    """The share of zeros in weights, also where they are held in eight bits or under another name."""
    from onnx import numpy_helper

    made_of = {node.output[0]: node.input for node in document.graph.node if node.op_type in SAME}
    offsets = {n.input[1]: n.input[3] for n in document.graph.node if n.op_type == "ConvInteger" and len(n.input) > 3}
    held = {each.name: each for each in document.graph.initializer}
    total = zeros = 0
    for name in names:
        offset = np.zeros(1, np.int64)
        if offsets.get(name) in held:
            offset = numpy_helper.to_array(held[offsets[name]]).astype(np.int64)
        while name in made_of:
            given = made_of[name]
            if len(given) > 2 and given[2] in held:
                offset = numpy_helper.to_array(held[given[2]]).astype(np.int64)
            name = given[0]
        if name in held:
            values = numpy_helper.to_array(held[name])
            if offset.size > 1:  # one for every output channel
                offset = offset.reshape(-1, *[1] * (values.ndim - 1))
            total += values.size
            zeros += int((values == offset).sum())
    return zeros / total if total else 0.0


class _Reader:
    """Takes nodes in the order they run, and keeps the operators."""

    def __init__(self, document: ModelProto, shapes: Mapping[str, tuple[int, ...]], image: str) -> None:
        self.shapes = shapes
        self.operators: list[Operator] = []
        self.others: set[str] = set()
        self.params = 0
        self.varies = {image}  # tensors that depend on the image
        self.activated: dict[str, str] = {}  # what an activation gives -> what it reads
        self.origin: dict[str, str] = {}  # numbers in another form -> what they are of
        self.integer: set[str] = set()  # what convolutions of integers give
        self.weights: set[str] = set()
        self._read: dict[str, Callable[[NodeProto], None]] = {
            "Conv": self._conv,
            "ConvInteger": self._conv,
            "ConvTranspose": self._transposed,
            "MatMul": self._product,
            "Gemm": self._product,
            "Concat": self._concat,
            "Softmax": lambda node: self._emit("softmax", node),
            "Resize": self._resize,
            "Upsample": self._resize,
            **dict.fromkeys(ARITHMETIC, self._arithmetic),
            **dict.fromkeys(POOLINGS, self._pool),
        }

    def read(self, node: NodeProto) -> None:
        """Take the next node."""
        if not any(name in self.varies for name in node.input):
            return  # of constants alone
        self.varies |= set(node.output) if node.op_type != "Shape" else set()
        if node.op_type in SAME:
            self.origin[node.output[0]] = self.origin.get(node.input[0], node.input[0])
        if node.op_type in ACTIVATIONS:
            self.activated[node.output[0]] = self.origin.get(node.input[0], node.input[0])
        elif node.op_type in self._read:
            self._read[node.op_type](node)
        elif node.op_type not in PASSED_ON:
            self.others.add(node.op_type)
            self._emit("add", node)

    def _shape(self, name: str) -> Shape:
        """Of a feature map; what has fewer dimensions, as a map of one row."""
        batch, *rest = self.shapes[name]
        if not all((batch, *rest)):
            raise ValueError(name)
        channels, *places = rest or [1]
        if len(places) > 1:
            return Shape(channels, math.prod(places[:-1]), places[-1])
        return Shape(channels, 1, math.prod(places))

    def _emit(self, kind: str, node: NodeProto, **attributes: Any) -> None:
        inputs = tuple(Tensor(self._shape(name)) for name in self._varying(node))
        self.operators.append(Operator(kind, inputs, Tensor(self._shape(node.output[0])), **attributes))

    def _varying(self, node: NodeProto) -> list[str]:
        """Inputs that depend on the image, without the single numbers that dynamic quantisation takes from it."""
        return [name for name in node.input if name in self.varies and self.shapes[name]]

    def _count(self, names: Sequence[str]) -> None:
        for name in names:
            if name not in self.varies and name not in self.weights:
                self.weights.add(name)
                self.params += math.prod(self.shapes[name])

    def _conv(self, node: NodeProto) -> None:
        kernel = self.shapes[node.input[1]][2:]
        strides = _attribute(node, "strides", [1])
        bias = node.input[2:3] if node.op_type == "Conv" else []
        self._count([node.input[1], *bias])
        if node.op_type == "ConvInteger":
            self.integer.add(node.output[0])
        self._emit(
            "conv",
            node,
            kernel=_edge(kernel),
            stride=max(strides),
            groups=_attribute(node, "group", 1),
            bias=bool(bias),
        )

    def _transposed(self, node: NodeProto) -> None:
        """Every place of the output is reached by one of `stride` kernels."""
        kernel, strides = self.shapes[node.input[1]][2:], _attribute(node, "strides", [1])
        self._count(node.input[1:3])
        reaching = [max(1, size // stride) for size, stride in zip(kernel, [*strides, *strides])]
        self._emit("conv", node, kernel=_edge(reaching), groups=_attribute(node, "group", 1), bias=len(node.input) > 2)

    def _product(self, node: NodeProto) -> None:
        """A product of matrices is a convolution of 1 x 1 over its rows."""
        self._count(node.input[1:])
        read, given = self.shapes[node.input[0]], self.shapes[node.output[0]]
        inner = read[-2] if node.op_type == "Gemm" and _attribute(node, "transA", 0) else read[-1]
        rows = math.prod(given[:-1])
        learnt = node.input[1] not in self.varies
        x, y = Tensor(Shape(inner, 1, rows)), Tensor(Shape(given[-1], 1, rows))
        if not all((inner, rows, given[-1])):
            raise ValueError(node.name)
        self.operators.append(Operator("conv", (x,), y, bias=len(node.input) > 2, learnt=learnt))

    def _pool(self, node: NodeProto) -> None:
        if len(self.shapes[node.input[0]]) >= MAP:
            self._emit(POOLINGS[node.op_type], node)

    def _resize(self, node: NodeProto) -> None:
        self._emit("nearest" if _attribute(node, "mode", b"nearest") == b"nearest" else "bilinear", node)

    def _concat(self, node: NodeProto) -> None:
        """Of maps and, along their places, of what the levels give; not of the decoded boxes."""
        rank = len(self.shapes[node.output[0]])
        if rank >= MAP or _attribute(node, "axis", 1) in (-1, rank - 1):
            self._emit("concat", node)

    def _arithmetic(self, node: NodeProto) -> None:
        """Of two maps; with a constant it is folded, and x times its own activation is an activation.

        What a convolution of integers gives becomes that of a convolution by a product, and its bias is added behind that.
        """
        varying = [self.origin.get(name, name) for name in self._varying(node)]
        if len(varying) == 1 and varying[0] in self.integer:
            if node.op_type == "Add":
                self._count(node.input)
            else:
                self.origin[node.output[0]] = varying[0]
        if len(varying) < 2 or len(self.shapes[node.output[0]]) < MAP:
            return
        if any(self.activated.get(one) == other for one in varying for other in varying):
            self.activated[node.output[0]] = node.input[0]
            return
        self._emit(ARITHMETIC[node.op_type], node)


def _attribute(node: NodeProto, name: str, otherwise: Any) -> Any:
    import onnx

    for each in node.attribute:
        if each.name == name:
            return onnx.helper.get_attribute_value(each)
    return otherwise


def _edge(kernel: Sequence[int]) -> Number:
    """The edge of a square kernel of as many entries."""
    edge = math.sqrt(math.prod(kernel))
    return int(edge) if edge == int(edge) else edge
