"""What a latency predictor sees of architectures: work by kind of operator or, without layer graphs, their choices."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from search_spaces import Architecture, SearchSpace
from search_spaces.graph import Number, lower_many
from search_spaces.tape import Tensor
from search_spaces.trace import Operator, trace

from ..inputs import Inputs

# Operators that runtimes execute by different code. Normalisation and activations belong to their convolution.
CONVOLUTIONS = ("pointwise", "dense", "strided", "depthwise")
OTHERS = ("pool", "nearest", "bilinear", "concat", "arithmetic", "softmax")
KINDS = CONVOLUTIONS + OTHERS
# What the time of one operator may grow with: a fixed part, multiply-accumulates, those that there would be if channels
# filled whole vectors ("lanes"), those of operators whose channels do not even fill blocks of four, which runtimes with
# blocked layouts (ncnn, MNN) leave unvectorised ("ragged"), values read and written, weights.
WORK: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(CONVOLUTIONS, ("count", "macs", "lanes", "ragged", "read", "written", "weights")),
    **dict.fromkeys(OTHERS, ("count", "written")),
}
TERMS = tuple((kind, work) for kind in KINDS for work in WORK[kind])
_FIRST = {kind: TERMS.index((kind, "count")) for kind in KINDS}
LANES = 16  # channels that one vector instruction takes
BLOCK = 4  # channels that a blocked layout keeps together
_KIND = {"maxpool": "pool", "avgpool": "pool", "add": "arithmetic", "mul": "arithmetic"}


def has_graphs(space: SearchSpace) -> bool:
    """Whether the space lowers its architectures to layer graphs."""
    return hasattr(space, "lower_values")


def kind_of(operator: Operator) -> str:
    """The kind (of `KINDS`) that an operator of a trace belongs to."""
    if operator.kind == "conv":
        if _is_depthwise(operator):
            return "depthwise"
        if operator.kernel == 1:
            return "pointwise"
        return "dense" if operator.stride == 1 else "strided"
    return _KIND.get(operator.kind, operator.kind)


def _is_depthwise(operator: Operator) -> bool:
    """Whether every channel is a group of its own; of many architectures at once, in all of them.

    A convolution of one channel in one group is a dense one, unless others of its column show what it is.
    """
    channels = operator.inputs[0].shape.channels
    return bool(np.all(np.equal(operator.groups, channels)) and np.any(np.not_equal(operator.groups, 1)))


def _filled(channels: Number) -> Any:
    """How much more work the channels are when they fill vectors, a float or an array."""
    return -(-channels // LANES) * LANES / channels


def _is_ragged(*channels: Number) -> Any:
    """Whether some of the channels leave a block unfilled, a boolean or an array."""
    return np.any([np.mod(c, BLOCK) != 0 for c in np.broadcast_arrays(*channels)], axis=0)


@dataclass(frozen=True)
class Work:
    """What n networks do for one image.

    Attributes:
        table: (n, len(TERMS)), summed over each network's operators.
        pixels: (n,) of the image.
    """

    table: np.ndarray
    pixels: np.ndarray

    def __len__(self) -> int:
        return len(self.table)

    def rows(self, index: np.ndarray) -> Work:
        """Some of the networks."""
        return Work(self.table[index], self.pixels[index])


@dataclass(frozen=True)
class Seen:
    """What is known of n architectures of a space without layer graphs.

    Attributes:
        choices: the values of their choices.
        elsewhere: (n, devices) standardised log latencies that predictors of other devices give.
    """

    choices: Inputs
    elsewhere: np.ndarray

    def __len__(self) -> int:
        return len(self.choices)

    def rows(self, index: np.ndarray) -> Seen:
        """Some of the architectures."""
        return Seen(self.choices.rows(index), self.elsewhere[index])


def operator_work(
    architectures: Sequence[Architecture], num_classes: int = 80, image_size: int | Sequence[int] | None = None
) -> Work:
    """The work of architectures, all of one space."""
    result = np.zeros((len(architectures), len(TERMS)))
    pixels = np.zeros(len(architectures))
    for rows, graph in lower_many(list(architectures), num_classes, image_size):
        pixels[rows] = graph.image.height * graph.image.width
        readers = [[str(r.module) for r in graph.layers if index in r.inputs] for index in range(len(graph.layers))]
        for layer, read_by in zip(graph.layers, readers):
            for part, variant in layer.variants(len(rows)):
                steps, _, outputs = trace(variant)
                sums = _sums(_made(steps, () if read_by == ["Concat"] else outputs))
                if not sums:  # a layer that only passes on what it reads
                    continue
                block = np.stack([np.broadcast_to(value, len(part)) for value in sums.values()], axis=1)
                result[rows[part][:, None], list(sums)] += block
    return Work(result, pixels)


def _made(steps: Sequence[Operator], outputs: Sequence[Tensor]) -> list[Operator]:
    """The operators of a layer without concatenations that only another concatenation reads: exporters make one of both.

    Args:
        outputs: what is read elsewhere, by others than one concatenation.
    """
    read = Counter(tensor.storage for step in steps for tensor in step.inputs)
    joined = {tensor for step in steps if step.kind == "concat" for tensor in step.inputs}
    kept = {tensor.storage for tensor in outputs}

    def is_made(step: Operator) -> bool:
        if step.kind != "concat" or step.output in kept:
            return True
        return read[step.output] > 1 or (read[step.output] == 1 and step.output not in joined)

    return [step for step in steps if is_made(step)]


def work_of(steps: Sequence[Operator], pixels: int) -> Work:
    """The work of one network from its operators.

    Args:
        pixels: of the image.
    """
    result = np.zeros((1, len(TERMS)))
    for column, value in _sums(steps).items():
        result[0, column] = value
    return Work(result, np.array([float(pixels)]))


def _sums(steps: Sequence[Operator]) -> dict[int, Number]:
    """Column -> what the operators add to it, a number or one per architecture."""
    sums: dict[int, Number] = {}
    for step in steps:
        kind = kind_of(step)
        first = _FIRST[kind]
        amounts: tuple[Number, ...] = (1, step.output.shape.values)
        if kind in CONVOLUTIONS:
            macs = step.cost[1]
            lanes = macs * _filled(step.output.shape.channels)
            if kind != "depthwise":
                lanes = lanes * _filled(step.inputs[0].shape.channels)
            ragged = macs * _is_ragged(step.inputs[0].shape.channels, step.output.shape.channels)
            amounts = (1, macs, lanes, ragged, step.inputs[0].shape.values, step.output.shape.values, step.weights)
        for column, value in enumerate(amounts, start=first):
            sums[column] = sums.get(column, 0) + value
    return sums
