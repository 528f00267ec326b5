"""Networks with fewer channels cut out of wider ones: what pruning and weight sharing have in common.

    graph, narrower graph (same layers, smaller widths) -> axes of every layer -> channels kept of each axis
    -> every parameter of the narrower network is a slice of the wider one's

Channels that a layer gives are those that its readers read, so what is kept of an output is chosen once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import nn

from .blocks import block
from .blocks.axes import Axes
from .errors import InputError
from .graph import IMAGE, Layer, LayerGraph

Kept = Mapping[str, Sequence[int]]  # axis -> the channels that stay, ascending


def segments(graph: LayerGraph) -> dict[str, dict[str, tuple[int, ...]]]:
    """Layer name -> axis -> its segments: as many channels must stay in each as the narrower network has there.

    The axis `out` of a layer is cut where the layer cuts it and where a reader does: an ADown takes the first half of what
    it reads for one of its branches and the second half for the other.
    """
    cuts: list[set[int]] = [set() for _ in graph.layers]  # of what each layer gives, by its readers
    found: dict[str, dict[str, tuple[int, ...]]] = {}
    for index, layer in reversed(list(enumerate(graph.layers))):
        axes = block(layer.module).axes(layer)
        found[layer.name] = {name: axes.segments[name] for name in axes}
        if "out" in axes:
            edges = sorted({*_edges(axes.segments["out"]), *cuts[index]})
            found[layer.name]["out"] = tuple(high - low for low, high in zip(edges, edges[1:]))
        start = 0
        for number, (source, shape) in enumerate(zip(layer.inputs, layer.in_shapes)):
            if f"in{number}" in axes:
                read = set(_edges(axes.segments[f"in{number}"]))
            else:  # passed on, behind what stands before it
                read = {cut - start for cut in cuts[index] if start <= cut <= start + shape.channels}
                start += shape.channels
            if source != IMAGE:
                cuts[source] |= read
    return found


def _edges(sizes: Sequence[int]) -> list[int]:
    return [int(edge) for edge in np.cumsum([0, *sizes])]


def narrow(
    network: nn.Module,
    graph: LayerGraph,
    narrower: LayerGraph,
    target: nn.Module,
    kept: Mapping[str, Kept] | None = None,
) -> None:
    """Fill `target`, the network of the narrower graph, with slices of `network`, the one of `graph`.

    Args:
        kept: layer name -> axis -> the channels that stay, as many in each segment of the axis as the narrower layer has;
            of an axis that is not named the first ones of each segment. Axes of inputs follow from what gives them.

    Raises:
        InputError: the graphs do not have the same layers, a layer of the narrower one is wider, or `kept` names a layer,
            an axis or channels that there are not.
    """
    if [layer.name for layer in graph.layers] != [layer.name for layer in narrower.layers]:
        raise InputError("the two networks do not have the same layers")
    kept = dict(kept or {})
    for name in kept:
        if name not in {layer.name for layer in graph.layers}:
            raise InputError(f"the network has no layer {name!r}")
    parts, narrower_parts = segments(graph), segments(narrower)
    outputs: dict[int, np.ndarray] = {IMAGE: np.arange(graph.image.channels)}
    offsets: dict[int, int] = {IMAGE: graph.image.channels}  # channels of each output in the wider network
    for index, (wide, slim) in enumerate(zip(graph.layers, narrower.layers)):
        if wide.module != slim.module:
            raise InputError(f"layer {wide.name} is a {wide.module} in one network and a {slim.module} in the other")
        axes, target_axes = block(wide.module).axes(wide), block(slim.module).axes(slim)
        chosen = {}
        for number, source in enumerate(wide.inputs):
            chosen[f"in{number}"] = outputs[source]
        asked = kept.get(wide.name, {})
        for name in asked:
            if name not in axes or name in chosen:
                raise InputError(f"layer {wide.name} has no axis {name!r} to choose from")
        for name, old in parts[wide.name].items():
            new, where = narrower_parts[wide.name].get(name), f"layer {wide.name}, axis {name}"
            if new is None:  # of a bottleneck that the narrower network does not have
                chosen.setdefault(name, np.arange(sum(old)))
                continue
            if name not in chosen:
                chosen[name] = np.unique(np.asarray(asked[name], int)) if name in asked else _first(old, new)
            _check_segments(where, old, new, chosen[name])
        _copy(network.model[index], target.model[index], axes, target_axes, chosen)
        outputs[index] = _output(wide, chosen, outputs, offsets)
        offsets[index] = wide.out_shapes[0].channels


def _output(
    layer: Layer, chosen: Mapping[str, np.ndarray], outputs: Mapping[int, np.ndarray], sizes: Mapping[int, int]
) -> np.ndarray:
    """The channels kept of what a layer gives; a layer without an axis `out` passes its inputs on, one after another."""
    if "out" in chosen:
        return chosen["out"]
    starts = np.cumsum([0, *(sizes[source] for source in layer.inputs[:-1])])
    return np.concatenate([outputs[source] + start for source, start in zip(layer.inputs, starts)])


def _first(old: Sequence[int], new: Sequence[int]) -> np.ndarray:
    """The first channels of each segment."""
    return np.concatenate([start + np.arange(count) for start, count in zip(_edges(old), new)])


def _check_segments(where: str, old: Sequence[int], new: Sequence[int], chosen: np.ndarray) -> None:
    edges = _edges(old)
    counts = [int(((chosen >= low) & (chosen < high)).sum()) for low, high in zip(edges, edges[1:])]
    if counts != list(new) or len(chosen) != sum(counts):
        raise InputError(
            f"{where}: {counts} of its {list(old)} channels are kept, and the narrower network has {list(new)}"
        )


def _copy(
    source: nn.Module, target: nn.Module, axes: Axes, target_axes: Axes, chosen: Mapping[str, np.ndarray]
) -> None:
    places, wanted = axes.by_tensor(), target_axes.by_tensor()
    state, result = source.state_dict(), target.state_dict()
    for tensor, old in result.items():
        value = state[tensor]
        for dim in range(value.dim()):
            along = places.get((tensor, dim))
            if along:
                along = along[: len(wanted[tensor, dim])]  # fewer bottlenecks are the first ones
                indices = [
                    chosen[name][(chosen[name] >= p.first) & (chosen[name] < p.first + p.count)] - p.first + p.start
                    for name, p in along
                ]
                value = value.index_select(dim, torch.from_numpy(np.concatenate(indices)).to(value.device))
        result[tensor] = value.reshape(old.shape) if value.numel() == old.numel() else value
    target.load_state_dict(result)
