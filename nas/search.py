"""The search: a store, an algorithm and an evaluator put together, and the loop that runs them in this process."""

from __future__ import annotations

import contextlib
import platform
import signal
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from evaluators.evaluator import Evaluator, FunctionEvaluator
from search_spaces import Architecture, InputError, SearchSpace

from .algorithms import make_algorithm
from .evaluation import run_job
from .objectives import Constraint, Objective
from .progress import Progress
from .run import STORE, Run
from .session import Session
from .store import Store


def run_here(session: Session) -> None:
    """Evaluate one architecture after another in this process."""
    while (job := session.propose()) is not None:
        session.running(job, platform.node())
        session.conclude(
            job,
            run_job(session.evaluator, job, session.trial_directory(job), time_limit=session.time_limit),
        )


@contextlib.contextmanager
def draining_on_interrupt(session: Session):
    """Ctrl-C once: what runs is waited for and nothing more is started. Twice: stop at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupted(signum, frame):
        if session.draining:
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
        references: architectures evaluated first, whatever the constraints.
        start_from: another run, of this space or one that shares its choices, whatever its data and device: the architectures
            of its front are evaluated next where they lie in `space` and meet the constraints; its results are not taken over.
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
    if time_limit is not None and not time_limit > 0:
        raise InputError(f"time_limit must be a number of seconds above 0, not {time_limit!r}")
    directory = Path(directory)
    seeds = _front_of(start_from, space) if start_from is not None else []
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
                also=seeds,
                max_seconds=max_seconds,
                time_limit=time_limit,
                progress=progress,
            )
            store.set_meta("max_evaluations", max_evaluations)  # of this time; `resume` may raise it
            if session.spent < max_evaluations:  # nothing is started for a search that only has to be finished off
                with session.progress, draining_on_interrupt(session):
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
