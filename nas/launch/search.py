"""The search: a store, an algorithm and an evaluator put together, and the loop that runs them in this process."""

from __future__ import annotations

import contextlib
import math
import os
import platform
import signal
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from evaluators.evaluator import Evaluator, FunctionEvaluator
from search_spaces import Architecture, InputError, SearchSpace

from ..algorithms import make_algorithm
from ..objectives import Constraint, Objective
from ..report.progress import Progress
from ..session.session import Session
from ..session.trial import TRIALS, Outcome, can_interrupt, outcome_file, run_job
from ..storage.run import STORE, Run
from ..storage.store import Store, how_to_resume


def run_here(session: Session) -> None:
    """Evaluate one architecture after another in this process."""
    while (job := session.propose()) is not None:
        session.running(job, platform.node())
        outcome = run_job(session.evaluator, job, session.trial_directory(job), time_limit=session.time_limit)
        if session.draining and outcome.status == "failed":
            # Ctrl-C reaches what the evaluator started as well, which is no fault of the architecture
            outcome_file(session.trial_directory(job), job).unlink(missing_ok=True)
            outcome = Outcome("lost", reason=f"it failed while it was interrupted: {outcome.reason}")
        session.conclude(job, outcome)


@contextlib.contextmanager
def draining_on_interrupt(session: Session):
    """Ctrl-C once: what runs is waited for and nothing more is started. Twice: stop at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    driver = os.getpid()

    def interrupted(signum, frame):
        if session.draining or os.getpid() != driver:  # a process that the evaluator forked
            raise KeyboardInterrupt
        session.drain()

    before = signal.signal(signal.SIGINT, interrupted)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def search(
    space: SearchSpace,
    evaluate: Evaluator | Callable[[Architecture], Mapping[str, float]],
    objectives: Sequence[Objective],
    *,
    max_evaluations: int = 100,
    algorithm: str = "surrogate",
    seed: int = 0,
    directory: str | Path,
    constraints: Sequence[Constraint] = (),
    references: Sequence[Architecture] = (),
    start_from: str | Path | Run | None = None,
    max_seconds: float | None = None,
    time_limit: float | None = None,
    executor: Callable[[Session], None] = run_here,
    resume: bool = False,
    settings: Mapping | None = None,
    progress: Progress | None = None,
) -> Run:
    """Search `space` for the front of `objectives`.

    Args:
        evaluate: a function from an architecture to its metrics, or an `Evaluator`.
        max_evaluations: architectures to evaluate, failures included, those of an interrupted run counted in. Where the
            evaluator has several fidelities, each costs its share: 10 architectures put aside after a tenth count as 1.
        directory: the run's folder; it must not hold a run unless `resume`.
        constraints: hard bounds; those on metrics that the evaluator can estimate are respected before evaluating.
        references: architectures asked first, whatever is known in advance of the constraints on them.
        start_from: another run, of this space or one that shares its choices, whatever its data and device: the architectures
            of its front are evaluated next where they lie in `space` and meet the constraints; its results are not taken
            over. A run that is resumed goes on with those it was begun with.
        max_seconds: start no evaluation after so long.
        time_limit: seconds after which an evaluation is stopped and recorded as failed.
        executor: what runs a session's evaluations: `run_here`, or `nas.cluster.Cluster(...)` for Ray.
        settings: kept in the store, for the record.

    Returns:
        The run, with `evaluations` and `front`. After Ctrl-C it is what there was by then, and `resume` goes on.

    Raises:
        InputError: wrong arguments, constraints that nothing meets, a folder that already holds a run, or a run
            folder that another search is using.
    """
    if isinstance(max_evaluations, bool) or not isinstance(max_evaluations, int) or max_evaluations < 1:
        raise InputError(f"max_evaluations must be a positive integer, not {max_evaluations!r}")
    for name, seconds in (("time_limit", time_limit), ("max_seconds", max_seconds)):
        number = isinstance(seconds, (int, float)) and not isinstance(seconds, bool)
        if seconds is not None and not (number and 0 < seconds < math.inf):
            raise InputError(f"{name} must be a number of seconds above 0, not {seconds!r}")
    if time_limit and executor is run_here and not can_interrupt():
        raise InputError("a time_limit without Ray works in the main thread of a Unix system only")
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise InputError(f"seed must be an integer of at least 0, not {seed!r}")
    directory = Path(directory)
    seeds = _front_of(start_from, space) if start_from is not None and not resume else []
    evaluator = evaluate if isinstance(evaluate, Evaluator) else FunctionEvaluator(evaluate)
    objectives = list(objectives)
    if not objectives:
        raise InputError("a search needs at least one objective")
    path = directory / STORE
    sought = {
        "objectives": [[o.metric, o.direction] for o in objectives],
        "constraints": [[c.metric, c.upper, c.lower] for c in constraints],
        "fidelities": list(evaluator.fidelities),
    }
    if resume:
        store = Store.open(path, space)
    elif path.exists():
        raise InputError(
            f"{directory} already holds a run; to go on with it, {how_to_resume(directory)}, or name another folder"
        )
    else:
        if (directory / TRIALS).exists():  # their outcomes would be taken for those of this search
            raise InputError(
                f"{directory} holds the trials of a run whose {STORE} is gone; remove them or name another folder"
            )
        directory.mkdir(parents=True, exist_ok=True)
        store = Store.create(
            path,
            space=space,
            settings={**(settings or {}), **sought, "start_from": [architecture.to_dict() for architecture in seeds]},
        )
    try:
        with store:
            kept = store.get_meta("settings")
            _check_same(directory, kept, sought)
            estimates = type(evaluator).estimate is not Evaluator.estimate
            session = Session(
                evaluator,
                objectives,
                make_algorithm(
                    algorithm,
                    space,
                    objectives,
                    seed=seed,
                    constraints=constraints,
                    estimate=evaluator.estimate if estimates else None,
                ),
                store,
                directory,
                max_evaluations=max_evaluations,
                constraints=constraints,
                first=references,
                also=[space.architecture(**values) for values in kept.get("start_from", [])],
                max_seconds=max_seconds,
                time_limit=time_limit,
                progress=progress,
            )
            store.set_meta("max_evaluations", max_evaluations)  # of this time; `resume` may raise it
            store.set_meta("complete", False)
            if session.spent < max_evaluations:  # nothing is started for a search that only has to be finished off
                with session.progress, draining_on_interrupt(session):
                    executor(session)
            store.set_meta("costed", (store.get_meta("costed") or 0) + session.algorithm.costed)
            if session.error:
                raise session.error
            store.set_meta("complete", session.complete)
    except Exception:
        if not resume and not Run(directory, space).all_evaluations:  # nothing happened: free for another try
            for file in directory.glob(f"{STORE}*"):
                file.unlink()
        raise
    return Run(directory, space)


def _check_same(directory: Path, kept: Mapping, sought: Mapping) -> None:
    """Raise InputError when a run was made for something else than what is sought now."""
    for name, value in sought.items():
        before = kept.get(name, [])  # a run of an earlier version has no fidelities
        if before != value:
            raise InputError(f"{directory} was searched with {name} {before}; it cannot go on with {value}")


def _front_of(source: str | Path | Run, space: SearchSpace) -> list[Architecture]:
    """The architectures of a run's front that `space` holds. Raises InputError when it holds none of them."""
    run = source if isinstance(source, Run) else Run(source)
    held = []
    for evaluation in run.front:
        with contextlib.suppress(InputError):
            held.append(space.architecture(**evaluation.architecture.to_dict()))
    if not held:
        raise InputError(
            f"{run.directory}: none of the {len(run.front)} architectures of its front lies in space {space.name!r}"
        )
    return held
