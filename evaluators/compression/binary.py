"""Binary weights: convolutions whose filters have two values each, learnt through what rounds them (research).

weight W in FP32, which learns -> alpha * sign(W), which the network computes with -> gradient of it -> W, as if nothing were between
what is saved: the network with alpha * sign of the averaged W, dense, like any other
"""

from __future__ import annotations

import math
from copy import deepcopy
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from ultralytics.engine.trainer import BaseTrainer
from ultralytics.utils.torch_utils import unwrap_model

from ..training.extension import Extension
from ..training.weights import COUNTERS
from .sparsity import convolutions

BITS = 16  # of a number that is not binary, as in checkpoints


def binary(weight: torch.Tensor) -> torch.Tensor:
    """alpha * sign(W), where alpha is the mean of |W| of each filter: the nearest such numbers (XNOR-Net: Rastegari et al.,
    1603.05279, whose binary activations are left out here, as in BinaryConnect: Courbariaux et al., 1511.00363).

    Args:
        weight: (filters, ...).
    """
    alpha = weight.abs().flatten(1).mean(1).view(-1, *[1] * (weight.ndim - 1))
    return torch.where(weight >= 0, alpha, -alpha)  # of a zero too, so that there are two values


class _StraightThrough(torch.autograd.Function):
    """`binary`, whose gradient is taken to be that of the identity (Bengio et al., 1308.3432)."""

    @staticmethod
    def forward(ctx: Any, weight: torch.Tensor) -> torch.Tensor:
        return binary(weight)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> torch.Tensor:
        return gradients[0]


class BinaryConv2d(nn.Conv2d):
    """A convolution of ordinary weights, which learn, that computes with the binary ones."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weight = _StraightThrough.apply(self.weight)
        return F.conv2d(x, weight, self.bias, self.stride, self.padding, self.dilation, self.groups)


def binarised(network: nn.Module) -> dict[str, nn.Conv2d]:
    """Name -> convolution, of those that become binary: all `convolutions` but the first, and the last ones of the head, whose
    numbers are scores and distances. Those two ends stay as they are in the papers too."""
    (first, _), *others = convolutions(network).items()
    head = f"model.{len(network.model) - 1}."
    return {name: each for name, each in others if not (name.startswith(head) and each.bias is not None)}


def binary_bytes(network: nn.Module) -> int:
    """What a file of the binarised network would need: a bit for every binary weight, `BITS` for alpha of every filter and for every
    other parameter and statistic. No format here stores that."""
    filters = [convolution.weight for convolution in binarised(network).values()]
    all_numbers = sum(t.numel() for name, t in network.state_dict().items() if not name.endswith(COUNTERS))
    bits = sum(weight.numel() for weight in filters)
    numbers = all_numbers - bits + sum(len(weight) for weight in filters)
    return math.ceil((bits + BITS * numbers) / 8)


class Binarisation(Extension):
    """Trains with binary weights, and validates and saves those of the averaged ones."""

    def begin(self, trainer: BaseTrainer) -> None:
        for convolution in binarised(unwrap_model(trainer.model)).values():
            convolution.__class__ = BinaryConv2d

    def saved(self, network: nn.Module) -> nn.Module:
        dense = deepcopy(network)
        for module in dense.modules():
            if isinstance(module, BinaryConv2d):
                module.weight.data = binary(module.weight.data)
                module.__class__ = nn.Conv2d
        return dense
