"""One running search: what is to be done next, what is pending, and the way of every outcome into the store and the scheduler.

    scheduler.ask --> Session.propose --> store: asked --> an executor runs the job
    scheduler.tell <-- Session.conclude <-- store: finished / paused / failed / rejected / retried <-- Outcome

The store hears of a result before the scheduler does, and a session is rebuilt from the store alone.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from evaluators.evaluator import Evaluator
from search_spaces import Architecture, InputError

from ..schedulers import Job, Scheduler
from ..storage.folder import RunFolder
from ..storage.records import Evaluation, Event
from ..storage.spending import searched_seconds
from ..storage.states import ENDED, RETRIED, UNFINISHED, State
from ..storage.store import Store
from .agenda import Agenda
from .limits import FAILURES, Failures, Rejections, Starts
from .listener import Listener
from .metrics import Wanted, check_measured, checked, estimates_of
from .outcome import Ending, Outcome
from .pace import Pace
from .repeats import Repeats
from .retries import Retries
from .time_limits import hung

STOPPED = "the search was stopped"  # why what was running is asked again on resume
SAID_EVERY = 0.5  # seconds; how long a search will last is worked out no more often
OFTEN = 3  # stops at each of which an architecture was running, until it is named


class Session:
    """What is still to be asked, what is pending, and what has ended.

    Args:
        evaluator: what measures; it was prepared.
        scheduler: what decides, over the algorithm whose objectives and constraints count; both are new and are told what
            the store has.
        store: of the run, open for writing.
        folder: of the run.
        first: architectures of the store's space that are asked before anything else, whatever the constraints.
        also: architectures that are asked after those where they meet the constraints that can be estimated.
        max_evaluations: whole evaluations to spend, failures included; None for as many as there is time for.
        repeats: how often the first of `first` is evaluated again with other random numbers, as part of these, before the
            scheduler is asked, so that it is known how noisy results are; an evaluator without random numbers has none.
        confirm: repeats beyond these, once they are spent, of whatever may be wrongly on the front, or off it.
        max_seconds: after which none is started.
        budget_seconds: that the search may take in all, those of earlier times included: nothing is started that is not expected to
            end within them, and what runs is waited for.
        guess: an architecture and the seconds that its evaluation is expected to take, which count until one has ended.
        time_limit: seconds that one may take.
        listener: who is told what happens.
        clock: what tells the time, in seconds.

    Attributes:
        pending: the jobs that were handed out and have not ended, by key; those that wait to be tried again are not.
        error: what ends the search early, raised once the executor has wound down.
        draining: whether nothing more is started because somebody said so.

    Raises:
        InputError: the evaluator does not measure what is wanted, or the constraints leave nothing.
    """

    def __init__(
        self,
        evaluator: Evaluator,
        scheduler: Scheduler,
        store: Store,
        folder: RunFolder,
        *,
        max_evaluations: int | None,
        first: Iterable[Architecture] = (),
        also: Iterable[Architecture] = (),
        repeats: int = 0,
        confirm: int = 0,
        max_seconds: float | None = None,
        budget_seconds: float | None = None,
        guess: tuple[Architecture, float] | None = None,
        time_limit: float | None = None,
        listener: Listener | None = None,
        clock: Callable[[], float] = time.time,
    ):
        self.evaluator, self.scheduler, self.store, self.folder = evaluator, scheduler, store, folder
        self.algorithm = scheduler.algorithm
        self.max_evaluations = math.inf if max_evaluations is None else max_evaluations
        self.time_limit, self.clock = time_limit, clock
        self.deadline = clock() + max_seconds if max_seconds else math.inf
        self.budget_seconds = budget_seconds
        self.listener = listener or Listener()
        self.error: Exception | None = None
        self.draining = False
        self.pending: dict[str, Job] = {}
        self._dry = False  # the last proposal was none, and nothing has ended since
        self._retries, self._starts = Retries(clock), Starts(clock)
        self._failures = Failures()
        self._pace = Pace(evaluator.estimate, scheduler, clock, guess)
        self._said_at = -math.inf
        self._wanted: Wanted = [*self.algorithm.objectives, *self.algorithm.constraints]
        check_measured(evaluator, self.algorithm.space, self._wanted)
        self.algorithm.check_feasible()
        first, can_repeat = list(first), evaluator.repeated(1) is not None
        again = Repeats(scheduler, store, first, during=repeats, confirming=confirm, can_repeat=can_repeat)
        rejections = Rejections(self.max_evaluations, len(store.evaluations(State.REJECTED)))
        self._agenda = Agenda(scheduler, self._pace, again, rejections, store, self.listener)
        self._restore(first, list(also))

    def _restore(self, first: list[Architecture], also: list[Architecture]) -> None:
        """Take up what the store has, and put down what is to be asked before the scheduler is."""
        earlier = {e.key: e for e in self.store.evaluations()}
        events = self.store.events()
        self.scheduler.restore(list(earlier.values()), events)
        self.listener.restore(list(earlier.values()), self.spent)
        if self.budget_seconds is not None:
            self._pace.ends = self.clock() + self.budget_seconds - searched_seconds(events)
        for e in [*earlier.values(), *self.store.repeats()]:
            if e.status == State.RUNNING:
                self._restart(e, events)
            self._discard(Job(e.architecture, e.fidelity, e.repeat), ended=e.status in ENDED)
            self._pace.learn(e)
        unfinished = [Job(e.architecture, e.fidelity) for e in earlier.values() if e.status in UNFINISHED]
        unfinished += self._agenda.repeats.unfinished
        new = [a for a in {a.key: a for a in first}.values() if a.key not in earlier]
        also = self.algorithm.candidates(a for a in also if a.key not in earlier and a not in new)[0]
        waiting = [*unfinished, *map(self.scheduler.first_job, [*new, *also])]
        within = {a.key for a in self.algorithm.candidates(job.architecture for job in waiting)[0]}
        self._pace.awaits(job.architecture for job in waiting if job.key in within)
        self._agenda.waiting = waiting

    def _restart(self, evaluation: Evaluation, events: list[Event]) -> None:
        """What was running when the search was stopped is to be asked again."""
        self.store.retried(evaluation.architecture, STOPPED, node=evaluation.node, repeat=evaluation.repeat)
        stops = [(event.key, event.repeat, event.state, event.detail) for event in events]
        times = 1 + stops.count((evaluation.key, evaluation.repeat, RETRIED, STOPPED))
        if times >= OFTEN:
            self.listener.say(
                f"{evaluation.trial} was running each of the {times} times that the search was stopped; should it be what ends "
                "the process, a worker of Ray's contains that"
            )

    # -- what is next -------------------------------------------------------------------------------------------

    def propose(self, after: Sequence[Job] = ()) -> Job | None:
        """The next job, already in the store; None when there is none now. `over` tells whether there will be one.

        Args:
            after: jobs that have to end before it can begin.
        """
        job = self._next(self._pace.room(after))
        self._dry = job is None
        return job

    def _next(self, room: float) -> Job | None:
        if self.ending:
            return None
        try:
            job = self._retries.take()
            if job is None and self.left > 1e-9 and self.clock() <= self._pace.ends:
                job = self._agenda.next_of_search(room)
            if job is None and self._is_searched and all(job.confirms for job in self._under_way):
                job = self._agenda.next_confirming()
        except Exception as error:
            self.error = error
            return None
        return None if job is None or self.ending else self._begin(job)  # an ask takes its time

    @property
    def _under_way(self) -> list[Job]:
        return [*self.pending.values(), *self._retries.jobs]

    @property
    def spent(self) -> float:
        """Whole evaluations that were paid for, of all times, as the store counts them."""
        return self.store.spent

    @property
    def left(self) -> float:
        """Whole evaluations that are neither spent nor under way."""
        return max(0, self.max_evaluations - self.spent - sum(map(self.scheduler.cost, self._under_way)))

    @property
    def over(self) -> bool:
        """Whether nothing is pending and nothing more will be proposed."""
        return not self.pending and (self.ending or ((self._dry or self.complete) and not self._retries.jobs))

    @property
    def ending(self) -> bool:
        """Whether nothing more is started, whatever is left to do."""
        return self.error is not None or self.draining or self.clock() > self.deadline

    @property
    def complete(self) -> bool:
        """Whether the budget, of evaluations or of time, or the space is used up, and the front is confirmed where it is to be."""
        return self._is_searched and self._agenda.repeats.is_settled

    @property
    def _is_searched(self) -> bool:
        late = self.clock() > self._pace.ends
        return self.spent >= self.max_evaluations - 1e-9 or self._agenda.is_empty or late

    @property
    def time_left(self) -> float | None:
        """Seconds until the search is expected to be over, confirming apart; None where nothing tells how long evaluations take."""
        waiting, further = self._agenda.ahead(self.left)
        next_ones = [*self._retries.jobs, *waiting]
        ends = min(self._pace.ends, self.deadline) - self.clock()
        expected = self._pace.left(list(self.pending.values()), next_ones, further)
        if expected is None:
            return ends if 0 <= ends < math.inf else None
        under_way, everything = expected
        return max(under_way, min(everything, ends))

    @property
    def next_retry(self) -> float | None:
        """When, by the clock, a job that died is due again."""
        return self._retries.next_at

    def _begin(self, job: Job) -> Job | None:
        try:
            estimates = estimates_of(self.evaluator, job.architecture)
            self.store.asked(
                job.architecture, estimates, fidelity=job.fidelity, repeat=job.repeat, confirms=job.confirms
            )
        except Exception as error:
            self.error = error
            return None
        self.pending[job.key] = job
        self._pace.knows(job.architecture, estimates)
        self.listener.started(costed=self.algorithm.costed, pending=len(self.pending))
        self._say_time_left()
        return job

    def _say_time_left(self) -> None:
        if abs(self.clock() - self._said_at) >= SAID_EVERY:
            self._said_at = self.clock()
            self.listener.lasts(self.time_left)

    # -- what has happened --------------------------------------------------------------------------------------

    def running(self, job: Job, node: str | None) -> None:
        """A job has started on a node."""
        self._starts.succeeded()
        self._pace.began(job)
        try:
            self.store.running(job.architecture, node=node, repeat=job.repeat)
        except Exception as error:  # a full disk, say
            self.end_with(error)

    def unstarted(self, reason: str | None) -> None:
        """A worker did not come up. Where none ever has, a few such are enough to know that it is not the fault of a node."""
        if self._starts.failed():
            self.end_with(InputError(f"workers cannot start: {reason}"))

    def end_with(self, error: Exception) -> None:
        """End the search early; of several errors, the first is its reason."""
        self.error = self.error or error

    def conclude(self, job: Job, outcome: Outcome) -> None:
        """Record how a job ended, then tell the scheduler; or see to it that it is tried again."""
        self.pending.pop(job.key, None)
        self._pace.stopped(job)
        self._dry = False
        self._agenda.reopen()
        if outcome.status == Ending.UNFINISHED:
            how = self.folder.how_to_resume()
            self.end_with(InputError(f"{outcome.reason}; every result is safe: free space, then {how}"))
            return
        if outcome.status == Ending.REFUSED:
            self.end_with(InputError(outcome.reason))
            return
        if outcome.status == Ending.UNSTARTED:
            self.unstarted(outcome.reason)
            outcome = replace(outcome, status=Ending.LOST)
        try:
            ended: Outcome | None = outcome
            if outcome.status in (Ending.DIED, Ending.LOST):
                late = hung(self.folder.trial(job.key), self.time_limit)
                ended = replace(late, node=outcome.node) if late else self._try_again(job, outcome)
            if ended is not None:
                known = self.store.evaluation(job.architecture, job.repeat).metrics
                self._record(job, checked(ended, known, self._wanted, self.listener))
        except Exception as error:  # a full disk, say; the outcome stays in the trial's folder
            self.end_with(error)

    def _try_again(self, job: Job, outcome: Outcome) -> Outcome | None:
        """Queue a job whose process is gone; the failure to record when that has been too often."""
        attempt = self._retries.add(job, outcome.status)
        if attempt is None:
            times = self._retries.count(job, outcome.status)
            return Outcome(Ending.FAILED, reason=f"{outcome.reason} ({times} times)", node=outcome.node)
        self.store.retried(job.architecture, outcome.reason or "", node=outcome.node, repeat=job.repeat)
        when = "it is tried again on resume" if self.ending else str(attempt)
        self.listener.retried(job.key, f"{outcome.reason}; {when}", len(self.pending))
        return None

    def _record(self, job: Job, outcome: Outcome) -> None:
        (self._record_repeat if job.repeat else self._record_first)(job, outcome)
        self._discard(job, ended=True)
        concluded = self.store.evaluation(job.architecture, job.repeat)
        self._pace.learn(concluded)
        self._say_time_left()
        self.listener.concluded(concluded, self.spent, len(self.pending))

    def _record_repeat(self, job: Job, outcome: Outcome) -> None:
        """As `_record_first`. A repeat that fails says nothing against its architecture, which was evaluated before."""
        what: dict[str, Any] = {"seconds": outcome.seconds, "node": outcome.node, "repeat": job.repeat}
        if outcome.status == Ending.FINISHED:
            self.store.finished(job.architecture, outcome.metrics, **what)
            self.scheduler.tell_repeat(job, outcome.metrics)
        elif outcome.status == Ending.REJECTED:
            self.store.rejected(job.architecture, outcome.metrics, outcome.reason, **what)
        else:
            self.store.failed(job.architecture, outcome.reason or "no reason is known", **what)

    def _record_first(self, job: Job, outcome: Outcome) -> None:
        architecture, seconds, node = job.architecture, outcome.seconds, outcome.node
        if outcome.status == Ending.FINISHED:
            record = self.store.finished if self.scheduler.is_last(job) else self.store.paused
            record(architecture, outcome.metrics, seconds=seconds, node=node)
            self.scheduler.tell(job, outcome.metrics)
            self._failures.otherwise()
        elif outcome.status == Ending.REJECTED:
            self.store.rejected(architecture, outcome.metrics, outcome.reason, seconds=seconds, node=node)
            self.scheduler.tell_rejected(job, outcome.metrics)
            self._agenda.rejections.add()
            self._failures.otherwise()
        else:
            reason = outcome.reason or "no reason is known"
            self.store.failed(architecture, reason, seconds=seconds, node=node)
            self.scheduler.tell_failure(job, reason)
            if self._failures.add(reason):
                self.end_with(InputError(self._all_failed(reason)))

    def _all_failed(self, reason: str) -> str:
        return (
            f"the first {FAILURES} evaluations all failed, because: {reason}; "
            f"{self.folder.trials} tells more; {self.folder.how_to_mend()}"
        )

    def _discard(self, job: Job, ended: bool) -> None:
        """Let the evaluator remove what only going on with an evaluation would need, once it never will."""
        directory = self.folder.trial(job.key).path
        is_done = ended if job.repeat else self.scheduler.is_done(job.key)
        if not is_done or not directory.exists():
            return
        try:
            self.evaluator.discard(directory)
        except OSError as error:  # it costs room and nothing else
            why = error.strerror or error
            self.listener.once(
                f"{directory}: what is not needed any more could not be removed ({why})", about="removal"
            )

    # -- the end ------------------------------------------------------------------------------------------------

    def drain(self) -> None:
        """Start nothing more; what is pending is waited for."""
        self.draining = True
        self.listener.drain(len(self.pending))

    def trial_directory(self, job: Job) -> Path:
        """The folder that a job is evaluated in."""
        return self.folder.trial(job.key).path
