"""Structured pruning: a trained network with fewer channels, dense, and an architecture like any other.

network -> its architecture in the space of pruned networks -> importance of every channel
    -> step by step, the width whose least channels matter least for what they cost is made narrower, until the target is met
    -> the channels that stay, layer by layer -> narrow: slices of the weights

With a channel goes the filter that gives it, all of its kernels, and the kernels of other filters that read it: what is also called
filter pruning.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import nn

from search_spaces import Architecture, InputError, build_model
from search_spaces.blocks import block
from search_spaces.errors import one_of
from search_spaces.families import families, family_of
from search_spaces.families.pruned import PrunedSpace
from search_spaces.graph import LayerGraph, lower
from search_spaces.narrowing import narrow, segments
from search_spaces.space import SearchSpace

from ..complexity import complexity
from ..latency.profile import DeviceProfile
from .importance import CRITERIA, Importance, importance

MULTIPLE = 8  # of channels, that runtimes like
LEAST = 8  # channels of a width: a quarter of them, or an eighth, is all that some blocks work on


@dataclass(frozen=True)
class Target:
    """When there is little enough: a cost, and the most of it.

    Attributes:
        cost: of architectures, all of one space: (n,) numbers.
        most: that is left.
        name: of the cost, with its unit.
    """

    cost: Callable[[Sequence[Architecture]], np.ndarray]
    most: float
    name: str


@dataclass(frozen=True)
class Pruned:
    """A network with fewer channels, its architecture, and that of the network that it was cut out of."""

    network: nn.Module
    architecture: Architecture
    before: Architecture


def as_architecture(network: nn.Module, image_size: int, what: str = "the network") -> Architecture:
    """A network in the frame of a family, as an architecture of its space of pruned networks, whoever built it.

    Raises:
        InputError: a network of no frame whose channels are known.
    """
    content: Any = getattr(network, "yaml", None)
    named = content.get("architecture") if isinstance(content, Mapping) else None
    spaces = [space for family in families().values() if (space := family.pruned_space()) is not None]
    for space in spaces:
        try:
            values = dict(named) if isinstance(named, Mapping) else space.read(network)
            found = space.of({**values, "image_size": image_size})
            if _shapes(build_model(found, len(network.names))) == _shapes(network):
                return found
        except (InputError, AttributeError, IndexError, KeyError, TypeError):
            continue
    raise InputError(f"{what}: is not of {one_of(space.frame for space in spaces)}, whose channels are known here")


def _shapes(network: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in network.state_dict().items()}


def pruned_space(architecture: Architecture) -> PrunedSpace:
    """The space of pruned networks that are in an architecture's frame. Raises InputError where its family has none."""
    found = family_of(architecture.space).pruned_space()
    if found is None:
        raise InputError(f"the channels of networks of the family {architecture.space.family!r} are not known here")
    return found


def axes_of(architecture: Architecture) -> dict[str, tuple[tuple[str, str], ...]]:
    """Width -> the (layer, axis) pairs that have as many channels, of the widths that the architecture has."""
    return pruned_space(architecture).axes(architecture)


def spelt_out(architecture: Architecture, num_classes: int) -> Architecture:
    """The same network with every width said, none of them by a rule, so that each can be made narrower for itself."""
    graph = lower(architecture, num_classes)
    layers = {layer.name: layer for layer in graph.layers}
    values = architecture.to_dict()
    for width, ((name, axis), *_) in axes_of(architecture).items():
        layer = layers[name]
        values[width] = int(
            block(layer.module).axes(layer).size(axis) if axis != "hidden" else layer.arguments["hidden"]
        )
    space = pruned_space(architecture)
    values |= {width: int(layers[name].arguments[argument]) for width, (name, argument) in space.fixed.items()}
    return space.of(values)


def prune(
    network: nn.Module,
    image_size: int,
    *,
    ratio: float | None = None,
    target: Target | None = None,
    criterion: str = "l2",
    per_layer: bool = False,
    multiple: int = MULTIPLE,
    whole: Architecture | None = None,
    what: str = "the network",
) -> Pruned:
    """Take the channels out of a network that matter least; the network is left as it is.

    Args:
        image_size: in pixels, at which costs are counted.
        ratio: share of the channels that go, 0 to 1, over the whole network or, `per_layer`, of every width.
        target: in place of a ratio: prune until a cost is met.
        criterion: of `importance.CRITERIA`; `taylor` reads the gradients that the parameters have.
        multiple: even; channels become multiples of it, and no fewer than `LEAST`.
        whole: what the ratio is a share of, where channels have gone before: `Pruned.before` of the first time.
        what: what messages call the network.

    Raises:
        InputError: a network whose channels are not known, a ratio or a criterion that there cannot be, or a target that cannot be
            met (the message says how near one comes).
    """
    check_how(criterion, multiple)
    if (ratio is None) == (target is None):
        raise InputError("prune to a ratio or to a target, one of them")
    if ratio is not None and not 0 <= ratio < 1:
        raise InputError(f"prune {ratio:g}: must be a share of the channels from 0 to below 1; 1 would leave none")
    classes = len(network.names)
    before = spelt_out(as_architecture(network, image_size, what), classes)
    graph = lower(before, classes)
    matters = importance(network, graph, criterion)
    widths, whole = axes_of(before), whole or before
    if ratio is not None and per_layer:
        values = before.to_dict()
        after = pruned_space(before).of(
            {**values, **{name: narrower(values[name], (1 - ratio) * whole[name], multiple) for name in widths}}
        )
    elif ratio is not None:
        after = _descend(before, widths, matters, _channels_target(widths, whole, ratio), multiple)
    else:
        assert target is not None
        after = _descend(before, widths, matters, target, multiple)
    return Pruned(cut_to(network, graph, after, matters), after, before)


def cut_to(network: nn.Module, graph: LayerGraph, after: Architecture, matters: Importance) -> nn.Module:
    """The network of the narrower architecture, cut out of the one of `graph`: of every axis the channels that matter most."""
    slim = lower(after, len(network.names))
    small = build_model(after, len(network.names), network.names)
    narrow(network, graph, slim, small, kept_channels(graph, slim, matters))
    return small.train(network.training)


def check_how(criterion: str, multiple: int) -> None:
    """Raise InputError where there is no such criterion, or channels cannot be multiples of such a number."""
    if criterion not in CRITERIA:
        raise InputError(f"criterion {criterion!r}: must be {one_of(CRITERIA)}")
    if multiple < 2 or multiple % 2:
        raise InputError(f"multiple {multiple}: must be an even number from 2: some blocks halve their channels")


def narrower(width: int, wanted: float, multiple: int) -> int:
    """The multiple nearest to what is wanted, and `LEAST` or more; a width that is less stays."""
    least = -(-LEAST // multiple) * multiple
    return min(width, max(least, round(wanted / multiple) * multiple))


def _channels_target(widths: Mapping[str, Any], whole: Architecture, ratio: float) -> Target:
    def channels(architectures: Sequence[Architecture]) -> np.ndarray:
        return np.array([sum(a[name] * len(pairs) for name, pairs in widths.items()) for a in architectures], float)

    return Target(channels, (1 - ratio) * float(channels([whole])[0]), "channels")


def _descend(
    before: Architecture,
    widths: Mapping[str, Sequence[tuple[str, str]]],
    matters: Importance,
    target: Target,
    multiple: int,
) -> Architecture:
    """Make the width narrower whose least channels matter least for what they cost, until the target is met."""
    lost = {  # width -> how much is lost with each channel, the least of every axis first
        name: np.cumsum(sum(np.sort(matters[layer][axis].numpy().astype(float)) for layer, axis in pairs))
        for name, pairs in widths.items()
    }
    values, space = before.to_dict(), pruned_space(before)
    start = {name: values[name] for name in widths}
    cost = float(target.cost([before])[0])
    while cost > target.most:
        next_less = {name: (values[name] - 1) // multiple * multiple for name in widths}
        tried = {name: width for name, width in next_less.items() if width >= LEAST}
        if not tried:
            raise InputError(
                f"{target.name}: {target.most:,.4g} cannot be reached by taking channels out; {cost:,.4g} is the nearest"
            )
        options = [{**values, name: width} for name, width in tried.items()]
        costs = target.cost(_of_one_space(space, options))
        scores = []
        for (name, width), then in zip(tried.items(), costs):
            gone, going = start[name] - values[name], start[name] - width
            more = lost[name][going - 1] - (lost[name][gone - 1] if gone else 0.0)
            scores.append(more / max(cost - float(then), 1e-9 * cost))
        best = int(np.argmin(scores))
        values, cost = options[best], float(costs[best])
    return space.of(values)


def _of_one_space(space: PrunedSpace, options: Sequence[Mapping[str, Any]]) -> list[Architecture]:
    """Architectures of all these values, in one space that holds them."""
    held: SearchSpace = space.holding(
        {name: sorted({o[name] for o in options}) for name in space.open_choices if name in options[0]}
    )
    return [held.architecture(**values) for values in options]


def kept_channels(graph: LayerGraph, slim: LayerGraph, matters: Importance) -> dict[str, dict[str, list[int]]]:
    """Layer -> axis -> the channels that stay: in every segment, as many of the most important ones as the slimmer graph has."""
    new = segments(slim)
    kept: dict[str, dict[str, list[int]]] = {}
    for layer, axes in segments(graph).items():
        kept[layer] = {}
        for name, sizes in axes.items():
            if name not in matters[layer] or name not in new[layer]:
                continue  # an input, which follows from what gives it
            edges = np.cumsum([0, *sizes])
            stays: list[int] = []
            for start, size, count in zip(edges, sizes, new[layer][name]):
                order = np.argsort(-matters[layer][name].numpy()[start : start + size], kind="stable")[:count]
                stays += sorted(int(start + i) for i in order)
            kept[layer][name] = stays
    return kept


def macs_target(most: float, num_classes: int) -> Target:
    """At most so many multiply-accumulates for one image."""
    return Target(lambda found: complexity(found, num_classes).macs.astype(float), most, "MACs")


def params_target(most: float, num_classes: int) -> Target:
    """At most so many parameters."""
    return Target(lambda found: complexity(found, num_classes).params.astype(float), most, "parameters")


def latency_target(most_ms: float, profile: DeviceProfile, num_classes: int) -> Target:
    """At most so many milliseconds, as the profile of a device predicts them."""

    def latency(architectures: Sequence[Architecture]) -> np.ndarray:
        return profile.predict(architectures, num_classes)[0]

    return Target(latency, most_ms, f"ms on {profile.name}")
