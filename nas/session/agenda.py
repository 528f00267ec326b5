"""What a session does next: what waits from before, repeats, what the scheduler asks; and when there is nothing left."""

from __future__ import annotations

import math

from search_spaces import InputError

from ..algorithms import SpaceExhausted, Unaffordable
from ..schedulers import Job, Scheduler
from ..storage.states import State
from ..storage.store import Store
from .limits import Rejections, nothing_fits
from .listener import Listener
from .pace import Pace
from .repeats import Repeats

TRIES = 16  # asks in a row that are expected to last longer than the time that is left, until nothing is taken to fit


class Agenda:
    """The jobs that are next, in this order: those that wait, a reference's repeats, the scheduler's; at the end confirming ones.

    Attributes:
        waiting: jobs to be done before the scheduler is asked.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        pace: Pace,
        repeats: Repeats,
        rejections: Rejections,
        store: Store,
        listener: Listener,
    ):
        self.scheduler, self.pace, self.repeats, self.rejections = scheduler, pace, repeats, rejections
        self.store, self.listener = store, listener
        self.waiting: list[Job] = []
        self._exhausted = False  # nothing new is left, and nothing has ended since that was found
        self._nothing_fits = False  # what is left would take longer than the time that is, and nothing has ended since

    @property
    def is_empty(self) -> bool:
        """Whether the scheduler has nothing more to ask."""
        return self._exhausted or self._nothing_fits

    def reopen(self) -> None:
        """Something has ended: the scheduler may know more to ask."""
        self._exhausted = self._nothing_fits = False

    def next_of_search(self, room: float) -> Job | None:
        """What the budget pays for, and `room`, in seconds, is enough for; None where there is nothing now.

        Raises:
            InputError: nothing meets the constraints.
        """
        if self.rejections.are_too_many:
            self._give_up_on_rejections()
            return None
        if (job := self._take_waiting(confirms=False, room=room)) is not None:
            if not job.repeat:
                self.scheduler.expect(job)
            return job
        if (job := self.repeats.next_during()) is not None:
            return job
        if self.is_empty:
            return None
        try:
            return self._ask(room)
        except Unaffordable:
            self._nothing_fits = True
        except SpaceExhausted:
            self.listener.once("there is no architecture left that meets the constraints and was not asked yet")
            self._exhausted = True
        return None

    def next_confirming(self) -> Job | None:
        """What is beyond the budget; None where there is nothing now."""
        return self._take_waiting(confirms=True) or self.repeats.next_confirming()

    def ahead(self, left: float) -> tuple[list[Job], float]:
        """The jobs that wait and for which `left` whole evaluations are enough, and how many may be asked after those."""
        waiting = []
        for job in self.waiting:
            if left <= 1e-9:
                break
            left -= self.scheduler.cost(job)
            waiting.append(job)
        return waiting, 0.0 if self.is_empty else max(0.0, left)

    def _take_waiting(self, confirms: bool, room: float = math.inf) -> Job | None:
        waiting = (job for job in self.waiting if job.confirms == confirms and self.pace.fits(job, room))
        job = next(waiting, None)
        if job is not None:
            self.waiting.remove(job)
        return job

    def _ask(self, room: float) -> Job | None:
        """What the scheduler asks that is expected to take no more than `room` seconds; None where that seems to be nothing."""
        self.scheduler.algorithm.affordable = room if room < math.inf else None
        for _ in range(TRIES):
            job = self.scheduler.ask()
            if self.pace.fits(job, room):
                self.pace.awaits([job.architecture])
                return job
            # for this time only: when the search goes on with more of it, the store knows nothing of this
            self.scheduler.tell_failure(job, "it would take longer than there is time left")
        self._nothing_fits = True
        return None

    def _give_up_on_rejections(self) -> None:
        algorithm, count = self.scheduler.algorithm, self.rejections.count
        if not algorithm.feasible:
            raise InputError(nothing_fits(self.store.evaluations(State.REJECTED), algorithm.constraints))
        self.listener.once(
            f"{count} architectures were rejected: the search ends with what it has", about="the end of the search"
        )
        self._exhausted = True
