"""How long what is running and what is likely next will take, learnt from what has ended; what still fits into the time."""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from search_spaces import Architecture

from ..durations import POWERS, Durations
from ..objectives import is_number
from ..schedulers import Job, Scheduler
from ..storage.records import Evaluation
from ..storage.states import State

LATELY = 16  # architectures that were asked last, which those that will be asked are taken to be like
MOST = 500  # jobs that are looked at one by one; where more are left, they are taken to be fewer and longer
OVERDUE = 0.2  # share of its expected seconds that what has taken longer is still given


class Pace:
    """Expected seconds of jobs, and until a search has done them.

    Args:
        estimate: metrics that are known of architectures without an evaluation.
        scheduler: tells which part of a whole evaluation a job is.
        clock: what tells the time, in seconds.
        guess: an architecture and the seconds that its evaluation is expected to take, which count until one has ended.

    Attributes:
        ends: when, by the clock, all that is begun is to have ended.
    """

    def __init__(
        self,
        estimate: Callable[[Sequence[Architecture]], Mapping[str, np.ndarray]],
        scheduler: Scheduler,
        clock: Callable[[], float],
        guess: tuple[Architecture, float] | None = None,
    ):
        self._estimate, self._scheduler, self._clock = estimate, scheduler, clock
        self.ends = math.inf
        self._learnt, self._guessed = Durations(), Durations()
        self._known: dict[str, dict[str, float]] = {}  # key -> what is known of what waits or is pending
        self._began: dict[str, float] = {}  # key of what runs -> since when
        self._lately: deque[dict[str, float]] = deque(maxlen=LATELY)
        self._at_once: deque[int] = deque(maxlen=LATELY)  # how many ran when one began
        if guess is not None:
            architecture, seconds = guess
            self._guessed.learn(self._know([architecture])[0], seconds)

    def _know(self, architectures: Sequence[Architecture]) -> list[dict[str, float]]:
        new = [a for a in architectures if a.key not in self._known]
        if new:
            columns = self._estimate(new)
            for i, architecture in enumerate(new):
                self.knows(architecture, {name: columns[name][i] for name in POWERS if name in columns})
        return [self._known[a.key] for a in architectures]

    # -- what has happened --------------------------------------------------------------------------------------

    def knows(self, architecture: Architecture, estimates: Mapping[str, float]) -> None:
        """What is known of an architecture that will be evaluated."""
        used = {name: estimates[name] for name in POWERS if name in estimates}
        self._known[architecture.key] = {name: float(value) for name, value in used.items() if is_number(value)}

    def awaits(self, architectures: Iterable[Architecture]) -> None:
        """These are asked, or will be, and what is asked after them will be like them."""
        self._lately += self._know(list(architectures))

    def began(self, job: Job) -> None:
        """A job is running."""
        self._began[job.key] = self._clock()
        self._at_once.append(len(self._began))

    def stopped(self, job: Job) -> None:
        """A job runs no more."""
        self._began.pop(job.key, None)

    def learn(self, evaluation: Evaluation) -> None:
        """What became of an evaluation; one that did not come to its fidelity tells nothing."""
        if evaluation.status in (State.FINISHED, State.PAUSED) and evaluation.seconds:
            known = {name: evaluation.metrics[name] for name in POWERS if name in evaluation.metrics}
            self._learnt.learn(known, evaluation.seconds / self._scheduler.share(evaluation.fidelity))
        if evaluation.status != State.PAUSED:
            self._known.pop(evaluation.key, None)

    # -- what is expected ---------------------------------------------------------------------------------------

    def _whole(self, known: Sequence[Mapping[str, float]]) -> np.ndarray | None:
        """(n,) seconds of whole evaluations; None where nothing tells."""
        durations = self._learnt if len(self._learnt) else self._guessed
        if not known:
            return np.zeros(0)
        names = set.intersection(*(set(each) for each in known))
        expected = durations.expect({name: np.array([each[name] for each in known]) for name in names})
        return None if expected is None else np.broadcast_to(expected, len(known))

    def _seconds(self, jobs: Sequence[Job]) -> np.ndarray | None:
        """(n,) expected seconds of jobs; None where nothing tells."""
        whole = self._whole(self._know([job.architecture for job in jobs]))
        return None if whole is None else whole * np.array([self._scheduler.cost(job) for job in jobs])

    def room(self, after: Sequence[Job] = ()) -> float:
        """Seconds that a job may take which begins when those `after` have ended."""
        wait = self._seconds(after) if after and self.ends < math.inf else None
        return self.ends - self._clock() - (0.0 if wait is None else float(wait.sum()))

    def fits(self, job: Job, room: float) -> bool:
        """Whether a job is expected to take no more than so many seconds."""
        expected = self._seconds([job]) if room < math.inf else None
        return room >= (0.0 if expected is None else expected[0])

    def left(self, pending: Sequence[Job], next_ones: Sequence[Job], further: float) -> tuple[float, float] | None:
        """Expected seconds until what is pending has ended, and until everything has; None where nothing tells.

        As many jobs run at once as did lately.

        Args:
            next_ones: jobs that are known to be done next.
            further: whole evaluations after those, taken to last as those asked lately do.
        """
        under_way, new = self._seconds(pending), self._seconds(next_ones)
        usual = self._whole(list(self._lately)) if further else np.zeros(1)
        if under_way is None or new is None or usual is None or not len(usual):
            return None
        now = self._clock()
        gone = np.array([now - self._began.get(job.key, now) for job in pending])
        remaining = np.maximum(under_way - gone, OVERDUE * under_way)
        runs = np.array([job.key in self._began for job in pending], bool)
        count = math.ceil(min(further, MOST))
        later = [float(usual.mean()) * further / max(count, 1)] * count
        workers = max(self._at_once, default=1)
        running, waiting = remaining[runs].tolist(), remaining[~runs].tolist()
        return _last_end(running, waiting, workers), _last_end(running, [*waiting, *new.tolist(), *later], workers)


def _last_end(running: Sequence[float], queued: Sequence[float], workers: int) -> float:
    """When the last of some jobs ends, of which each worker takes the next as soon as it is free."""
    ends = [*running, *[0.0] * (workers - len(running))]
    heapq.heapify(ends)
    for seconds in queued:
        heapq.heapreplace(ends, ends[0] + seconds)
    return max(ends)
