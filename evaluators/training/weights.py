"""Weights of one network taken over into another, where names and shapes agree."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from search_spaces import InputError, build_model
from search_spaces.models import architecture_of

COUNTERS = "num_batches_tracked"  # of every normalisation, which no network is the better for


@dataclass(frozen=True)
class Taken:
    """How much of a network was taken over: tensors (running statistics among them) and parameters, of how many."""

    tensors: int
    all_tensors: int
    params: int
    all_params: int
    other_classes: bool

    def __str__(self) -> str:
        text = f"{self.tensors} of {self.all_tensors} tensors, {self.params:,} of {self.all_params:,} parameters"
        return (
            f"{text}; the classes are others, so the last layers of the head are made anew"
            if self.other_classes
            else text
        )


def take_over(model: nn.Module, source: nn.Module, what: str) -> Taken:
    """Give `model` the weights of `source` whose names and shapes agree, in place.

    Where the names of the classes differ, what tells them apart stays as it is, whatever its shape.

    Args:
        model: made by `search_spaces.build_model`.
        source: a detection network, as `load_checkpoint` gives it.
        what: the source, as messages call it.

    Raises:
        InputError: nothing agrees.
    """
    mine, theirs = _tensors(model), _tensors(source)
    others = list(map(str, model.names.values())) != list(map(str, source.names.values()))
    kept = _of_classes(model) if others else frozenset()
    taken = [
        name
        for name, tensor in mine.items()
        if name in theirs and theirs[name].shape == tensor.shape and name not in kept
    ]
    with torch.no_grad():
        for name in taken:
            mine[name].copy_(theirs[name])
    params = {name: parameter.numel() for name, parameter in model.named_parameters()}
    if not params.keys() & set(taken):
        raise InputError(
            f"weights: none of the {len(theirs)} tensors of {what} has the name and the shape of one of this model's; "
            "leave them out to train it from scratch"
        )
    fitting = sum(params.get(name, 0) for name in taken)
    return Taken(len(taken), len(mine), fitting, sum(params.values()), others)


def _tensors(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor for name, tensor in model.state_dict().items() if not name.endswith(COUNTERS)}


def _of_classes(model: nn.Module) -> frozenset[str]:
    """Names of the tensors whose shapes go by the number of classes."""
    count = len(model.names)
    larger = _tensors(build_model(architecture_of(model), count + 1))
    return frozenset(name for name, tensor in _tensors(model).items() if larger[name].shape != tensor.shape)
