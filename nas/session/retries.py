"""What is tried again: jobs whose process or node went away, through no known fault of their architecture."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from ..schedulers import Job
from .outcome import Ending

# How often a job is tried again when its process died, which may be the architecture's doing, and when its node went away,
# which is not.
MOST = {Ending.DIED: 2, Ending.LOST: 20}
BACK_OFF, LONGEST = 1.0, 60.0  # seconds until it is tried again, doubled every time


@dataclass(frozen=True)
class Attempt:
    """A further attempt at a job: the how manieth of how many, and the seconds until it."""

    number: int
    most: int
    seconds: float

    def __str__(self) -> str:
        return f"retry {self.number} of {self.most} in {self.seconds:g} s"


class Retries:
    """The jobs that wait to be tried again, and how often each was.

    Args:
        clock: what tells the time, in seconds.
    """

    def __init__(self, clock: Callable[[], float]):
        self._clock = clock
        self._waiting: list[tuple[float, Job]] = []  # when it is due, what
        self._counts: Counter[tuple[str, Ending]] = Counter()

    def add(self, job: Job, ending: Ending) -> Attempt | None:
        """Queue a job that died or was lost; None when it has been so too often."""
        self._counts[job.key, ending] += 1
        count = self.count(job, ending)
        if count > MOST[ending]:
            return None
        seconds = min(LONGEST, BACK_OFF * 2 ** (count - 1))
        self._waiting.append((self._clock() + seconds, job))
        return Attempt(count, MOST[ending], seconds)

    def count(self, job: Job, ending: Ending) -> int:
        """How often a job ended so."""
        return self._counts[job.key, ending]

    def take(self) -> Job | None:
        """The job that has been due longest, which then waits no more; None where none is due yet."""
        if self.next_at is None or self.next_at > self._clock():
            return None
        first = min(self._waiting, key=lambda entry: entry[0])
        self._waiting.remove(first)
        return first[1]

    @property
    def next_at(self) -> float | None:
        """When, by the clock, a job is due next."""
        return min((due for due, _ in self._waiting), default=None)

    @property
    def jobs(self) -> list[Job]:
        """The jobs that wait."""
        return [job for _, job in self._waiting]
