"""What is handed to whatever evaluates."""

from __future__ import annotations

from dataclasses import dataclass

from search_spaces import Architecture

from ..storage.records import trial_name


@dataclass(frozen=True)
class Job:
    """An architecture and the fidelity to evaluate it at; None where its evaluator has only one.

    Attributes:
        repeat: 0 for the evaluation of the architecture; 1 and more for repeats of it with other random numbers, which go to
            the last fidelity at once and no scheduler asks for.
        confirms: whether it is a repeat that the budget of the search does not pay for.
    """

    architecture: Architecture
    fidelity: float | None = None
    repeat: int = 0
    confirms: bool = False

    @property
    def key(self) -> str:
        """The architecture's key, of a repeat with its number: KEY-2 for the first one."""
        return trial_name(self.architecture.key, self.repeat)
