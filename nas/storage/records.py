"""What a store tells: evaluations as they are, and the events that led there."""

from __future__ import annotations

import json
from dataclasses import dataclass

from search_spaces import Architecture

from .states import State


@dataclass(frozen=True)
class Evaluation:
    """One architecture with what is recorded about it; times are seconds since 1970, `seconds` are those of all fidelities."""

    architecture: Architecture
    status: State
    metrics: dict[str, float]
    reason: str | None = None
    asked_at: float = 0.0
    ended_at: float | None = None
    seconds: float | None = None
    node: str | None = None
    attempts: int = 1
    fidelity: float | None = None
    started_at: float | None = None

    @property
    def key(self) -> str:
        """The architecture's key."""
        return self.architecture.key


@dataclass(frozen=True)
class Event:
    """One change: `state` is the evaluation's new one, or `RETRIED`. `detail` says why it failed or was retried."""

    at: float
    key: str
    state: str
    fidelity: float | None = None
    node: str | None = None
    detail: str | None = None

    @property
    def metrics(self) -> dict[str, float]:
        """What was told when it paused or finished."""
        return json.loads(self.detail) if self.state in (State.PAUSED, State.FINISHED) and self.detail else {}
