"""A search from start to end: check the data, know the latency, search, deliver the front, say what came out.

settings -> dataset, space, device profiles (given, or measured quickly here) -> evaluator, executor -> search
-> run -> deliver: files and measured latencies of the front -> tables, picture, what to do next
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from rich.console import Console

from evaluators.data import Dataset, absolute_source
from evaluators.detector import DetectorEvaluator
from evaluators.evaluator import metric_and_device
from evaluators.latency import agent
from evaluators.latency.profile import DeviceProfile
from evaluators.recipe import Recipe
from evaluators.training import check_settings
from search_spaces import InputError, SearchSpace

from ..algorithms import make_algorithm
from ..delivery.export import deliver
from ..formatting import command
from ..options import check_free
from ..report import terminal
from ..report.front import print_front, write_front
from ..report.progress import Progress
from ..report.steps import Steps
from ..report.summary import what_came_out
from ..schedulers import make_scheduler, usual_scheduler
from ..storage.folder import RunFolder
from ..storage.run import Run
from ..storage.states import UNFINISHED
from ..storage.store import Store
from .beginning import beginning, check_hours, guessed_seconds, how_long
from .config import SearchConfig, load_config
from .kept import settings_kept
from .machine import Say, check_machine, checked_dataset, make_executor, this_machine, training_precision
from .priors import believed, find_prior, say_prior
from .resuming import RESUMABLE, as_begun, changed, data_begun_with, training_threads
from .search import search
from .versions import versions


def start(config: SearchConfig, console: Console) -> Run | None:
    """Run the search that `config` describes, in a new folder; None when it was stopped before its end.

    Raises:
        InputError: anything that the search would fail for, as far as it can be known before; or no evaluation has finished.
    """
    folder = RunFolder(config.run_directory)
    if folder.exists:
        raise InputError(
            f"{folder.path} already holds a run; to go on with it, {folder.how_to_resume()}, "
            f"or give another {'--directory' if config.directory else '--name'}"
        )
    if folder.config.exists():
        load_config(folder.config)  # it may be what the user starts from here, and must be readable
    with _saying_how_to_go_on(folder):
        return _run(config, console, resume=False)


def resume(directory: str | Path, console: Console, **changes: object) -> Run | None:
    """Continue an interrupted run, or search on; None when it was stopped again.

    Args:
        changes: fields of the settings to replace, of those that no figure depends on.

    Raises:
        InputError: the folder holds no run, or its settings were changed in what its results depend on.
    """
    folder = RunFolder(directory)
    folder.check_exists()
    run = Run(directory)
    kept = [str(folder.device(profile.name)) for profile in run.profiles]
    before = run.settings.get("config", {})
    size = before.get("image_size")
    if size is not None and before.get("restrict", {}).get("image_size") != [size]:
        raise InputError(
            f"{folder.path}: an earlier version took accuracy at image_size {size}, and latency and MACs at each model's own; "
            f"it cannot go on, but a new run can begin with its models: --start-from {folder.path}"
        )
    changes = {**as_begun(folder, before), **data_begun_with(folder, before), **changes}
    config = load_config(folder.config, **{**changes, "directory": str(directory), "device": kept})
    free = {*RESUMABLE, "name", "directory", "device"}
    with Store.open(folder.store, read_only=True) as store:
        if store.get_meta("subject") is None:  # of an earlier version: the dataset could not be told from another
            free.discard("data")
    # what a run of an earlier version does not say
    earlier = "fp32" if before.get("training_device", "cpu") == "cpu" else "bf16"
    trained, here = run.settings.get("training_precision", earlier), training_precision(config)
    if None not in (trained, here) and trained != here:
        raise InputError(
            f"{folder.path}: its models were trained in {trained}, and on training_device {config.training_device} here they would "
            f"be in {here}; go on with a device that has {trained}, or start a new run"
        )
    if (name := changed(before, config, free)) is not None:
        raise InputError(
            f"{folder.config}: field {name}: is {getattr(config, name)!r}, and what this run holds was made with "
            f"{before[name]!r}; put it back, or start a new run (--start-from {folder.path} begins with the front of this one)"
        )
    with _saying_how_to_go_on(folder):
        return _run(config, console, resume=True)


@contextlib.contextmanager
def _saying_how_to_go_on(folder: RunFolder) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        if folder.exists:
            raise KeyboardInterrupt(f"every result is kept, {command('resume', folder.path)} goes on") from None
        raise KeyboardInterrupt(
            "no search was begun, and what was measured of this machine is kept; the same command goes on"
        ) from None


def _run(config: SearchConfig, console: Console, resume: bool) -> Run | None:
    say = partial(terminal.say, console)
    directory, profiles = config.run_directory, config.profiles
    check_settings(config.training, config.epochs)
    check_machine(config, say)
    training_precision(config)
    # workers, and whoever resumes the run, may be in another folder
    config = config.model_copy(update={"data": absolute_source(config.data)})
    dataset = checked_dataset(config, console)
    space = config.make_space()
    recipe, prior = _recipe(config, profiles, resume), find_prior(config, space, resume)
    evaluator = _evaluator(config, dataset, profiles, recipe)
    _check_search(config, space, evaluator)  # before anything takes its time
    guess = guessed_seconds(config, space, evaluator)
    if not resume:
        check_hours(config, space, guess)
    if not profiles and "latency_ms" in _wanted(config):
        if resume:
            _check_predictable(RunFolder(directory), space)
        with Steps(console) as steps:
            profiles = [this_machine(config, recipe, space, dataset, steps)]
        if resume:
            _predict_again(RunFolder(directory), space, profiles[0], dataset.num_classes, say)
        evaluator = _evaluator(config, dataset, profiles, recipe)
    objectives = config.make_objectives()
    believes = believed(prior, dataset.num_classes)
    begins = beginning(config, space, evaluator, Run(directory) if resume else None, guess, believes)
    _say_what_begins(config, space, profiles, recipe, say)
    if prior is not None:
        say_prior(prior, config.data, say)
    for line in begins.lines:
        say(line)
    progress = Progress(objectives, config.evaluations, console, begins.constraints)
    with settings_kept(config, profiles):
        search(
            space,
            evaluator,
            objectives,
            max_evaluations=config.evaluations,
            algorithm=config.algorithm,
            algorithm_options=config.algorithm_options,
            prior=believes,
            scheduler=config.scheduler,
            scheduler_options=config.scheduler_options,
            seed=config.seed,
            directory=directory,
            constraints=begins.constraints,
            first=begins.first,
            references=list(begins.references.values()),
            start_from=None if resume else config.start_from,
            repeats=config.repeats_of_reference,
            confirm=config.confirm,
            max_seconds=config.max_minutes * 60 if config.max_minutes else None,
            budget_seconds=config.hours * 3600 if config.hours else None,
            guess=begins.guess,
            time_limit=config.trial_minutes * 60 if config.trial_minutes else None,
            executor=make_executor(config),
            resume=resume,
            settings={
                "config": config.to_dict(),
                "int8": recipe.int8,
                "references": {name: architecture.key for name, architecture in begins.references.items()},
                "scalings": {name: architecture.key for name, architecture in begins.scalings.items()},
                "num_classes": dataset.num_classes,
                "versions": versions(),
                "training_precision": training_precision(config),
                "prior": None if prior is None else prior.model_dump(),
                "devices": {profile.name: profile.protocol for profile in profiles},
            },
            progress=progress,
        )
    if progress.drained:
        shown = f": {command('front', directory)} shows them" if progress.eligible else ""
        say(f"stopped; every result is kept{shown}, {command('resume', directory)} goes on")
        return None
    return _deliver(config, Run(directory, space), profiles, dataset, progress.elapsed, console)


def _check_search(config: SearchConfig, space: SearchSpace, evaluator: DetectorEvaluator) -> None:
    """Raise InputError where the algorithm or the scheduler could not begin, or nothing meets the constraints."""
    check_free(
        f"algorithm {config.algorithm!r}", config.algorithm_options, ("seed", "constraints", "estimate", "prior")
    )
    check_free("the scheduler", config.scheduler_options, ("always",))
    algorithm = make_algorithm(
        config.algorithm,
        space,
        config.make_objectives(),
        seed=config.seed,
        constraints=config.make_constraints(),
        estimate=evaluator.estimate,
        **config.algorithm_options,
    )
    algorithm.check_feasible()
    scheduler = config.scheduler or usual_scheduler(config.rungs)
    make_scheduler(scheduler, algorithm, config.rungs, **config.scheduler_options)


def _wanted(config: SearchConfig) -> set[str]:
    """The metrics that objectives and constraints name, whatever device they are of."""
    named = [o.metric for o in config.make_objectives()] + [c.metric for c in config.make_constraints()]
    return {metric_and_device(name)[0] for name in named}


def _say_what_begins(
    config: SearchConfig, space: SearchSpace, profiles: list[DeviceProfile], recipe: Recipe, say: Say
) -> None:
    for profile in profiles:
        say(f"latency is predicted for {profile.name}: {profile.protocol}")
        held = profile.held_out
        say(
            f"  {held.count} models measured, {100 * held.within_10:.0f}% of them predicted within 10% by the others; median error "
            f"{100 * held.median_error:.1f}%"
        )
        if profile.precision != recipe.precision:
            say(f"  accuracy is of {recipe.precision} models, whatever {profile.precision} may cost")
    say(f"space {space.name}: {space.size:.3g} architectures; {config.algorithm}, {how_long(config)}")
    directory = config.run_directory
    say(
        f"run folder {directory}; how far it is: {command('status', directory)}; "
        f"Ctrl-C once waits for what runs, twice stops at once, and {command('resume', directory)} goes on"
    )


def _deliver(
    config: SearchConfig, run: Run, profiles: list[DeviceProfile], dataset: Dataset, elapsed: float, console: Console
) -> Run:
    """Export the front, write and print it, and say what came out. Raises InputError where no evaluation has finished."""
    say = partial(terminal.say, console)
    directory = run.directory
    if not run.evaluations:
        raise InputError(
            f"{directory}: no evaluation has finished, so there is no front; {command('status', directory)} tells what failed"
        )
    if run.front:
        measured = any(profile.is_here() for profile in profiles)
        say("the front is exported" + ("; latency is measured with nothing else of ours running" if measured else ""))
    run, files = deliver(run, say, profiles=profiles, dataset=dataset)
    written = write_front(run, files, refused=say)
    print_front(run, console)
    judged = f"{len(dataset.val)} validation images, {config.epochs} epochs of training, at " + (
        f"{config.image_size} px" if config.image_size else "each model's own image size"
    )
    more = {
        "max_evaluations": config.evaluations and 2 * config.evaluations,
        "hours": config.hours and 2 * config.hours,
    }
    for line in what_came_out(run, files, written, judged, elapsed, more):
        say(line)
    return run


def _recipe(config: SearchConfig, profiles: list[DeviceProfile], resume: bool) -> Recipe:
    """What is done to every architecture. The form of INT8, where it is not given, is that which the run began with (signed,
    before there were others); of a new run that of its INT8 profile, else what suits this machine."""
    measured = [profile.int8 for profile in profiles if profile.int8]
    if resume:
        usual = Run(config.run_directory).settings.get("int8") or agent.SIGNED
    else:
        usual = measured[0] if measured else agent.suiting_activations()
    return config.make_recipe().with_int8(usual)


def _evaluator(
    config: SearchConfig, dataset: Dataset, profiles: list[DeviceProfile], recipe: Recipe
) -> DetectorEvaluator:
    return DetectorEvaluator(
        dataset,
        config.epochs,
        fraction=config.fraction,
        batch=config.batch,
        device=config.training_device,
        amp=config.amp,
        seed=config.seed,
        threads=training_threads(config.cpus_per_trial),
        profiles=profiles,
        settings=config.training,
        recipe=recipe,
        rungs=config.rungs,
    )


def _check_predictable(folder: RunFolder, space: SearchSpace) -> None:
    """Raise InputError where a run of an earlier version cannot be given predictions, or another search is using it."""
    with Store.open(folder.store, space) as store:
        if (store.get_meta("settings") or {}).get("fidelities"):
            raise InputError(
                f"{folder.path} measured latency beside its trainings, which this version does not, and judged them on rungs; "
                f"begin a new run with {command('search', start_from=folder.path)}"
            )


def _predict_again(folder: RunFolder, space: SearchSpace, profile: DeviceProfile, num_classes: int, say: Say) -> None:
    """Give a run of an earlier version, which measured latency beside its trainings, the predictions of a profile.

    Cut off anywhere, it can be done again.
    """
    folder.devices.mkdir(exist_ok=True)
    profile.save(folder.device(profile.name))  # before anything says that it is there
    with Store.open(folder.store, space) as store:
        evaluations = store.evaluations()
        rows = zip(*profile.predict([e.architecture for e in evaluations], num_classes)) if evaluations else ()
        for evaluation, values in zip(evaluations, rows):
            known = evaluation.metrics
            predicted = dict(zip(("latency_ms", "latency_low_ms", "latency_high_ms"), map(float, values)))
            if "latency_iqr_ms" in known and "latency_low_ms" not in known:  # it was measured with nothing beside it
                predicted["latency_measured_ms"] = known["latency_ms"]
            store.amend(evaluation.architecture, predicted)
            if evaluation.status in UNFINISHED:  # an outcome that the store has not heard of holds the old figure
                folder.trial(evaluation.key).outcome(None).unlink(missing_ok=True)
        settings = store.get_meta("settings") or {}
        store.set_meta("settings", {**settings, "devices": {profile.name: profile.protocol}})
    say(f"{len(evaluations)} latencies that were measured beside trainings are replaced by predictions")
