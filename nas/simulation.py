"""A search on a simulated clock: any number of workers, slow ones, failures and preemption, in seconds of real time.

The session, the algorithm, the store and every decision are those of a real search; only the waiting is left out. So a cluster
can be planned, and scheduling tested, before anything is paid for.
"""

from __future__ import annotations

import heapq
import itertools
import math
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from evaluators.evaluator import Evaluator, FunctionEvaluator
from search_spaces import Architecture, InputError, SearchSpace

from .algorithms import Algorithm, make_algorithm
from .objectives import Objective
from .schedulers import Job, make_scheduler, usual_scheduler
from .session.outcome import Ending, Outcome
from .session.session import Session
from .session.trial import attempt
from .storage.folder import RunFolder
from .storage.records import Evaluation, Event
from .storage.store import Store


@dataclass(frozen=True)
class SimulatedWorker:
    """A worker that does `speed` seconds' work in a second, from `joins` to `leaves` (seconds of the simulated clock)."""

    speed: float = 1.0
    joins: float = 0.0
    leaves: float = math.inf


@dataclass
class Simulation:
    """What happened: `seconds` is the simulated time to the last result.

    Attributes:
        evaluations, repeats, events: as a store has them, with simulated times.
        useful, wasted, offered: seconds of all workers: in jobs that ended, in jobs that were cut short, and in all while
            they were there.
        driver_seconds: that asking and telling took, simulated.
        real_seconds: that the simulation took.
    """

    seconds: float = 0.0
    evaluations: list[Evaluation] = field(default_factory=list)
    repeats: list[Evaluation] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    useful: float = 0.0
    wasted: float = 0.0
    offered: float = 0.0
    driver_seconds: float = 0.0
    real_seconds: float = 0.0

    @property
    def utilisation(self) -> float:
        """Share of the workers' time that went into jobs that ended."""
        return self.useful / self.offered if self.offered else 0.0


class _Cluster:
    """The executor: an event for every end of a job and every coming and going of a worker."""

    def __init__(
        self,
        clock: _Clock,
        workers: Sequence[SimulatedWorker],
        seconds: Callable[[Job], float],
        *,
        driver_seconds: float,
        death_rate: float,
        preempted_every: float | None,
        outage: float,
        generation: int | None,
        rng: np.random.Generator,
    ):
        self.clock, self.workers, self.seconds, self.driver_seconds = clock, list(workers), seconds, driver_seconds
        self.death_rate, self.preempted_every, self.outage = death_rate, preempted_every, outage
        self.generation, self.rng, self.report = generation, rng, Simulation()
        self._order = itertools.count()
        self._happenings: list[tuple[Any, ...]] = []  # when, number, what is called, its arguments
        self._free: list[int] = []  # workers that are there and have nothing to do, those that came first in front
        self._busy: dict[int, tuple[Job, float, int]] = {}  # worker -> its job, when that began, its number
        self._there: dict[int, float] = {}  # worker -> since when
        self._left = 0  # of the present generation

    def __call__(self, session: Session) -> None:
        for index, worker in enumerate(self.workers):
            self._at(worker.joins, self._join, index)
        while True:
            self._hand_out(session)
            if session.over:
                break
            retry = session.next_retry
            if (
                retry is not None
                and retry > self.clock.now
                and (not self._happenings or retry < self._happenings[0][0])
            ):
                self.clock.now = retry
                continue
            if not self._happenings:
                raise InputError("every simulated worker has left and the search is not over")
            when, _, what, *arguments = heapq.heappop(self._happenings)
            self.clock.now = max(self.clock.now, when)
            what(session, *arguments)
        for index in self._there:
            self.report.offered += self.clock.now - self._there[index]
        self.report.seconds = self.clock.now

    def _at(self, when: float, what: Callable[..., None], *arguments: object) -> None:
        if when < math.inf:
            heapq.heappush(self._happenings, (when, next(self._order), what, *arguments))

    def _hand_out(self, session: Session) -> None:
        if self.generation and not session.pending:
            self._left = self.generation
        while self._free and (self._left if self.generation else True):
            job = session.propose()
            if job is None:
                return
            self._left -= 1
            self.clock.now += self.driver_seconds  # asks are answered one after another
            self.report.driver_seconds += self.driver_seconds
            self._start(session, self._free.pop(0), job)

    def _start(self, session: Session, index: int, job: Job) -> None:
        session.running(job, f"worker {index}")
        number = next(self._order)
        self._busy[index] = job, self.clock.now, number
        takes = self.seconds(job) / self.workers[index].speed
        if self.rng.random() < self.death_rate:
            self._at(
                self.clock.now + takes * self.rng.random(),
                self._end,
                index,
                number,
                Outcome(Ending.DIED, reason="it died"),
            )
        else:
            outcome = attempt(session.evaluator, job, session.trial_directory(job), node=f"worker {index}")
            self._at(self.clock.now + takes, self._end, index, number, replace(outcome, seconds=takes))

    def _end(self, session: Session, index: int, number: int, outcome: Outcome) -> None:
        if index not in self._busy or self._busy[index][2] != number:
            return  # its worker was taken away meanwhile
        job, since, _ = self._busy.pop(index)
        if outcome.status == Ending.DIED:
            self.report.wasted += self.clock.now - since
        else:
            self.report.useful += outcome.seconds
        self._free.append(index)
        session.conclude(job, outcome)

    def _join(self, session: Session, index: int) -> None:
        self._there[index] = self.clock.now
        self._free.append(index)
        stays = self.rng.exponential(self.preempted_every) if self.preempted_every else math.inf
        self._at(min(self.clock.now + stays, self.workers[index].leaves), self._leave, index)

    def _leave(self, session: Session, index: int) -> None:
        self.report.offered += self.clock.now - self._there.pop(index)
        if index in self._busy:
            job, since, _ = self._busy.pop(index)
            self.report.wasted += self.clock.now - since
            session.conclude(job, Outcome(Ending.LOST, reason=f"worker {index} is gone", node=f"worker {index}"))
        else:
            self._free.remove(index)
        if self.clock.now + self.outage < self.workers[index].leaves:
            self._at(self.clock.now + self.outage, self._join, index)


class _Clock:
    """Simulated seconds since the beginning."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def simulate(
    space: SearchSpace,
    evaluate: Evaluator | Callable[[Architecture], Mapping[str, float]],
    objectives: Sequence[Objective],
    *,
    workers: Sequence[SimulatedWorker],
    seconds: Callable[[Job], float],
    max_evaluations: int,
    max_seconds: float | None = None,
    references: Sequence[Architecture] = (),
    algorithm: str | Algorithm = "random",
    scheduler: str | None = None,
    scheduler_options: Mapping[str, Any] | None = None,
    seed: int = 0,
    repeats: int = 0,
    confirm: int = 0,
    driver_seconds: float = 0.0,
    death_rate: float = 0.0,
    preempted_every: float | None = None,
    outage: float = 60.0,
    generation: int | None = None,
) -> Simulation:
    """A search as it would go.

    Args:
        evaluate: a look-up, rather than a training.
        seconds: that a job takes on a worker of speed 1.
        max_seconds: of the simulated clock, after which no evaluation is started.
        references: architectures asked first, whatever the constraints.
        algorithm: a name, or one that is made already.
        scheduler, scheduler_options, repeats, confirm: as those of `search`.
        driver_seconds: that one ask with its tell takes; asks are answered one after another.
        death_rate: share of the jobs whose process dies on the way.
        preempted_every: mean seconds until a worker is taken away; it is back after `outage` seconds.
        generation: jobs that are handed out together, the next ones only when all of them have ended; None hands out a job
            whenever a worker is free.

    Raises:
        InputError: no worker is left before the search is over.
    """
    if not workers or not all(0 < worker.speed < math.inf for worker in workers):
        raise InputError("a simulation needs workers with speeds above 0")
    evaluator = evaluate if isinstance(evaluate, Evaluator) else FunctionEvaluator(evaluate)
    if isinstance(algorithm, str):
        estimates = type(evaluator).estimate is not Evaluator.estimate
        options = {"estimate": evaluator.estimate} if estimates else {}
        algorithm = make_algorithm(algorithm, space, objectives, seed=seed, **options)
    clock, started = _Clock(), time.perf_counter()
    rng = np.random.default_rng(seed)
    cluster = _Cluster(
        clock,
        workers,
        seconds,
        driver_seconds=driver_seconds,
        death_rate=death_rate,
        preempted_every=preempted_every,
        outage=outage,
        generation=generation,
        rng=rng,
    )
    scheduled = make_scheduler(
        scheduler or usual_scheduler(evaluator.fidelities), algorithm, evaluator.fidelities, **(scheduler_options or {})
    )
    with tempfile.TemporaryDirectory() as directory:
        folder, settings = RunFolder(directory), {"fidelities": scheduled.fidelities}
        with Store.create(folder.store, space=space, settings=settings, clock=clock, durable=False) as store:
            evaluator.prepare(folder.path)
            session = Session(
                evaluator,
                scheduled,
                store,
                folder,
                max_evaluations=max_evaluations,
                max_seconds=max_seconds,
                first=references,
                repeats=repeats,
                confirm=confirm,
                clock=clock,
            )
            evaluator.setup()
            cluster(session)
            if session.error:
                raise session.error
            report = cluster.report
            report.evaluations, report.repeats, report.events = store.evaluations(), store.repeats(), store.events()
    report.real_seconds = time.perf_counter() - started
    return report
