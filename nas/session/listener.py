"""Whoever wants to know what happens in a session: a terminal, a log, a test."""

from __future__ import annotations

from collections.abc import Sequence

from ..storage.records import Evaluation


class Listener:
    """Is told what happens in a session, while a search runs inside of it (`with`). This one keeps it to itself.

    `spent` is in whole evaluations; `pending` is how many jobs were handed out and have not ended.
    """

    def __enter__(self) -> Listener:
        return self

    def __exit__(self, *exception: object) -> None:
        pass

    def restore(self, evaluations: Sequence[Evaluation], spent: float) -> None:
        """A session was made, over a store with these evaluations."""

    def started(self, costed: int, pending: int) -> None:
        """A job was handed out; by now the algorithm has estimated the costs of `costed` candidates."""

    def lasts(self, seconds: float | None) -> None:
        """How long the search is expected to last from now on; None where nothing tells."""

    def retried(self, key: str, why: str, pending: int) -> None:
        """The process or node of a job went away, and it will be tried again."""

    def concluded(self, evaluation: Evaluation, spent: float, pending: int) -> None:
        """A job has ended, and this is what the store has of its architecture now."""

    def drain(self, pending: int) -> None:
        """Nothing more is started; what is pending is waited for."""

    def say(self, text: str) -> None:
        """Something that whoever started the search should know."""

    def once(self, text: str, about: str | None = None) -> None:
        """The same, but it need not be repeated, nor anything else about the same."""
