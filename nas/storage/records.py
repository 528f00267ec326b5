"""What a store tells: evaluations as they are, and the events that led there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from search_spaces import Architecture, InputError, SearchSpace

from .states import State
from .values import EVALUATION, EVENT, check_fields, json_value, metrics_value


@dataclass(frozen=True)
class Evaluation:
    """One architecture with what is recorded about it; times are seconds since 1970, `seconds` are those of all fidelities.

    Attributes:
        repeat: 0; of a repeat with other random numbers, which of them it is, from 1 on.
        confirms: whether it is a repeat that the budget of the search did not pay for.
    """

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
    repeat: int = 0
    confirms: bool = False

    @property
    def key(self) -> str:
        """The architecture's key."""
        return self.architecture.key

    @property
    def trial(self) -> str:
        """The name of its trial."""
        return trial_name(self.key, self.repeat)


@dataclass(frozen=True)
class Event:
    """One change: `state` is the evaluation's new one, or `RETRIED`. `detail` says why it failed or was retried.

    `repeat` is that of the evaluation.
    """

    at: float
    key: str
    state: str
    fidelity: float | None = None
    node: str | None = None
    detail: str | None = None
    repeat: int = 0

    @property
    def metrics(self) -> dict[str, float]:
        """What was told when it paused or finished."""
        told = self.state in (State.PAUSED, State.FINISHED) and self.detail
        return metrics_value(self.detail, f"event of {self.key}") if told else {}


def trial_name(key: str, repeat: int) -> str:
    """What an evaluation of an architecture is called, and its folder: KEY, or KEY-2 for the second one."""
    return f"{key}-{repeat + 1}" if repeat else key


def evaluation_of(space: SearchSpace, columns: Sequence[str], row: Sequence[Any], what: str) -> Evaluation:
    """The evaluation in a row of a store, whose columns have the names of its fields, after a `key`.

    Raises:
        InputError: naming `what`, the evaluation and the column: a value that no search writes there.
    """
    values = dict(zip(columns, row))
    what = f"{what}: evaluation {values['key']!r:.40}"
    check_fields(values, EVALUATION, what)
    chosen = json_value(values["architecture"], f"{what}: architecture")
    if not isinstance(chosen, dict):
        raise InputError(f"{what}: architecture is no mapping")
    try:
        architecture = space.architecture(**chosen)
    except InputError as error:
        raise InputError(f"{what}: architecture: {error}") from None
    if architecture.key != values.pop("key"):
        raise InputError(f"{what}: its architecture has the key {architecture.key}")
    metrics = metrics_value(values["metrics"], what)
    status = State(values["status"])
    fields = {**values, "architecture": architecture, "metrics": metrics, "status": status}
    return Evaluation(**{**fields, "confirms": bool(values.get("confirms"))})


def event_of(row: Sequence[Any], what: str) -> Event:
    """The event in a row of a store, in the order of its fields. Raises InputError as `evaluation_of` does."""
    values = dict(zip(EVENT, row))  # of an earlier version without its last field
    check_fields(values, EVENT, f"{what}: event of {values['key']!r:.40}")
    return Event(**values)
