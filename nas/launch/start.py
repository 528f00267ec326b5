"""A search from start to end: check the data, know the latency, search, deliver the front, say what came out.

settings -> dataset, space, device profiles (given, or measured quickly here) -> evaluator, executor -> search
-> run -> deliver: files and measured latencies of the front -> tables, picture, what to do next
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from rich.console import Console

from evaluators.data import Dataset, check_dataset, load_dataset
from evaluators.detector import DetectorEvaluator
from evaluators.evaluator import metric_and_device
from evaluators.latency import agent
from evaluators.latency.profile import DeviceProfile
from evaluators.recipe import Recipe
from evaluators.training import check_settings
from search_spaces import Architecture, InputError, SearchSpace
from search_spaces.architecture import is_of_recipe

from ..algorithms import make_algorithm
from ..delivery.export import deliver
from ..devices.quick import quick_profile
from ..executors import Cluster, run_here
from ..options import check_free
from ..report.front import print_front, write_front
from ..report.progress import Progress
from ..report.summary import what_came_out
from ..schedulers import make_scheduler, usual_scheduler
from ..session.session import Session
from ..storage.folder import RunFolder
from ..storage.run import Run
from ..storage.states import UNFINISHED
from ..storage.store import Store
from .config import RAY_ONLY, RESUMABLE, SearchConfig, load_config
from .kept import settings_kept
from .search import search
from .versions import versions

Say = Callable[[str], None]


def start(config: SearchConfig, console: Console) -> Run | None:
    """Run the search that `config` describes, in a new folder; None when it was stopped before its end.

    Raises:
        InputError: anything that the search would fail for, as far as it can be known before; or no evaluation has finished.
    """
    folder = RunFolder(config.run_directory)
    if folder.exists:
        raise InputError(
            f"{folder.path} already holds a run; to go on with it, {folder.how_to_resume()}, or give another --name"
        )
    if folder.config.exists():
        load_config(folder.config)  # it may be what the user starts from here, and must be readable
    return _run(config, console, resume=False)


def resume(directory: str | Path, console: Console, **changes: object) -> Run | None:
    """Continue an interrupted run, or search on; None when it was stopped again.

    Args:
        changes: fields of the settings to replace, of those that nothing measured depends on.

    Raises:
        InputError: the folder holds no run, or its settings were changed in what its results depend on.
    """
    folder = RunFolder(directory)
    folder.check_exists()
    run = Run(directory)
    kept = [str(folder.device(profile.name)) for profile in run.profiles]
    config = load_config(folder.config, **{**changes, "directory": str(directory), "device": kept})
    before = run.settings.get("config", {})
    for name, value in json.loads(json.dumps(config.to_dict())).items():
        # a run of an earlier version may lack a field
        if name not in (*RESUMABLE, "name", "directory", "device") and before.get(name, value) != value:
            raise InputError(
                f"{folder.config}: field {name}: is {value!r}, and what this run holds was made with {before[name]!r}; "
                "put it back, or start a new run"
            )
    return _run(config, console, resume=True)


def _run(config: SearchConfig, console: Console, resume: bool) -> Run | None:
    def say(text: str) -> None:
        console.print(text, highlight=False, soft_wrap=True, markup=False)

    directory, profiles = config.run_directory, config.profiles
    dataset = load_dataset(config.data)
    say(f"dataset {dataset.name}: {check_dataset(dataset)}")
    space, references = config.make_space(), config.reference_architectures()
    _check_machine(config, say)
    objectives, constraints = config.make_objectives(), config.make_constraints()
    # refused before anything takes its time
    recipe = _recipe(config, profiles, resume)
    evaluator = _evaluator(config, dataset, profiles, recipe)
    check_settings(config.training)
    check_free(f"algorithm {config.algorithm!r}", config.algorithm_options, ("seed", "constraints", "estimate"))
    check_free("the scheduler", config.scheduler_options, ("always",))
    algorithm = make_algorithm(
        config.algorithm,
        space,
        objectives,
        seed=config.seed,
        constraints=constraints,
        estimate=evaluator.estimate,
        **config.algorithm_options,
    )
    algorithm.check_feasible()
    scheduler = config.scheduler or usual_scheduler(config.rungs)
    make_scheduler(scheduler, algorithm, config.rungs, **config.scheduler_options)
    wanted = {metric_and_device(name)[0] for name in [o.metric for o in objectives] + [c.metric for c in constraints]}
    if not profiles and "latency_ms" in wanted:
        if resume:
            _check_predictable(RunFolder(directory), space)
        profiles = [_this_machine(config, recipe, space, dataset, say)]
        if resume:
            _predict_again(RunFolder(directory), space, profiles[0], dataset.num_classes, say)
        evaluator = _evaluator(config, dataset, profiles, recipe)
    for profile in profiles:
        say(f"latency is predicted for {profile.name}: {profile.protocol}")
        held = profile.held_out
        say(
            f"  {held.count} models measured, {100 * held.within_10:.0f}% of them predicted within 10% by the others; median error "
            f"{100 * held.median_error:.1f}%"
        )
        if profile.precision != evaluator.recipe.precision:
            say(f"  accuracy is of {evaluator.recipe.precision} models, whatever {profile.precision} may cost")
    say(
        f"space {space.name}: {space.size:.3g} architectures; "
        f"{config.algorithm} to {config.max_evaluations} evaluations of {config.epochs} epochs"
        + (f", judged at {', '.join(map(str, config.rungs))}" if config.rungs else "")
    )
    say(
        f"run folder {directory}; how far it is: `evoyolo status {directory}`; "
        f"Ctrl-C once waits for what runs, twice stops at once, and `evoyolo resume {directory}` goes on"
    )
    progress = Progress(objectives, config.max_evaluations, console, constraints)
    first = dict(zip(references, _with_recipe(references.values(), space)))
    with settings_kept(config, profiles, say):
        search(
            space,
            evaluator,
            objectives,
            max_evaluations=config.max_evaluations,
            algorithm=config.algorithm,
            algorithm_options=config.algorithm_options,
            scheduler=config.scheduler,
            scheduler_options=config.scheduler_options,
            seed=config.seed,
            directory=directory,
            constraints=constraints,
            references=list(first.values()),
            start_from=None if resume else config.start_from,
            max_seconds=config.max_minutes * 60 if config.max_minutes else None,
            time_limit=config.trial_minutes * 60 if config.trial_minutes else None,
            executor=_executor(config),
            resume=resume,
            settings={
                "config": config.to_dict(),
                "int8": recipe.int8,
                "references": {name: architecture.key for name, architecture in first.items()},
                "num_classes": dataset.num_classes,
                "versions": versions(),
                "devices": {profile.name: profile.protocol for profile in profiles},
            },
            progress=progress,
        )
    if progress.drained:
        say(
            f"stopped; every result is kept: `evoyolo front {directory}` shows them, `evoyolo resume {directory}` goes on"
        )
        return None
    run = Run(directory, space)
    if not run.evaluations:
        raise InputError(
            f"{directory}: no evaluation has finished, so there is no front; `evoyolo status {directory}` tells what failed"
        )
    say("the front is exported; latency is measured with nothing else of ours running")
    run, files = deliver(run, say, profiles=profiles, dataset=dataset)
    write_front(run, files)
    print_front(run, console)
    judged = f"{len(dataset.val)} validation images, {config.epochs} epochs of training, at " + (
        f"{config.image_size} px" if config.image_size else "each model's own image size"
    )
    for line in what_came_out(run, files, judged, progress.elapsed, 2 * config.max_evaluations):
        say(line)
    return run


def _check_machine(config: SearchConfig, say: Say) -> None:
    """Raise InputError where the training device is not there; say which settings do nothing."""
    if config.training_device != "cpu" and not config.address and not torch.cuda.is_available():
        raise InputError(
            f"training_device {config.training_device!r}: PyTorch sees no CUDA device on this machine; use cpu, or give the "
            "address of a Ray cluster that has some"
        )
    if config.executor == "here":
        for name in RAY_ONLY:
            if getattr(config, name) != SearchConfig.model_fields[name].default:
                say(f"executor here does without Ray: {name} is not used")


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
        image_size=config.image_size,
        fraction=config.fraction,
        batch=config.batch,
        device=config.training_device,
        seed=config.seed,
        threads=max(1, int(config.cpus_per_trial)),
        profiles=profiles,
        settings=config.training,
        recipe=recipe,
        rungs=config.rungs,
    )


def _executor(config: SearchConfig) -> Callable[[Session], None]:
    if config.executor == "here":
        return run_here
    return Cluster(
        config.address, config.cpus_per_trial, config.gpus_per_trial, config.max_concurrent, config.batch_evaluations
    )


def _with_recipe(references: Iterable[Architecture], space: SearchSpace) -> list[Architecture]:
    """The references with the first value of every choice of the recipe that the space has beside those of architectures."""
    extra = {choice.name: choice.values[0] for choice in space.choices if is_of_recipe(choice.name)}
    whole = space.unrestricted
    return [whole.architecture(**{**reference.to_dict(), **extra}) for reference in references]


def _this_machine(
    config: SearchConfig, recipe: Recipe, space: SearchSpace, dataset: Dataset, say: Say
) -> DeviceProfile:
    if config.address:
        say(
            "no device profile, so latency is of this machine, whatever the cluster's nodes are; --device names another"
        )
    return quick_profile(
        space,
        dataset.num_classes,
        say,
        threads=config.latency_threads,
        precision=recipe.precision,
        activations=recipe.int8 if recipe.precision == "INT8" else None,
        count=config.profile_models,
    )


def _check_predictable(folder: RunFolder, space: SearchSpace) -> None:
    """Raise InputError where a run of an earlier version cannot be given predictions, or another search is using it."""
    with Store.open(folder.store, space) as store:
        if (store.get_meta("settings") or {}).get("fidelities"):
            raise InputError(
                f"{folder.path} measured latency beside its trainings, which this version does not, and judged them on rungs; "
                f"begin a new run with --start-from {folder.path}"
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
