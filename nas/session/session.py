"""One running search: what is to be done next, what is open, and the way of every outcome into the store and the algorithm.

    algorithm.ask --> Session.propose --> store: asked --> an executor runs the job
    algorithm.tell <-- Session.conclude <-- store: finished / paused / failed / rejected / retried <-- Outcome

The store hears of a result before the algorithm does, and a session is rebuilt from the store alone.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from evaluators.evaluator import Evaluator
from search_spaces import Architecture, InputError, SearchSpace
from search_spaces.errors import one_of

from ..algorithms import Algorithm, SpaceExhausted
from ..objectives import Constraint, Objective, check_metrics, is_number
from ..report.progress import Progress
from ..schedulers.halving import SuccessiveHalving, spent
from ..storage.store import UNFINISHED, Store, how_to_resume
from .trial import TRIALS, Job, Outcome, hung

# A search whose hard constraints reject this many architectures for every evaluation it may spend gives up.
REJECTIONS_PER_EVALUATION = 5

# How often a job is tried again when its process died, which may be the architecture's doing, and when its node went away,
# which is not; and after how long, doubled every time.
RETRIES = {"died": 2, "lost": 20}
BACK_OFF, LONGEST = 1.0, 60.0  # seconds
STOPPED = "the search was stopped"  # why what was running is asked again on resume
# Workers in a row that do not come up until the search gives up: before anything has run, where others may still be coming
# up for some seconds, and later.
STARTS, LATER_STARTS = 4, 100
START_SECONDS = 30.0
# Evaluations that fail alike, from the first on, until the search gives up: then it is not the architectures.
FAILURES = 5


class Session:
    """What is still to be asked, what is open, and what has ended.

    Args:
        evaluator, objectives, constraints: of the search.
        algorithm: what decides; a new one, which is told what the store has.
        store: of the run, open for writing.
        directory: the run's folder.
        first: architectures asked before anything else, whatever the constraints.
        also: architectures asked after those where they meet the constraints that can be estimated.
        max_evaluations: whole evaluations to spend, failures included.
        max_seconds: after which none is started.
        time_limit: seconds that one may take.
        clock: what tells the time, in seconds.

    Raises:
        InputError: the evaluator does not measure what is wanted, or the constraints leave nothing.
    """

    def __init__(
        self,
        evaluator: Evaluator,
        objectives: Sequence[Objective],
        algorithm: Algorithm,
        store: Store,
        directory: Path,
        *,
        max_evaluations: int,
        constraints: Sequence[Constraint] = (),
        first: Iterable[Architecture] = (),
        also: Iterable[Architecture] = (),
        max_seconds: float | None = None,
        time_limit: float | None = None,
        progress: Progress | None = None,
        clock: Callable[[], float] = time.time,
    ):
        self.evaluator, self.algorithm, self.store, self.directory = evaluator, algorithm, store, directory
        self.objectives, self.constraints = list(objectives), list(constraints)
        self.max_evaluations, self.time_limit, self.clock = max_evaluations, time_limit, clock
        self.deadline = clock() + max_seconds if max_seconds else None
        self.progress = progress or Progress(objectives, max_evaluations, constraints=constraints)
        self.error: Exception | None = None  # what ends the search early, raised once the executor has wound down
        self.draining = False  # nothing more is started
        self.open: dict[str, Job] = {}  # by key; those to be retried are not open
        self.spent, self.rejected = 0, 0
        self._exhausted = False  # nothing new is left, and nothing has ended since that was found
        self._dry = False  # the last proposal was none, and nothing has ended since
        self._retries: list[tuple[float, Job]] = []  # when, what
        self._started = False  # something ran in this session
        self._unstarted, self._first_unstarted = 0, None  # how many in a row, and when the first was
        self._failures: list[str] | None = []  # reasons in this session, until anything else has happened
        self._deaths: dict[str, Counter] = {}  # key -> how often it died or was lost
        self._check_metrics(algorithm.space)
        algorithm.check_feasible()
        # before anything is paid for
        first = [store.space.adopt(architecture) for architecture in first]
        self.halving = SuccessiveHalving(algorithm, evaluator.fidelities, always=[a.key for a in first])
        self._waiting = self._restore(first, list(also))

    def _check_metrics(self, space: SearchSpace) -> None:
        """An evaluator that says what it measures must measure what is optimised and bounded."""
        if not self.evaluator.metrics:
            return
        given = [*self.evaluator.metrics, *self.evaluator.estimate([space.sample(0)])]
        for wanted in (*self.objectives, *self.constraints):
            if wanted.metric not in given:
                raise InputError(f"the evaluator does not measure {wanted.metric}; it measures {one_of(given)}")

    def _restore(self, first: list[Architecture], also: list[Architecture]) -> list[Job]:
        """Take up what the store has; returns what is to be asked before the algorithm is."""
        earlier = {e.key: e for e in self.store.evaluations()}
        events = self.store.events()  # in the order in which the algorithm was told
        for event in events:
            evaluation = earlier[event.key]
            job = Job(evaluation.architecture, event.fidelity)
            if event.state == "finished":
                self.halving.tell(job, evaluation.metrics)  # as they are now: some are measured again at the end
            elif event.state == "paused":
                self.halving.tell(job, event.metrics)
            elif event.state == "failed":
                self.halving.tell_failure(job, evaluation.reason)
            elif event.state == "rejected":
                self.halving.tell_rejected(job, evaluation.metrics)
                self.rejected += 1
        self.spent = spent(events, self.halving.fidelities)
        self.progress.restore(list(earlier.values()), self.spent)
        for e in earlier.values():
            if e.status == "running":
                self.store.retried(e.architecture, STOPPED, node=e.node)
                times = 1 + sum(
                    (event.key, event.state, event.detail) == (e.key, "retried", STOPPED) for event in events
                )
                if times >= 3:
                    self.progress.say(
                        f"{e.key} was running each of the {times} times that the search was stopped; should it be what ends "
                        "the process, a worker of Ray's contains that"
                    )
        unfinished = [Job(e.architecture, e.fidelity) for e in earlier.values() if e.status in UNFINISHED]
        new = [a for a in {a.key: a for a in first}.values() if a.key not in earlier]
        also = self.algorithm.candidates(a for a in also if a.key not in earlier and a not in new)[0]
        return [*unfinished, *(Job(architecture, self.halving.first) for architecture in [*new, *also])]

    # -- what is next -------------------------------------------------------------------------------------------

    def propose(self) -> Job | None:
        """The next job, already in the store; None when there is none now. `over` tells whether there will be one."""
        job = self._next()
        self._dry = job is None
        return job

    def _next(self) -> Job | None:
        if self.ending:
            return None
        for entry in sorted(self._retries, key=lambda entry: entry[0]):
            if entry[0] <= self.clock():
                self._retries.remove(entry)
                return self._begin(entry[1])
        if self.left <= 1e-9:
            return None
        if self.rejected > REJECTIONS_PER_EVALUATION * self.max_evaluations:
            if not self.algorithm.feasible:
                self.error = InputError(self._nothing_fits())
            else:
                self.progress.once(
                    f"{self.rejected} architectures were rejected: the search ends with what it has", about="the end"
                )
                self._exhausted = True
            return None
        if self._waiting:
            job = self._waiting.pop(0)
            self.halving.expect(job)
            return self._begin(job)
        if self._exhausted:
            return None
        try:
            job = self.halving.ask()
        except SpaceExhausted:
            self.progress.once("there is no architecture left that meets the constraints and was not asked yet")
            self._exhausted = True
            return None
        except Exception as error:
            self.error = error
            return None
        return None if self.ending else self._begin(job)  # an ask takes its time

    @property
    def left(self) -> float:
        """Whole evaluations that are neither spent nor under way."""
        pending = [*self.open.values(), *(job for _, job in self._retries)]
        return max(0, self.max_evaluations - self.spent - sum(map(self.halving.cost, pending)))

    @property
    def over(self) -> bool:
        """Whether nothing is open and nothing more will be proposed."""
        return not self.open and (self.ending or ((self._dry or self.complete) and not self._retries))

    @property
    def ending(self) -> bool:
        """Whether nothing more is started, whatever is left to do."""
        late = self.deadline is not None and self.clock() > self.deadline
        return self.error is not None or self.draining or late

    @property
    def complete(self) -> bool:
        """Whether the budget or the space is used up."""
        return self.spent >= self.max_evaluations - 1e-9 or self._exhausted

    @property
    def next_retry(self) -> float | None:
        """When, by the clock, a job that died is due again."""
        return min((due for due, _ in self._retries), default=None)

    def _begin(self, job: Job) -> Job | None:
        try:
            estimates = {name: values[0] for name, values in self.evaluator.estimate([job.architecture]).items()}
            for name, value in estimates.items():
                if not is_number(value):
                    raise InputError(f"the evaluator estimates {name} as {value!r}, not a finite number")
                estimates[name] = value.item() if hasattr(value, "item") else value
            self.store.asked(job.architecture, estimates, fidelity=job.fidelity)
        except Exception as error:
            self.error = error
            return None
        self.open[job.key] = job
        self.progress.started(costed=self.algorithm.costed, open=len(self.open))
        return job

    def _nothing_fits(self) -> str:
        tried = self.store.evaluations("rejected")
        parts = []
        for constraint in self.constraints:
            values = [e.metrics[constraint.metric] for e in tried if constraint.metric in e.metrics]
            if values and min(map(constraint.violation, values)) > 0:
                nearest = min(values, key=constraint.violation)
                parts.append(f"none met {constraint}; the nearest of {len(values)} tried has {nearest:g}")
        why = ", ".join(parts) or f"the last because: {tried[-1].reason}"
        return f"{self.rejected} architectures were rejected, and nothing that meets the constraints was found: {why}"

    # -- what has happened --------------------------------------------------------------------------------------

    def running(self, job: Job, node: str | None) -> None:
        """A job has started on a node."""
        self._started, self._unstarted, self._first_unstarted = True, 0, None
        try:
            self.store.running(job.architecture, node=node)
        except Exception as error:  # a full disk, say
            self.error = self.error or error

    def unstarted(self, reason: str) -> None:
        """A worker did not come up. Where none ever has, a few such are enough to know that it is not the fault of a node."""
        self._unstarted += 1
        self._first_unstarted = self.clock() if self._first_unstarted is None else self._first_unstarted
        many = self._unstarted >= (LATER_STARTS if self._started else STARTS)
        if many and self.clock() >= self._first_unstarted + START_SECONDS:
            self.error = self.error or InputError(f"workers cannot start: {reason}")

    def conclude(self, job: Job, outcome: Outcome) -> None:
        """Record how a job ended, then tell the algorithm; or see to it that it is tried again."""
        self.open.pop(job.key, None)
        self._dry = self._exhausted = False
        if outcome.status == "unfinished":
            self.error = self.error or InputError(
                f"{outcome.reason}; every result is safe: free space, then {how_to_resume(self.directory)}"
            )
            return
        if outcome.status == "unstarted":
            self.unstarted(outcome.reason)
            outcome = replace(outcome, status="lost")
        try:
            if outcome.status in RETRIES:
                late = hung(self.trial_directory(job), self.time_limit)
                outcome = replace(late, node=outcome.node) if late else self._try_again(job, outcome)
            if outcome is not None:
                self._record(job, self._checked(job, outcome))
        except Exception as error:  # a full disk, say; the outcome stays in the trial's folder
            self.error = self.error or error

    def _try_again(self, job: Job, outcome: Outcome) -> Outcome | None:
        """Queue a job whose process is gone; the failure to record when that has been too often."""
        deaths = self._deaths.setdefault(job.key, Counter())
        deaths[outcome.status] += 1
        count, most = deaths[outcome.status], RETRIES[outcome.status]
        if count > most:
            return Outcome("failed", reason=f"{outcome.reason} ({count} times)", node=outcome.node)
        self.store.retried(job.architecture, outcome.reason, node=outcome.node)
        seconds = min(LONGEST, BACK_OFF * 2 ** (count - 1))
        self._retries.append((self.clock() + seconds, job))
        when = "it is tried again on resume" if self.ending else f"retry {count} of {most} in {seconds:g} s"
        self.progress.retried(job.key, f"{outcome.reason}; {when}", len(self.open))
        return None

    def _checked(self, job: Job, outcome: Outcome) -> Outcome:
        """The outcome, as a failure where a metric that is needed is missing or no finite number."""
        if outcome.status != "finished":
            return outcome
        metrics = {**self.store.evaluation(job.architecture).metrics, **outcome.metrics}
        wanted = [*self.objectives, *self.constraints]
        for name, text in outcome.ignored.items():
            if name in {each.metric for each in wanted}:
                return replace(outcome, status="failed", reason=f"metric {name} is {text}, not a finite number")
            self.progress.once(f"metric {name} is not recorded: {text} is not a finite number", about=name)
        try:
            check_metrics(metrics, wanted)
        except InputError as error:
            return replace(outcome, status="failed", reason=str(error))
        return replace(outcome, metrics=metrics)

    def _record(self, job: Job, outcome: Outcome) -> None:
        architecture, ended = job.architecture, {"seconds": outcome.seconds, "node": outcome.node}
        if outcome.status != "failed":
            self._failures = None
        if outcome.status == "finished":
            if self.halving.is_last(job):
                self.store.finished(architecture, outcome.metrics, **ended)
            else:
                self.store.paused(architecture, outcome.metrics, **ended)
            self.halving.tell(job, outcome.metrics)
        elif outcome.status == "rejected":
            self.store.rejected(architecture, outcome.metrics, outcome.reason, **ended)
            self.halving.tell_rejected(job, outcome.metrics)
            self.rejected += 1
        else:
            self.store.failed(architecture, outcome.reason, **ended)
            self.halving.tell_failure(job, outcome.reason)
            self._failed(outcome.reason)
        self.spent += self.halving.cost(job) if outcome.status != "rejected" else 0
        self.progress.concluded(self.store.evaluation(architecture), self.spent, len(self.open))

    def _failed(self, reason: str) -> None:
        """Give up where all fail alike: a wrong setting would spend the budget and blame every architecture."""
        if self._failures is None:
            return
        self._failures.append(reason)
        if len(self._failures) >= FAILURES and len(set(self._failures)) == 1:
            self.error = self.error or InputError(
                f"the first {len(self._failures)} evaluations all failed, because: {reason}; {self.directory / TRIALS} tells "
                "more. Mend the cause and start anew in another folder: what failed is not tried again"
            )

    # -- the end ------------------------------------------------------------------------------------------------

    def drain(self) -> None:
        """Start nothing more; what is open is waited for."""
        self.draining = True
        self.progress.drain(len(self.open))

    def trial_directory(self, job: Job) -> Path:
        return self.directory / TRIALS / job.key
