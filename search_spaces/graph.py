"""The layer graph: the one form that a genotype is lowered to, and that everything else reads.

    architecture(s) --lower--> LayerGraph --trace--> operators --> params, MACs, memory, latency features
                                   |----> build.py: the network          |----> yaml: Ultralytics' layer list

Numbers in a graph are plain integers when one architecture was lowered, and integer arrays with one entry per
architecture when columns of many were: the lowering and the traces are ordinary arithmetic and serve both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from .errors import InputError
from .space import Architecture, SearchSpace

# An integer, or an integer array with one entry per architecture. Arithmetic serves both, so the checker sees neither.
Number: TypeAlias = Any

IMAGE = -1  # the "layer" that gives the image: the one before the first, as in Ultralytics' "from"
BYTES_PER_VALUE = 4  # activations are counted in FP32
MOST_CLASSES = 100_000  # of a head; the largest datasets have some ten thousand
LARGEST_IMAGE = 16_384  # pixels of an edge: beyond, counts of 64 bits may overflow
STRIDE = 32  # image sizes are multiples of the coarsest level's stride


class Shape(NamedTuple):
    """Channels, height and width of one feature map (batch 1)."""

    channels: Number
    height: Number
    width: Number

    @property
    def values(self) -> Number:
        """How many values the map holds."""
        return self.channels * self.height * self.width

    def rows(self, index: np.ndarray) -> Shape:
        """The shapes of some of the architectures."""
        return Shape(*(_rows(number, index) for number in self))


def _rows(value: Any, index: np.ndarray) -> Any:
    return value[index] if isinstance(value, np.ndarray) else value


@dataclass(frozen=True)
class Layer:
    """One module of the network.

    Attributes:
        name: of the layer, stable over the architectures of a space (`p3.block`): by it weights are shared, channels
            pruned and features distilled.
        module: name of its block.
        inputs: indices of the layers it reads, IMAGE for the image.
        in_shapes, out_shapes: the feature maps in and out.
        arguments: what else the block's trace and constructor take.
        structure: names of those arguments, beside the module, that decide *which* operators there are.
    """

    name: str
    module: Any
    inputs: tuple[int, ...]
    in_shapes: tuple[Shape, ...]
    out_shapes: tuple[Shape, ...]
    arguments: Mapping[str, Any]
    structure: tuple[str, ...] = ()

    def variants(self, count: int) -> Iterator[tuple[np.ndarray, Layer]]:
        """Split a layer of `count` architectures into layers whose operators are the same: (rows, layer) pairs."""
        columns = {"module": self.module, **{name: self.arguments[name] for name in self.structure}}
        columns = {name: column for name, column in columns.items() if isinstance(column, np.ndarray)}
        rest = np.arange(count)
        while rest.size:
            first = {name: column[rest[0]] for name, column in columns.items()}
            same = np.ones(rest.size, bool)
            for name, column in columns.items():
                same &= column[rest] == first[name]
            rows, rest = rest[same], rest[~same]
            arguments = {
                name: first[name].item() if name in first else _rows(value, rows)
                for name, value in self.arguments.items()
            }
            yield (
                rows,
                Layer(
                    self.name,
                    str(first.get("module", self.module)),
                    self.inputs,
                    tuple(shape.rows(rows) for shape in self.in_shapes),
                    tuple(shape.rows(rows) for shape in self.out_shapes),
                    arguments,
                    self.structure,
                ),
            )


@dataclass
class LayerGraph:
    """Layers in the order they run; the last one is the detection head."""

    image: Shape
    num_classes: int
    layers: list[Layer] = field(default_factory=list)
    backbone: int = 0  # layers that belong to the backbone, as model files tell it from what follows

    def end_backbone(self) -> None:
        """What has been added so far is the backbone."""
        self.backbone = len(self.layers)

    def add(
        self,
        module: Any,
        inputs: int | Sequence[int],
        channels: Number,
        down: int = 1,
        up: int = 1,
        structure: Sequence[str] = (),
        *,
        name: str | None = None,
        **arguments: Any,
    ) -> int:
        """Append a layer with one output: `channels` at its first input's size divided by `down`, times `up`.

        Args:
            module: name of its block, or an array of names with one entry per architecture.
            inputs: indices of the layers that it reads.
            structure: names of the arguments that decide which operators there are.
            name: of the layer; None names it by its index, which is only stable where the topology is.
            arguments: what else the block takes.

        Returns:
            The index of the layer.
        """
        sources = (inputs,) if isinstance(inputs, int) else tuple(inputs)
        in_shapes = tuple(self.shape(index) for index in sources)
        out_shapes = (Shape(channels, *(size // down * up for size in in_shapes[0][1:])),)
        arguments = {"channels": channels, **arguments}
        self._append(
            Layer(
                name or f"layer{len(self.layers)}", module, sources, in_shapes, out_shapes, arguments, tuple(structure)
            )
        )
        return len(self.layers) - 1

    def add_head(
        self, module: str, inputs: Sequence[int], structure: Sequence[str] = (), *, name: str = "head", **arguments: Any
    ) -> None:
        """Append the detection head: it gives boxes (4, 1, anchors) and class scores (classes, 1, anchors)."""
        in_shapes = tuple(self.shape(index) for index in inputs)
        anchors = sum(shape.height * shape.width for shape in in_shapes)
        out_shapes = (Shape(4, 1, anchors), Shape(self.num_classes, 1, anchors))
        arguments = {"num_classes": self.num_classes, **arguments}
        self._append(Layer(name, module, tuple(inputs), in_shapes, out_shapes, arguments, tuple(structure)))

    def _append(self, layer: Layer) -> None:
        if any(layer.name == other.name for other in self.layers):
            raise InputError(f"a layer graph has two layers named {layer.name!r}")
        self.layers.append(layer)

    def shape(self, index: int) -> Shape:
        """The first feature map that a layer gives, or the image."""
        return self.image if index == IMAGE else self.layers[index].out_shapes[0]

    def last_use(self) -> dict[int, int]:
        """Layer (or IMAGE) -> the last layer that reads it."""
        return {source: i for i, layer in enumerate(self.layers) for source in layer.inputs}


def check_num_classes(number: object, what: str = "num_classes") -> int:
    """A number of classes, as it is. Raises InputError, saying `what` it is, unless a head can have as many."""
    if isinstance(number, bool) or not isinstance(number, (int, np.integer)) or not 1 <= number <= MOST_CLASSES:
        raise InputError(f"{what} must be a whole number from 1 to {MOST_CLASSES:,}, not {number!r}")
    return int(number)


def check_image_size(image_size: int | Sequence[int]) -> tuple[int, int]:
    """(height, width) from an edge or a pair; InputError unless both are multiples of 32 up to `LARGEST_IMAGE`."""
    pair = tuple(image_size) if isinstance(image_size, (tuple, list)) else (image_size, image_size)
    if len(pair) != 2 or any(
        not isinstance(s, (int, np.integer)) or not 0 < s <= LARGEST_IMAGE or s % STRIDE for s in pair
    ):
        raise InputError(
            f"image size must be a positive multiple of {STRIDE} pixels up to {LARGEST_IMAGE:,} (or a pair of them), not {image_size!r}"
        )
    return int(pair[0]), int(pair[1])


def _lowering(space: SearchSpace) -> Callable[..., LayerGraph]:
    lower_values = getattr(space, "lower_values", None)
    if lower_values is None:
        raise InputError(f"space {space.name!r} has no layer graph: its class does not define lower_values()")
    return lower_values


def lower(
    architecture: Architecture, num_classes: int = 80, image_size: int | Sequence[int] | None = None
) -> LayerGraph:
    """The layer graph of one architecture.

    Args:
        num_classes: classes of the detection head.
        image_size: pixels, an edge or (height, width); None takes the architecture's own.

    Raises:
        InputError: a size that is no multiple of 32, no count of classes, or a space without layer graphs.
    """
    check_num_classes(num_classes)
    size = check_image_size(image_size if image_size is not None else architecture["image_size"])
    return _lowering(architecture.space)(architecture, num_classes, *size)


def lower_many(
    architectures: Sequence[Architecture], num_classes: int = 80, image_size: int | Sequence[int] | None = None
) -> Iterator[tuple[np.ndarray, LayerGraph]]:
    """Lower many architectures of one space at once: (rows, graph of arrays) for each topology among them."""
    check_num_classes(num_classes)
    if not architectures:
        return
    space = architectures[0].space
    lower_values = _lowering(space)
    columns = space.columns(architectures)
    codes = space.code_matrix(architectures)[:, [space.position(name) for name in space.topology_choices]]
    _, first, group = np.unique(codes, axis=0, return_index=True, return_inverse=True)
    for k, example in enumerate(first):
        rows = np.flatnonzero(group.reshape(-1) == k)
        values = {name: column[rows] for name, column in columns.items()}
        for name in space.topology_choices:
            values[name] = architectures[example].get(name)
        size = (values["image_size"],) * 2 if image_size is None else check_image_size(image_size)
        yield rows, lower_values(values, num_classes, *size)
