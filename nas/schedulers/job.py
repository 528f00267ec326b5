"""What is handed to whatever evaluates."""

from __future__ import annotations

from dataclasses import dataclass

from search_spaces import Architecture


@dataclass(frozen=True)
class Job:
    """An architecture and the fidelity to evaluate it at; None where its evaluator has only one."""

    architecture: Architecture
    fidelity: float | None = None

    @property
    def key(self) -> str:
        """The architecture's key."""
        return self.architecture.key
