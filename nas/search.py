"""The search loop: ask -> evaluate -> record -> tell, in this process or as Ray Tune trials.

    algorithm.ask --> Session.propose --> store: asked --> an executor runs the evaluator
    algorithm.tell <-- Session.conclude <-- store: finished / failed / rejected <-- Outcome

The store hears of a result before the algorithm does, and a session is rebuilt from the store alone.
"""

from __future__ import annotations

import contextlib
import errno
import json
import platform
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from evaluators.evaluator import EvaluationError, Evaluator, FunctionEvaluator, Rejected
from search_spaces import Architecture, InputError, SearchSpace
from search_spaces.errors import one_of
from search_spaces.files import write_text

from .algorithms import SpaceExhausted, make_algorithm
from .objectives import Constraint, Objective, check_metrics
from .progress import Progress
from .run import STORE, Run
from .store import Store

# A search whose hard constraints reject this many architectures for every evaluation it may spend gives up.
REJECTIONS_PER_EVALUATION = 5


@dataclass(frozen=True)
class Outcome:
    """How an evaluation ended: finished, failed, rejected, or unfinished (the disk is full: no fault of the architecture).

    Plain data, so that it travels anywhere.
    """

    status: str
    metrics: dict = field(default_factory=dict)
    reason: str | None = None
    seconds: float = 0.0
    node: str | None = None


def run_evaluation(evaluator: Evaluator, architecture: Architecture, directory: Path) -> Outcome:
    """Evaluate one architecture; whatever goes wrong with it becomes an Outcome.

    The outcome is also left in `directory/outcome.json`: when the run is interrupted between the end of an evaluation
    and its entry in the store, asking again finds it there and pays nothing.
    """
    saved = directory / "outcome.json"
    if saved.exists():
        return Outcome(**json.loads(saved.read_text(encoding="utf-8")))
    started = time.perf_counter()
    try:
        directory.mkdir(parents=True, exist_ok=True)
        metrics = evaluator.evaluate(architecture, directory)
        if not isinstance(metrics, Mapping):
            raise EvaluationError(f"the evaluator returned {type(metrics).__name__}, not a mapping of metrics")
        outcome = Outcome("finished", {name: _number(name, value) for name, value in metrics.items()})
    except Rejected as rejection:
        outcome = Outcome("rejected", rejection.metrics, str(rejection))
    except EvaluationError as error:
        outcome = Outcome("failed", reason=str(error))
    except Exception as error:  # the user's evaluator may raise anything; the search goes on
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            return Outcome("unfinished", reason=f"the disk of {directory} is full")
        outcome = Outcome("failed", reason=f"{type(error).__name__}: {error}".splitlines()[0])
        with contextlib.suppress(OSError):
            (directory / "error.txt").write_text(traceback.format_exc(), encoding="utf-8")
    outcome = Outcome(**{**asdict(outcome), "seconds": time.perf_counter() - started, "node": platform.node()})
    with contextlib.suppress(OSError):  # the store is told all the same
        write_text(saved, json.dumps(asdict(outcome)))
    return outcome


def _number(name: str, value) -> float:
    if isinstance(value, (bool, str)) or not np.isscalar(value) or not np.isfinite(value):
        raise EvaluationError(f"metric {name} is {value!r}, not a finite number")
    return value.item() if isinstance(value, np.generic) else value


class Session:
    """One running search: what is still to be asked, what is open, and the way of every outcome into the store."""

    def __init__(
        self,
        space: SearchSpace,
        evaluator: Evaluator,
        objectives: Sequence[Objective],
        store: Store,
        directory: Path,
        *,
        algorithm: str,
        max_evaluations: int,
        max_seconds: float | None = None,
        seed: int = 0,
        constraints: Sequence[Constraint] = (),
        references: Sequence[Architecture] = (),
        progress: Progress | None = None,
    ):
        self.evaluator, self.store, self.directory = evaluator, store, directory
        self.objectives, self.constraints = list(objectives), list(constraints)
        self.max_evaluations = max_evaluations
        self.deadline = time.monotonic() + max_seconds if max_seconds else None
        self.progress = progress or Progress(objectives, max_evaluations)
        self.error: Exception | None = None  # what ends the search early, raised once the executor has wound down
        estimates = type(evaluator).estimate is not Evaluator.estimate
        self.algorithm = make_algorithm(
            algorithm,
            space,
            objectives,
            seed=seed,
            constraints=constraints,
            estimate=evaluator.estimate if estimates else None,
        )
        earlier = store.evaluations()
        # before anything is paid for
        references = [store.space.adopt(reference) for reference in references]
        self._check_metrics(space)
        self.algorithm.check_feasible()
        self.algorithm.restore([e for e in earlier if e.status in ("finished", "failed", "rejected")])
        # References are asked whatever the constraints say: they are drawn, not searched.
        known = {e.key for e in earlier if e.status in ("finished", "failed", "rejected")}
        unfinished = [e.architecture for e in earlier if e.key not in known]
        seeds = [a for a in references if a.key not in known and a not in unfinished]
        self.waiting = unfinished + seeds
        self.open: set[str] = set()
        self.spent = sum(e.status in ("finished", "failed") for e in earlier)
        self.rejected = sum(e.status == "rejected" for e in earlier)
        self.progress.restore(earlier)

    def _check_metrics(self, space: SearchSpace) -> None:
        """An evaluator that says what it measures must measure what is optimised and bounded."""
        if not self.evaluator.metrics:
            return
        given = [*self.evaluator.metrics, *self.evaluator.estimate([space.sample(0)])]
        for wanted in (*self.objectives, *self.constraints):
            if wanted.metric not in given:
                raise InputError(f"the evaluator does not measure {wanted.metric}; it measures {one_of(given)}")

    def propose(self) -> Architecture | None:
        """The next architecture to evaluate, already in the store; None when the budget or the space is used up."""
        if self.error or self.spent + len(self.open) >= self.max_evaluations:
            return None
        if self.deadline and time.monotonic() > self.deadline:
            return None
        if self.rejected > REJECTIONS_PER_EVALUATION * self.max_evaluations:
            self.error = InputError(self._nothing_fits())
            return None
        try:
            if self.waiting:
                architecture = self.waiting.pop(0)
                self.algorithm.expect(architecture)
            else:
                architecture = self.algorithm.ask()
            estimates = {
                name: _number(name, value[0]) for name, value in self.evaluator.estimate([architecture]).items()
            }
            self.store.asked(architecture, estimates)
        except SpaceExhausted:
            self.progress.say("every architecture that meets the constraints has been evaluated")
            return None
        except Exception as error:
            self.error = error
            return None
        self.open.add(architecture.key)
        self.progress.started(architecture, costed=self.algorithm.costed, open=len(self.open))
        return architecture

    def _nothing_fits(self) -> str:
        tried = self.store.evaluations("rejected")
        parts = []
        for constraint in self.constraints:
            values = [e.metrics[constraint.metric] for e in tried if constraint.metric in e.metrics]
            if values:
                parts.append(
                    f"{constraint.metric} <= {constraint.upper:g}; the nearest of {len(values)} tried has {min(values):g}"
                )
        return f"{self.rejected} architectures were rejected and none met {', '.join(parts)}"

    def conclude(self, architecture: Architecture, outcome: Outcome) -> None:
        """Record how an evaluation ended, then tell the algorithm."""
        self.open.discard(architecture.key)
        if outcome.status == "unfinished":
            self.error = self.error or InputError(
                f"{outcome.reason}; every result is safe: free space and run `evoyolo resume {self.directory}`"
            )
            return
        try:
            if outcome.status == "finished":
                metrics = {**self.store.evaluation(architecture).metrics, **outcome.metrics}
                try:
                    check_metrics(metrics, self.objectives)
                except InputError as error:
                    outcome = Outcome("failed", outcome.metrics, str(error), outcome.seconds, outcome.node)
            if outcome.status == "finished":
                self.store.finished(architecture, metrics, seconds=outcome.seconds, node=outcome.node)
                self.algorithm.tell(architecture, metrics)
            elif outcome.status == "rejected":
                self.store.rejected(
                    architecture, outcome.metrics, outcome.reason, seconds=outcome.seconds, node=outcome.node
                )
                self.algorithm.tell_rejected(architecture, outcome.metrics)
            else:
                self.store.failed(architecture, outcome.reason, seconds=outcome.seconds, node=outcome.node)
                self.algorithm.tell_failure(architecture, outcome.reason)
        except Exception as error:  # a full disk, say; the outcome stays in the trial's folder
            self.error = error
            return
        self.spent += outcome.status != "rejected"
        self.rejected += outcome.status == "rejected"
        self.progress.concluded(self.store.evaluation(architecture), open=len(self.open))

    def trial_directory(self, architecture: Architecture) -> Path:
        return self.directory / "trials" / architecture.key


def run_here(session: Session) -> None:
    """Evaluate one architecture after another in this process."""
    while (architecture := session.propose()) is not None:
        session.conclude(
            architecture, run_evaluation(session.evaluator, architecture, session.trial_directory(architecture))
        )


def search(
    space: SearchSpace,
    evaluate: Evaluator | Callable[[Architecture], Mapping[str, float]],
    objectives: Sequence[Objective],
    *,
    max_evaluations: int = 100,
    algorithm: str = "evolution",
    seed: int = 0,
    directory: str | Path,
    constraints: Sequence[Constraint] = (),
    references: Sequence[Architecture] = (),
    max_seconds: float | None = None,
    executor: Callable[[Session], None] = run_here,
    resume: bool = False,
    settings: Mapping | None = None,
    progress: Progress | None = None,
) -> Run:
    """Search `space` for the front of `objectives`.

    Args:
        evaluate: a function from an architecture to its metrics, or an `Evaluator`.
        max_evaluations: architectures to evaluate, failures included, those of an interrupted run counted in.
        directory: the run's folder; it must not hold a run unless `resume`.
        constraints: hard bounds; those on metrics that the evaluator can estimate are respected before evaluating.
        references: architectures evaluated first, whatever the constraints.
        executor: what runs a session's evaluations: `run_here`, or `nas.cluster.Cluster(...)` for Ray Tune.
        settings: kept in the store, for the record.

    Returns:
        The run, with `evaluations` and `front`.

    Raises:
        InputError: wrong arguments, constraints that nothing meets, a folder that already holds a run, or a run
            folder that another search is using.
    """
    if isinstance(max_evaluations, bool) or not isinstance(max_evaluations, int) or max_evaluations < 1:
        raise InputError(f"max_evaluations must be a positive integer, not {max_evaluations!r}")
    directory = Path(directory)
    evaluator = evaluate if isinstance(evaluate, Evaluator) else FunctionEvaluator(evaluate)
    objectives = list(objectives)
    if not objectives:
        raise InputError("a search needs at least one objective")
    path = directory / STORE
    if resume:
        store = Store.open(path, space)
    elif path.exists():
        raise InputError(
            f"{directory} already holds a run; resume it (`evoyolo resume {directory}`) or name another folder"
        )
    else:
        directory.mkdir(parents=True, exist_ok=True)
        store = Store.create(
            path,
            space=space,
            settings={
                **(settings or {}),
                "objectives": [[o.metric, o.direction] for o in objectives],
                "constraints": [[c.metric, c.upper, c.lower] for c in constraints],
            },
        )
    try:
        with store:
            session = Session(
                space,
                evaluator,
                objectives,
                store,
                directory,
                algorithm=algorithm,
                max_evaluations=max_evaluations,
                max_seconds=max_seconds,
                seed=seed,
                constraints=constraints,
                references=references,
                progress=progress,
            )
            if session.spent < max_evaluations:  # nothing is started for a search that only has to be finished off
                with session.progress:
                    executor(session)
            store.set_meta("costed", (store.get_meta("costed") or 0) + session.algorithm.costed)
            if session.error:
                raise session.error
    except InputError:
        if not Run(directory, space).all_evaluations:  # nothing happened: the folder is free for another try
            for file in directory.glob(f"{STORE}*"):
                file.unlink()
        raise
    return Run(directory, space)
