"""Unstructured pruning: single weights of convolutions become zero, at once or while the network is trained, and stay zero.

network -> magnitudes of the weights of all convolutions -> NNI's LevelPruner -> where the least ones are -> zero there
step of the optimizer -> weights and averaged weights are zero there, and more of them the further the training is
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import torch
from torch import nn
from ultralytics.engine.trainer import BaseTrainer
from ultralytics.utils.torch_utils import unwrap_model

from search_spaces import InputError

from ..training.extension import Extension

Zeros = Mapping[str, torch.Tensor]  # convolution -> where its weight is zero, of the weight's shape

LEAST = 0.1  # share of the weights that one may ask to be zero
# From this share on, zeros are taken to be meant. Trained networks have next to none by chance: FP16 makes some of what decays.
MEANT = 0.05
GROWING = 0.5  # share of a training's steps in which the zeros become as many as they are to be
STAGES = 100  # of that growth: each ranks all weights


def convolutions(network: nn.Module) -> dict[str, nn.Conv2d]:
    """Name -> convolution, of those whose weights may be changed one by one.

    Left out are the weights of the head's DFL, which count its bins, and kernels that are other numbers once they are exported (HWD).
    """
    return {
        name: module
        for name, module in network.named_modules()
        if type(module) is nn.Conv2d and "dfl" not in name.split(".")
    }


def sparsity(network: nn.Module) -> float:
    """Share of the weights of its `convolutions` that are exactly zero, 0 to 1."""
    weights = _weights(network)
    return sum(int((weight == 0).sum()) for weight in weights) / max(1, sum(weight.numel() for weight in weights))


def _weights(network: nn.Module) -> list[torch.Tensor]:
    return [convolution.weight.detach() for convolution in convolutions(network).values()]


def smallest(network: nn.Module, share: float, per_layer: bool = False) -> dict[str, torch.Tensor]:
    """Where the weights of the least magnitude are, `share` of all or, `per_layer`, of every convolution (Han et al., 1506.02626).

    NNI's LevelPruner says it, of copies: it replaces parameters, which an optimizer would lose. Where all weights are compared it is
    given the threshold, since its own ranking of a group is a loop in Python, which takes a minute for three million weights. Of such
    a comparison, layers of small weights may be left without any at high shares.

    Args:
        share: 0 to below 1.

    Raises:
        InputError: nni is not installed (it has wheels for x86-64 only).
    """
    level_pruner = _nni_level_pruner()
    found = convolutions(network)
    copies = nn.ModuleList(deepcopy(list(found.values()))).cpu()
    rule: dict[str, Any] = {"sparse_ratio": share}
    if not per_layer:
        magnitudes = torch.cat([weight.abs().flatten() for weight in _weights(copies)])
        rule = {"sparse_threshold": float(magnitudes.kthvalue(int(share * len(magnitudes)) + 1).values)}
    _, masks = level_pruner(copies, [{"op_types": ["Conv2d"], "target_names": ["weight"], **rule}]).compress()
    return {
        name: (masks[str(index)]["weight"] == 0).to(convolution.weight.device)
        for index, (name, convolution) in enumerate(found.items())
    }


def _nni_level_pruner() -> Any:
    try:
        import nni
        from nni.compression.pruning import LevelPruner
    except ImportError:
        raise InputError(
            "sparsify: needs nni, which is not installed. It has wheels for x86-64 only; there `pip install 'evoyolo[nni]'` brings it"
        ) from None
    nni.silence_stdout()  # its messages would go to what was the terminal when it was imported, such as a log closed since
    return LevelPruner


def sparsify(network: nn.Module, share: float, per_layer: bool = False) -> None:
    """Set `share` of the weights of its convolutions to zero, in place: those of `smallest`.

    Raises:
        InputError: a share that there cannot be, or nni is not installed.
    """
    if not LEAST <= share < 1:
        raise InputError(f"sparsity {share:g}: must be a share of the weights from {LEAST:g} to below 1")
    set_to_zero(network, smallest(network, share, per_layer))


@torch.no_grad()
def set_to_zero(network: nn.Module, zeros: Zeros) -> None:
    """Make the weights zero, in place."""
    for name, convolution in convolutions(network).items():
        convolution.weight.masked_fill_(zeros[name], 0)


class FixedZeros(Extension):
    """Keeps the weights of convolutions at zero that are zero when a training begins.

    Their gradients are zero, also where gradients are clipped by their norm, and so are they after every step: momentum would move
    some, and optimizers that orthogonalise a layer's update (MuSGD) all of them.

    Attributes:
        zeros: where they are, once it has begun.
    """

    def __init__(self) -> None:
        self.zeros: dict[str, torch.Tensor] = {}

    def begin(self, trainer: BaseTrainer) -> None:
        for name, convolution in convolutions(unwrap_model(trainer.model)).items():
            self.zeros[name] = convolution.weight.detach() == 0
            convolution.weight.register_hook(functools.partial(self._without_zeros, name))
        trainer.add_callback("on_pretrain_routine_end", self._follow)  # there is an optimizer by then

    def _without_zeros(self, name: str, gradient: torch.Tensor) -> torch.Tensor:
        return gradient.masked_fill(self.zeros[name], 0)

    def _follow(self, trainer: BaseTrainer) -> None:
        trainer.optimizer.register_step_post_hook(lambda *_: self.after_step(trainer))

    def after_step(self, trainer: BaseTrainer) -> None:
        """Called after every step of the optimizer, before the weights are averaged."""
        set_to_zero(unwrap_model(trainer.model), self.zeros)

    def state(self) -> dict[str, Any]:
        return {"zeros": self.zeros}

    def restore(self, state: Mapping[str, Any]) -> None:
        self.zeros = dict(state["zeros"])


class GrowingZeros(FixedZeros):
    """Sets ever more weights to zero while the network is trained, the least ones at each time; what is zero stays it.

    The share follows the cubic of AGP (Zhu & Gupta, 1710.01878) over the first half of the steps; then it is fixed. NNI's AGPPruner
    has the same schedule, but only in a training that it carries out itself.

    Args:
        share, per_layer: as of `smallest`, at the end.
    """

    def __init__(self, share: float, per_layer: bool = False) -> None:
        super().__init__()
        self.share, self.per_layer = share, per_layer
        self._reached = 0.0

    @property
    def is_reached(self) -> bool:
        return self._reached >= self.share

    def after_step(self, trainer: BaseTrainer) -> None:
        super().after_step(trainer)
        steps = trainer.epochs * len(trainer.train_loader)
        due = self.share * growth((trainer.ema.updates + 1) / (GROWING * steps))
        if due <= self._reached:
            return
        network, self._reached = unwrap_model(trainer.model), due
        for name, found in smallest(network, due, self.per_layer).items():
            self.zeros[name] |= found
        for each in (network, trainer.ema.ema):
            set_to_zero(each, self.zeros)

    def state(self) -> dict[str, Any]:
        return {**super().state(), "reached": self._reached}

    def restore(self, state: Mapping[str, Any]) -> None:
        super().restore(state)
        self._reached = state["reached"]


def growth(progress: float) -> float:
    """Share of the zeros to come that are there at a time, from 0 at 0 to 1 at 1 and after, in `STAGES` steps."""
    return 1 - (1 - min(1.0, int(STAGES * progress) / STAGES)) ** 3
