"""Sparsity training: normalisation's factors are drawn to zero while a network learns, so that channels can go by them.

architecture -> axes that pruning may make narrower -> factors of their channels -> with every step, strength * sign on their gradients

Source: Z. Liu et al., "Learning efficient convolutional networks through network slimming", arXiv 1708.06519.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from ultralytics.engine.trainer import BaseTrainer
from ultralytics.utils.torch_utils import unwrap_model

from search_spaces import Architecture
from search_spaces.blocks import block
from search_spaces.graph import lower

from ..training.extension import Extension
from .pruning import LEAST, as_architecture, axes_of, pruned_space, spelt_out

SMALL = 0.01  # a factor of less hardly lets its channel through


def prunable(architecture: Architecture, num_classes: int) -> dict[str, set[str]]:
    """Layer -> those of its axes that have fewer channels where every width is as narrow as pruning makes it.

    Args:
        architecture: of the space of pruned networks, where every width may be narrowed for itself.
    """
    whole = spelt_out(architecture, num_classes)
    least = {name: min(whole[name], LEAST) for name in axes_of(whole)}
    slim = lower(pruned_space(whole).of({**whole.to_dict(), **least}), num_classes)
    found = {}
    for wide, narrow in zip(lower(whole, num_classes).layers, slim.layers):
        axes, fewer = (block(layer.module).axes(layer) for layer in (wide, narrow))
        found[wide.name] = {name for name in axes if not _is_input(name) and fewer.size(name) < axes.size(name)}
    return found


def _is_input(axis: str) -> bool:
    return axis.startswith("in") and axis[2:].isdigit()


class Factors:
    """Normalisation's factors of the channels of a network that may be pruned.

    Attributes:
        shares: (parameter, (channels,) 1 for those of them that are meant and 0 for others), each parameter once.
    """

    def __init__(self, network: nn.Module, image_size: int) -> None:
        architecture = as_architecture(network, image_size)
        classes = len(network.names)
        may_go = prunable(architecture, classes)
        self.shares: list[tuple[nn.Parameter, torch.Tensor]] = []
        for module, layer in zip(network.model, lower(architecture, classes).layers):
            meant: dict[str, torch.Tensor] = {}
            parameters, axes = dict(module.named_parameters()), block(layer.module).axes(layer)
            for axis in may_go[layer.name]:
                for place in axes.places[axis]:
                    if place.tensor.endswith("bn.weight"):
                        share = meant.setdefault(place.tensor, torch.zeros_like(parameters[place.tensor]))
                        share[place.start : place.start + place.count] = 1
            self.shares += [(parameters[name], share.detach()) for name, share in meant.items()]

    def values(self) -> torch.Tensor:
        """(channels,) all of them, one after another."""
        return torch.cat([factor.detach()[share > 0] for factor, share in self.shares])

    def draw(self, strength: float) -> None:
        """Add the gradient of strength times their sum of absolute values (its subgradient 0 at 0) to what gradients there are."""
        for factor, share in self.shares:
            if factor.grad is not None:
                factor.grad.add_(share * factor.detach().sign(), alpha=strength)


class NetworkSlimming(Extension):
    """Adds the gradient of the L1 norm of the prunable channels' factors to that of the loss, as the optimizer takes it.

    That is after clipping and, in FP16, after the scale is taken out: else what draws on the factors would hang on the rest of the
    gradient and on the precision.

    Args:
        strength: of the L1 norm, the paper's lambda; beside Ultralytics' loss of a batch, which is a sum over its images.
    """

    def __init__(self, strength: float) -> None:
        self.strength = strength

    def begin(self, trainer: BaseTrainer) -> None:
        factors = Factors(unwrap_model(trainer.model), trainer.args.imgsz)

        def draw(*_: Any) -> None:
            factors.draw(self.strength)

        def attach(started: BaseTrainer) -> None:
            started.optimizer.register_step_pre_hook(draw)

        trainer.add_callback("on_train_start", attach)  # by then there is an optimizer


def small_factors(network: nn.Module, image_size: int) -> float:
    """Share of the prunable channels whose factor is below `SMALL`, in absolute value."""
    return float((Factors(network, image_size).values().abs() < SMALL).float().mean())
