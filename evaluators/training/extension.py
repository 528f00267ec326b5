"""What a training does beside learning from labels: learning from a teacher, or with weights under a rule."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn
from ultralytics.engine.trainer import BaseTrainer


class Extension:
    """One object for one training; it begins once the network stands on its device, and before its optimizer is made.

    Attributes:
        losses: names of the items that it adds to the loss, which a validation does not have.
    """

    losses: tuple[str, ...] = ()

    @property
    def is_reached(self) -> bool:
        """Whether the network is by now what it is to become; no epoch before that is kept as the best."""
        return True

    def begin(self, trainer: BaseTrainer) -> None:
        """Change what `trainer.model` does: wrap it in a module that has it as its `module`, or add hooks and callbacks."""
        raise NotImplementedError

    def state(self) -> dict[str, Any]:
        """Tensors and plain data of its own that the next epoch needs."""
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up a `state`, after `begin`."""

    def saved(self, network: nn.Module) -> nn.Module:
        """What a checkpoint holds: `network`, of the averaged weights, or another one made of it, which it leaves as it is."""
        return network
