"""What evaluations cost: shares of a whole one, and time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .records import Event
from .states import State


def share(fidelities: Sequence[float], fidelity: float | None) -> float:
    """What an evaluation at one of the ascending fidelities adds to the one before, as a share of a whole evaluation.

    An evaluation without fidelities is a whole one.
    """
    if not fidelities or fidelity is None:
        return 1
    below = max((f for f in fidelities if f < fidelity), default=0)
    return (fidelity - below) / fidelities[-1]


def searched_spans(events: Iterable[Event]) -> list[tuple[float, float]]:
    """The times, ascending and apart, in which at least one evaluation ran that ended."""
    running: dict[str, float] = {}
    spans = []
    for event in events:
        if event.state == State.RUNNING:
            running[event.key] = event.at
        elif event.key in running and event.state in (State.FINISHED, State.PAUSED, State.FAILED, State.REJECTED):
            spans.append((running.pop(event.key), event.at))
    apart: list[tuple[float, float]] = []
    for start, end in sorted(spans):
        if apart and start <= apart[-1][1]:
            apart[-1] = apart[-1][0], max(end, apart[-1][1])
        elif end > start:  # a clock may have been set back
            apart.append((start, end))
    return apart


def searched_seconds(events: Iterable[Event]) -> float:
    """Seconds in which at least one evaluation ran that ended, of all times that a run was searched."""
    return sum(end - start for start, end in searched_spans(events))
