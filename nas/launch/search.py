"""The search: a store, an algorithm, a scheduler, an evaluator and an executor put together."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from evaluators.evaluator import Evaluator, FunctionEvaluator
from search_spaces import Architecture, InputError, SearchSpace
from search_spaces.architecture import is_of_recipe

from ..algorithms import make_algorithm
from ..algorithms.algorithm import Prior
from ..algorithms.elsewhere import prior_from
from ..executors import draining_on_interrupt, run_here
from ..objectives import Constraint, Objective
from ..options import check_free
from ..report.progress import Progress
from ..schedulers import make_scheduler, usual_scheduler
from ..session.listener import Listener
from ..session.session import Session
from ..session.time_limits import can_interrupt
from ..storage.folder import RunFolder
from ..storage.run import Run
from ..storage.store import Store

RESULTS = 300  # of another run that are kept with the one begun from it


def search(
    space: SearchSpace,
    evaluate: Evaluator | Callable[[Architecture], Mapping[str, float]],
    objectives: Sequence[Objective],
    *,
    max_evaluations: int | None = 100,
    algorithm: str = "surrogate",
    algorithm_options: Mapping[str, Any] | None = None,
    prior: Prior | None = None,
    scheduler: str | None = None,
    scheduler_options: Mapping[str, Any] | None = None,
    seed: int = 0,
    directory: str | Path,
    constraints: Sequence[Constraint] = (),
    first: Sequence[Architecture] = (),
    references: Sequence[Architecture] = (),
    start_from: str | Path | Run | None = None,
    repeats: int = 1,
    confirm: int = 0,
    max_seconds: float | None = None,
    budget_seconds: float | None = None,
    guess: tuple[Architecture, float] | None = None,
    time_limit: float | None = None,
    executor: Callable[[Session], None] = run_here,
    resume: bool = False,
    settings: Mapping[str, object] | None = None,
    progress: Listener | None = None,
) -> Run:
    """Search `space` for the front of `objectives`.

    Args:
        evaluate: a function from an architecture to its metrics, or an `Evaluator`.
        max_evaluations: architectures to evaluate, failures included, those of an interrupted run counted in. Where the
            evaluator has several fidelities, each costs its share: 10 architectures put aside after a tenth count as 1. None, with
            `budget_seconds`, is as many as there is time for.
        algorithm, algorithm_options: what decides which architecture is tried next: its name and what it may be told, such as
            ``{"initial": 12}``.
        prior: what is believed of the leading objective beforehand, see `Algorithm`; it is not kept, and whoever resumes the run
            gives it again.
        scheduler, scheduler_options: what decides how far each evaluation goes: "halving", which stops at every fidelity of
            the evaluator and goes on with the best, or "fifo", to the end; None is halving where there are fidelities. A run
            that is resumed goes on with those it was begun with.
        directory: the run's folder; it must not hold a run unless `resume`.
        constraints: hard bounds; those on metrics that the evaluator can estimate are respected before evaluating.
        first: architectures asked before all others. A run that is resumed goes on with those it was begun with.
        references: architectures asked next, whatever is known in advance of the constraints on them; where there are several
            fidelities, they go on to the last, whatever their results.
        start_from: another run, of this space or one that shares its choices, whatever its data and device: the architectures
            of its front are evaluated next where they lie in `space` and meet the constraints; what it found of the first
            objective is this run's prior, which algorithms may use. A run that is resumed goes on with what it was begun with.
        repeats: how often the first reference (else the first architecture that finishes) is evaluated again with other random
            numbers, as part of `max_evaluations` and before the algorithm's own asks, so that it is known how noisy results are.
            None is where the evaluator has no random numbers: see `Evaluator.repeated`.
        confirm: evaluations beyond `max_evaluations`, at the end, that repeat with other random numbers whatever may be wrongly
            on the front, or off it; those of an interrupted run counted in.
        max_seconds: start no evaluation after so long, of this time.
        budget_seconds: that the search may take in all, those of an interrupted run counted in: nothing is started that is not
            expected to end within them, by what the evaluations so far took. What runs is waited for, and confirming is beyond it.
        guess: an architecture and the seconds that its evaluation is expected to take, which count until one has ended.
        time_limit: seconds after which an evaluation is stopped and recorded as failed.
        executor: what runs a session's evaluations: `run_here`, or `nas.executors.Cluster(...)` for Ray.
        settings: kept in the store, for the record.
        progress: who is told what happens; None prints it.

    Returns:
        The run, with `evaluations` and `front`. After Ctrl-C it is what there was by then, and `resume` goes on.

    Raises:
        InputError: wrong arguments, constraints that nothing meets, a folder that already holds a run, or a run
            folder that another search is using.
    """
    limited = max_evaluations is not None or budget_seconds is None
    if limited and (isinstance(max_evaluations, bool) or not isinstance(max_evaluations, int) or max_evaluations < 1):
        raise InputError(f"max_evaluations must be a positive integer, not {max_evaluations!r}")
    for name, count in (("repeats", repeats), ("confirm", confirm)):
        if isinstance(count, bool) or not isinstance(count, int) or count < 0:
            raise InputError(f"{name} must be an integer of at least 0, not {count!r}")
    times = {"time_limit": time_limit, "max_seconds": max_seconds, "budget_seconds": budget_seconds}
    for name, seconds in times.items():
        number = isinstance(seconds, (int, float)) and not isinstance(seconds, bool)
        if seconds is not None and not (number and 0 < seconds < math.inf):
            raise InputError(f"{name} must be a number of seconds above 0, not {seconds!r}")
    if time_limit and executor is run_here and not can_interrupt():
        raise InputError("a time_limit without Ray works in the main thread of a Unix system only")
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise InputError(f"seed must be an integer of at least 0, not {seed!r}")
    objectives = list(objectives)
    if not objectives:
        raise InputError("a search needs at least one objective")
    evaluator = evaluate if isinstance(evaluate, Evaluator) else FunctionEvaluator(evaluate)
    check_free(f"algorithm {algorithm!r}", algorithm_options or {}, ("seed", "constraints", "estimate", "prior"))
    check_free("the scheduler", scheduler_options or {}, ("always",))
    estimates = type(evaluator).estimate is not Evaluator.estimate
    decides = make_algorithm(
        algorithm,
        space,
        objectives,
        seed=seed,
        constraints=constraints,
        estimate=evaluator.estimate if estimates else None,
        prior=prior,
        **(algorithm_options or {}),
    )
    scheduler, scheduler_options = scheduler or usual_scheduler(evaluator.fidelities), dict(scheduler_options or {})
    named = [space.unrestricted.adopt(architecture) for architecture in references]
    always = [architecture.key for architecture in named]
    begun = [space.unrestricted.adopt(architecture) for architecture in first]
    scheduled = make_scheduler(scheduler, decides, evaluator.fidelities, always=always, **scheduler_options)
    other = None if start_from is None or resume else start_from if isinstance(start_from, Run) else Run(start_from)
    seeds = _front_of(other, space) if other else []
    results = _results_of(other, space, objectives[0]) if other else []
    folder = RunFolder(directory)
    sought = {
        "objectives": [[o.metric, o.direction] for o in objectives],
        "constraints": [[c.metric, c.upper, c.lower] for c in constraints],
        "fidelities": scheduled.fidelities,
        "scheduler": scheduler,
        "scheduler_options": scheduler_options,
    }
    if resume:
        store = Store.open(folder.store, space)
    else:
        kept = {
            **(settings or {}),
            **sought,
            "random": evaluator.repeated(1) is not None,
            "start_from": [architecture.to_dict() for architecture in seeds],
            "start_results": [[architecture.to_dict(), value] for architecture, value in results],
            "first": [architecture.to_dict() for architecture in begun],
        }
        store = _new_store(folder, space, kept)
    try:
        with store:
            kept = store.get_meta("settings")
            _check_same(folder, kept, sought)
            decides.prior = _told_by_another(kept, space, decides.prior)
            evaluator.prepare(folder.path)
            _keep_subject(store, evaluator)
            session = Session(
                evaluator,
                scheduled,
                store,
                folder,
                max_evaluations=max_evaluations,
                first=[*(space.unrestricted.architecture(**values) for values in kept.get("first", [])), *named],
                also=[space.architecture(**values) for values in kept.get("start_from", [])],
                repeats=repeats,
                confirm=confirm,
                max_seconds=max_seconds,
                budget_seconds=budget_seconds,
                guess=guess,
                time_limit=time_limit,
                listener=progress or Progress(objectives, max_evaluations, constraints=constraints),
            )
            store.set_meta("max_evaluations", max_evaluations)  # of this time; `resume` may raise it
            store.set_meta("complete", False)
            if not session.complete:  # nothing is started for a search that only has to be finished off
                with session.listener, draining_on_interrupt(session):
                    executor(session)
            store.set_meta("costed", (store.get_meta("costed") or 0) + decides.costed)
            if session.error:
                raise session.error
            store.set_meta("complete", session.complete)
    except Exception:
        if not resume and not Run(folder.path, space).all_evaluations:  # nothing happened: free for another try
            for suffix in ("", "-wal", "-shm", ".lock"):
                folder.store.with_name(f"{folder.store.name}{suffix}").unlink(missing_ok=True)
        raise
    return Run(folder.path, space)


def _new_store(folder: RunFolder, space: SearchSpace, settings: Mapping[str, object]) -> Store:
    """A store in a folder that holds no run yet, which is made. Raises InputError where it holds one, or what is left of one."""
    if folder.exists:
        raise InputError(
            f"{folder.path} already holds a run; to go on with it, {folder.how_to_resume()}, or name another folder"
        )
    if folder.trials.exists():  # their outcomes would be taken for those of this search
        raise InputError(
            f"{folder.path} holds the trials of a run whose {folder.store.name} is gone; remove them or name another folder"
        )
    folder.path.mkdir(parents=True, exist_ok=True)
    return Store.create(folder.store, space=space, settings=settings)


def _check_same(folder: RunFolder, kept: Mapping[str, Any], sought: Mapping[str, object]) -> None:
    """Raise InputError when a run was made for something else than what is sought now."""
    fidelities = kept.get("fidelities", [])
    # what a run of an earlier version does not say
    kept = {"fidelities": [], "scheduler": usual_scheduler(fidelities), "scheduler_options": {}, **kept}
    for name, value in sought.items():
        if kept[name] != value:
            raise InputError(f"{folder.path} was searched with {name} {kept[name]}; it cannot go on with {value}")


def _keep_subject(store: Store, evaluator: Evaluator) -> None:
    """Keep what a run is measured on, or check that it is still the same. A run of an earlier version takes it as it is now."""
    before = store.get_meta("subject")
    if before is not None:
        evaluator.check_subject(before)
        return
    try:
        store.set_meta("subject", evaluator.subject())
    except TypeError as error:
        raise InputError(f"{type(evaluator).__name__}.subject must give what JSON holds ({error})") from None


def _front_of(run: Run, space: SearchSpace) -> list[Architecture]:
    """The architectures of a run's front that `space` holds. Raises InputError when it holds none of them."""
    held = [found for e in run.front if (found := _adopted(e.architecture, space)) is not None]
    if not held:
        raise InputError(
            f"{run.directory}: none of the {len(run.front)} architectures of its front lies in space {space.name!r}"
        )
    return held


def _results_of(run: Run, space: SearchSpace, objective: Objective) -> list[tuple[Architecture, float]]:
    """What a run found of an objective, more is better, in the order asked; of many, some from the best to the worst."""
    sign = 1.0 if objective.direction == "max" else -1.0
    found = [
        (architecture, sign * e.metrics[objective.metric])
        for e in run.evaluations
        if objective.metric in e.metrics and (architecture := _adopted(e.architecture, space.unrestricted)) is not None
    ]
    if len(found) <= RESULTS:
        return found
    ranked = sorted(range(len(found)), key=lambda i: -found[i][1])
    return [found[i] for i in sorted(ranked[len(found) * k // RESULTS] for k in range(RESULTS))]


def _told_by_another(kept: Mapping[str, Any], space: SearchSpace, below: Prior | None) -> Prior | None:
    """The prior of a run, from the results of another that it was begun with and keeps, and from what there is without."""
    results = []
    for values, value in kept.get("start_results", []):
        with contextlib.suppress(InputError):
            results.append((space.unrestricted.architecture(**values), value))
    return prior_from(results, space, below) if results else below


def _adopted(architecture: Architecture, space: SearchSpace) -> Architecture | None:
    """A run's architecture in another space, or None; of a recipe, which that run may not have had, the first values."""
    extra = {choice.name: choice.values[0] for choice in space.choices if is_of_recipe(choice.name)}
    known = {name: value for name, value in architecture.items() if name in extra}
    with contextlib.suppress(InputError):
        return space.architecture(**{**architecture.network_values(), **extra, **known})
    return None
