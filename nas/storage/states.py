"""The states of an evaluation, by the names that stand in stores."""

from __future__ import annotations

from enum import Enum


class State(str, Enum):
    """What an evaluation is at this moment. A member is equal to its text, and prints as it."""

    ASKED = "asked"
    RUNNING = "running"
    PAUSED = "paused"  # judged at a lower fidelity and put aside
    FINISHED = "finished"
    FAILED = "failed"
    REJECTED = "rejected"

    __str__ = str.__str__


UNFINISHED = frozenset({State.ASKED, State.RUNNING})  # to be begun again when a search is resumed
ENDED = frozenset({State.FINISHED, State.FAILED, State.REJECTED})  # never asked again
SPENDING = frozenset({State.PAUSED, State.FINISHED, State.FAILED})  # what a search's budget pays for

RETRIED = "retried"  # an event that is no state: its process or node went away, and it is asked again
