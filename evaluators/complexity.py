"""Exact parameters, MACs and peak activation memory of many architectures at once, from their layer graphs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from search_spaces import Architecture
from search_spaces.graph import BYTES_PER_VALUE, IMAGE, LayerGraph, lower_many
from search_spaces.trace import peak_bytes, trace


@dataclass(frozen=True)
class Complexity:
    """Costs of n architectures, each an (n,) int64 array.

    Attributes:
        params: parameters, as `sum(p.numel() for p in model.parameters())` counts them.
        macs: multiply-accumulates of all convolutions for one image, the head's fixed one included, and of attention's products
            of feature maps (FLOPs = 2 x MACs; normalisation, activations, pooling and resizing count none).
        peak_activation_bytes: most bytes of FP32 activations alive at once for one image, up to the head's boxes and
            class scores, when layers run in order, every tensor is freed after its last use, views share memory, and
            normalisation and activations work in place.
    """

    params: np.ndarray
    macs: np.ndarray
    peak_activation_bytes: np.ndarray


def complexity(
    architectures: Sequence[Architecture],
    num_classes: int = 80,
    image_size: int | Sequence[int] | None = None,
) -> Complexity:
    """Costs of the architectures (all of one space) at each one's own image size, or at `image_size` pixels.

    Raises:
        InputError: an image size that is no multiple of 32, or a space without layer graphs.
    """
    architectures = list(architectures)
    result = Complexity(*(np.zeros(len(architectures), np.int64) for _ in range(3)))
    for rows, graph in lower_many(architectures, num_classes, image_size):
        _add_costs(graph, rows, result)
    return result


def _add_costs(graph: LayerGraph, rows: np.ndarray, result: Complexity) -> None:
    last_use = graph.last_use()
    peak = np.zeros(len(rows), np.int64)
    waiting = {IMAGE: graph.image.values}  # values of each feature map that some later layer still reads
    for index, layer in enumerate(graph.layers):
        elsewhere = sum((values for source, values in waiting.items() if source not in layer.inputs), np.int64(0))
        held = [last_use[source] > index for source in layer.inputs]
        for part, variant in layer.variants(len(rows)):
            steps, inputs, outputs = trace(variant)
            costs = [step.cost for step in steps]  # none in a layer that only passes on what it reads
            result.params[rows[part]] += sum(params for params, _ in costs)
            result.macs[rows[part]] += sum(macs for _, macs in costs)
            alive = elsewhere[part] if np.ndim(elsewhere) else elsewhere
            inside = peak_bytes(steps, inputs, outputs, held)
            peak[part] = np.maximum(peak[part], alive * BYTES_PER_VALUE + inside)
        waiting = {source: values for source, values in waiting.items() if last_use[source] > index}
        if index in last_use:
            waiting[index] = layer.out_shapes[0].values
    result.peak_activation_bytes[rows] = peak
