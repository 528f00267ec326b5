"""Quantisation-aware training: a network that learns with the errors that eight bits will cost it.

batch -> weights rounded, every convolution's and sum's output rounded -> loss -> gradients of the weights as they are
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import nn
from torch.func import functional_call
from ultralytics.engine.trainer import BaseTrainer
from ultralytics.nn.modules.block import Bottleneck
from ultralytics.nn.modules.conv import Conv
from ultralytics.utils.torch_utils import unwrap_model

from ..latency.agent.machine import SIGNED, UNSIGNED_REDUCED
from ..training.extension import Extension

MEMORY = 0.95  # of a range, from one batch to the next


def rounded_modules(network: nn.Module) -> list[tuple[str, nn.Module]]:
    """Those whose outputs are rounded, by name: convolutions with their activation, those that have none, and sums of shortcuts; but
    not fixed ones, such as the expected value of a box's bins."""
    found, inside = [], ""
    for name, module in network.named_modules():
        alone = isinstance(module, nn.Conv2d) and module.weight.requires_grad and not name.startswith(inside or " ")
        if isinstance(module, Conv):
            inside = f"{name}."
        if isinstance(module, (Conv, Bottleneck)) or alone:
            found.append((name, module))
    return found


def rounded_weights(weights: torch.Tensor, most: int) -> torch.Tensor:
    """Weights (out, ...) as whole multiples of a scale per output channel, from -most to most, the largest of them `most`.

    Folding a normalisation into the convolution scales its channels, which changes nothing of this.
    """
    flat = weights.detach().flatten(1).abs().amax(1).clamp(min=1e-12)
    zeros = torch.zeros(len(flat), dtype=torch.int32, device=weights.device)
    return torch.fake_quantize_per_channel_affine(weights, flat / most, zeros, 0, -most, most)


def rounded_activations(values: torch.Tensor, low: torch.Tensor, high: torch.Tensor, signed: bool) -> torch.Tensor:
    """Values as one of 256 steps from `low` to `high` (0 is one of them), or of 255 around zero where they are signed."""
    if signed:
        scale, zero, least, most = torch.maximum(-low, high) / 127, torch.zeros_like(low), -127, 127
    else:
        scale, least, most = (high - low) / 255, 0, 255
        zero = (-low / scale.clamp(min=1e-12)).round().clamp(0, 255)
    return torch.fake_quantize_per_tensor_affine(values, scale.clamp(min=1e-12), zero.to(torch.int32), least, most)


class QuantisationAware(Extension):
    """Trains with rounded weights and activations, whose gradients go to what was rounded (Jacob et al., 1712.05877; straight-through
    estimator: Bengio et al., 1308.3432). The network stays as it is, in FP32, and is quantised afterwards like any other.

    Args:
        activations: the form of INT8 that it is going to have, of `agent.ACTIVATIONS`.
    """

    def __init__(self, activations: str) -> None:
        self.signed = activations == SIGNED
        self.most = 63 if activations == UNSIGNED_REDUCED else 127
        self.ranges: dict[str, torch.Tensor] = {}  # module -> (2,) the least and the highest that it gave, forgetting

    def begin(self, trainer: BaseTrainer) -> None:
        trainer.model = _Quantised(trainer.model, self)

    def state(self) -> dict[str, Any]:
        return dict(self.ranges)

    def restore(self, state: Mapping[str, Any]) -> None:
        self.ranges = dict(state)

    def observe(self, name: str, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The range of what a module gives, with zero in it, now that it has given these."""
        found = torch.stack([values.detach().amin().clamp(max=0), values.detach().amax().clamp(min=0)]).float()
        before = self.ranges.get(name)
        self.ranges[name] = found if before is None else MEMORY * before.to(found.device) + (1 - MEMORY) * found
        low, high = self.ranges[name]
        return low, high


class _Quantised(nn.Module):
    """The network as Ultralytics' trainer sees it: it opens the wrapper for all but the loss of a batch."""

    def __init__(self, module: nn.Module, by: QuantisationAware) -> None:
        super().__init__()
        self.module = module
        self._by = by

    def forward(self, batch: Any) -> Any:
        if not isinstance(batch, dict) or not self.training:
            return self.module(batch)
        with self._rounding():
            return functional_call(self.module, self._weights(), (batch,))

    def _weights(self) -> dict[str, torch.Tensor]:
        modules = unwrap_model(self.module).modules()
        learnt = {each for each in modules if isinstance(each, nn.Conv2d) and each.weight.requires_grad}
        return {
            f"{name}.weight": rounded_weights(module.weight, self._by.most)
            for name, module in self.module.named_modules()
            if module in learnt
        }

    @contextlib.contextmanager
    def _rounding(self) -> Iterator[None]:
        """Hooks that are there for one pass, so that neither averages nor checkpoints hold them."""

        def hook(name: str) -> Any:
            def rounded(module: nn.Module, inputs: Any, output: torch.Tensor) -> torch.Tensor:
                low, high = self._by.observe(name, output)
                return rounded_activations(output.float(), low, high, self._by.signed).to(output.dtype)

            return rounded

        handles = [
            module.register_forward_hook(hook(name)) for name, module in rounded_modules(unwrap_model(self.module))
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()
