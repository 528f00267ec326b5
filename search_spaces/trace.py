"""What each layer does, as operators with their shapes: the mirror of every module's forward pass.

A trace is written once per block with the same steps as its `forward`; parameters, MACs, memory and latency features all
come from it. Batch normalisation and activations belong to the convolution before them and work in place.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .blocks import block
from .graph import BYTES_PER_VALUE, Layer, LayerGraph, Number
from .tape import Operator, Tape, Tensor


def trace(layer: Layer) -> tuple[list[Operator], list[Tensor], list[Tensor]]:
    """The operators of one layer, its input tensors and its output tensors."""
    tape = Tape()
    inputs = [Tensor(shape) for shape in layer.in_shapes]
    outputs = block(layer.module).trace(tape, *inputs, **layer.arguments)
    outputs = [outputs] if isinstance(outputs, Tensor) else list(outputs)
    return tape.operators, inputs, outputs


def operators(graph: LayerGraph) -> list[Operator]:
    """All operators of the graph of one architecture, in the order they run."""
    return [operator for layer in graph.layers for operator in trace(layer)[0]]


def peak_bytes(
    steps: Sequence[Operator], inputs: Sequence[Tensor], outputs: Sequence[Tensor], held: Sequence[bool]
) -> Number:
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
