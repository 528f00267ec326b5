"""How much the channels of a network matter, by the weights that make them: the criteria of structured pruning.

network, graph -> axes of every layer -> of each channel, the entries of the parameters that give it -> one number
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from search_spaces.blocks import block
from search_spaces.blocks.axes import Place
from search_spaces.graph import LayerGraph

from .training_loss import losses, shown_batches

if TYPE_CHECKING:
    from ..data import Dataset

Importance = Mapping[str, Mapping[str, torch.Tensor]]  # layer -> axis -> (channels,), higher is more

TINY = 1e-12


def importance(network: nn.Module, graph: LayerGraph, criterion: str) -> Importance:
    """The importance of every channel that a layer gives or has inside, by a criterion of `CRITERIA`.

    Numbers of one axis are on the scale of their mean, so that layers can be compared; of `taylor`, whose numbers are changes of one
    loss, they are as they are.

    Raises:
        ValueError: `taylor`, and the parameters have no gradients.
    """
    found: dict[str, dict[str, torch.Tensor]] = {}
    for module, layer in zip(network.model, graph.layers):
        axes = block(layer.module).axes(layer)
        parameters = dict(module.named_parameters())
        found[layer.name] = {}
        for name in axes:
            if name.startswith("in") and name[2:].isdigit():
                continue  # what gives them has them
            total = torch.zeros(axes.size(name))
            for place in axes.places[name]:
                if place.dim == 0 and place.tensor in parameters:
                    total[place.first : place.first + place.count] += _CRITERIA[criterion](
                        parameters[place.tensor], place
                    )
            found[layer.name][name] = _scaled(total, criterion)
    return found


def _rows(values: torch.Tensor, place: Place) -> torch.Tensor:
    """(count, rest) the entries of each channel."""
    return values.detach()[place.start : place.start + place.count].reshape(place.count, -1)


def _norm(power: float) -> Callable[[torch.Tensor, Place], torch.Tensor]:
    """Sums of powers of weights, of convolutions alone: normalisation undoes whatever scale they have beside it."""

    def of(parameter: torch.Tensor, place: Place) -> torch.Tensor:
        if parameter.dim() < 2:
            return torch.zeros(place.count)
        return _rows(parameter, place).abs().pow(power).sum(1)

    return of


def _scale(parameter: torch.Tensor, place: Place) -> torch.Tensor:
    """The normalisation's factor. Every axis is given by a convolution that has one; others of it add nothing."""
    if place.tensor.endswith("bn.weight"):
        return _rows(parameter, place).abs().sum(1)
    return torch.zeros(place.count)


def _taylor(parameter: torch.Tensor, place: Place) -> torch.Tensor:
    if parameter.grad is None:
        raise ValueError(f"{place.tensor} has no gradient")
    return (_rows(parameter, place) * _rows(parameter.grad, place)).sum(1)


_CRITERIA: dict[str, Callable[[torch.Tensor, Place], torch.Tensor]] = {
    "l1": _norm(1),
    "l2": _norm(2),
    "lamp": _norm(2),
    "bn": _scale,
    "taylor": _taylor,
}
CRITERIA = tuple(_CRITERIA)


def _scaled(values: torch.Tensor, criterion: str) -> torch.Tensor:
    if criterion == "taylor":
        return values.square()
    if criterion == "l2":
        values = values.sqrt()
    if criterion == "lamp":
        order = values.argsort(descending=True)
        result = torch.empty_like(values)
        result[order] = values[order] / values[order].cumsum(0).clamp_min(
            TINY
        )  # what is at least as large, itself included
        return result
    return values / values.mean().clamp_min(TINY)


SOURCES: dict[str, Any] = {
    "l1": "H. Li et al., Pruning filters for efficient ConvNets, arXiv 1608.08710",
    "l2": "the same, with the Euclidean norm",
    "bn": "Z. Liu et al., Learning efficient convolutional networks through network slimming, arXiv 1708.06519",
    "taylor": "P. Molchanov et al., Importance estimation for neural network pruning, arXiv 1906.10771",
    "lamp": "J. Lee et al., Layer-adaptive sparsity for the magnitude-based pruning, arXiv 2010.07611, on channels",
}


def add_gradients(network: nn.Module, dataset: Dataset, image_size: int, images: int = 64, seed: int = 0) -> None:
    """Give the parameters the gradients of the mean loss over some training images, which `taylor` reads.

    Normalisation keeps its statistics; the network is left in evaluation mode.

    Raises:
        InputError: fewer training images than one batch, or one that cannot be read.
    """
    batches = shown_batches(dataset, image_size, images, seed)
    network.zero_grad(set_to_none=True)
    for parameter in network.parameters():
        parameter.requires_grad_()
    for loss in losses(network, batches):
        (loss / len(batches)).backward()
