"""Depth pruning: bottlenecks taken whole out of the blocks of C2f's frame, those first without which the loss rises least.

network -> for every bottleneck: the network without it -> its loss on training images -> the least one goes -> and again

That networks with shortcuts bear the loss of single blocks, untrained, was found by A. Veit et al., "Residual networks behave like
ensembles of relatively shallow networks", arXiv 1605.06431; to choose by the change of the loss is the oracle of P. Molchanov et al.,
"Pruning convolutional neural networks for resource efficient inference", arXiv 1611.06440.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from search_spaces import Architecture, InputError, build_model
from search_spaces.blocks import block
from search_spaces.blocks.cross_stage import CrossStage
from search_spaces.families.pruned import BLOCKS
from search_spaces.graph import lower

from .pruning import Pruned, as_architecture, pruned_space
from .training_loss import mean_loss, shown_batches

if TYPE_CHECKING:
    from ..data import Dataset

HALVES = 2  # of a block's split, which stand before the bottlenecks in what its last convolution reads


def bottlenecks(architecture: Architecture) -> list[tuple[str, int]]:
    """(prefix of a block's choices, number from 0) of each bottleneck that an architecture has."""
    prefixes = [prefix for prefix in BLOCKS if f"{prefix}_depth" in architecture]
    return [(prefix, number) for prefix in prefixes for number in range(architecture[f"{prefix}_depth"])]


def without(network: nn.Module, architecture: Architecture, prefix: str, number: int) -> Pruned:
    """The network without one bottleneck: the next one reads what that one read, and the block's last convolution no longer reads it.

    Where a bottleneck has a shortcut, or as a partial one passes most channels on, what it gave is what it read and more: the weights
    that read it are added to those that read the same before, so that what is lost is its residual branch, exactly. All others are as
    they were.

    Args:
        architecture: of the network, in the space of pruned networks.
        prefix, number: of `bottlenecks`.
    """
    depth, classes = f"{prefix}_depth", len(network.names)
    after = pruned_space(architecture).of({**architecture.to_dict(), depth: architecture[depth] - 1})
    layers = lower(after, classes).layers
    position = [layer.name for layer in layers].index(f"{prefix}.block")
    kind, module = block(layers[position].module), network.model[position]
    assert isinstance(kind, CrossStage)
    path, given = f"model.{position}", network.state_dict()
    read = list(given[f"{path}.cv2.conv.weight"].split(module.c, 1))
    gone = read.pop(HALVES + number)
    if kind.passes_on(module.m[number]):
        read[HALVES + number - 1] = read[HALVES + number - 1] + gone
    shallow = build_model(after, classes, network.names)
    taken = {}
    for name in shallow.state_dict():
        source = name
        if name.startswith(f"{path}.m."):
            index, _, rest = name.removeprefix(f"{path}.m.").partition(".")
            source = f"{path}.m.{int(index) + (int(index) >= number)}.{rest}"
        taken[name] = given[source]
    shallow.load_state_dict({**taken, f"{path}.cv2.conv.weight": torch.cat(read, 1)})
    return Pruned(shallow.train(network.training), after, architecture)


def prune_depth(
    network: nn.Module,
    image_size: int,
    dataset: Dataset,
    count: int,
    *,
    images: int = 64,
    seed: int = 0,
    what: str = "the network",
) -> Pruned:
    """Take so many bottlenecks out of a network, one after another; the network is left as it is.

    Args:
        image_size: in pixels.
        images: from the training split, drawn by the seed, that the loss is of; all, where there are fewer.
        what: what messages call the network.

    Raises:
        InputError: a network whose channels are not known, or that has fewer bottlenecks; an image that cannot be read.
    """
    before = as_architecture(network, image_size, what)
    there = len(bottlenecks(before))
    if not 0 <= count <= there:
        raise InputError(
            f"depth {count}: must be the number of bottlenecks that go, 0 to {there}, as many as {what} has"
        )
    batches = shown_batches(dataset, image_size, images, seed)
    found = Pruned(network, before, before)
    for _ in range(count):
        options = [without(found.network, found.architecture, *each) for each in bottlenecks(found.architecture)]
        losses = [mean_loss(option.network, batches) for option in options]
        found = options[losses.index(min(losses))]
    return Pruned(found.network.train(network.training), found.architecture, before)
