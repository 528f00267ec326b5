"""Models trained out, from start to end: a run whose evaluations are long trainings of models that are given.

models, settings -> dataset, device profiles (given, of their run, or measured here) -> evaluator with the recipe [train_out]
-> search over exactly these models -> run -> deliver: files and latencies of all -> trained.json, .csv, .png, the table
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from rich.console import Console

from evaluators.data import Dataset, absolute_source, load_dataset
from evaluators.detector import DetectorEvaluator
from evaluators.latency.profile import DeviceProfile
from evaluators.steps.taught import Taught
from evaluators.training import check_settings, long_settings, steps_of, take_over
from evaluators.training.checkpoint import load_checkpoint
from evaluators.training.settings import BATCHES, ENOUGH_STEPS
from search_spaces import Architecture, Choice, InputError, SearchSpace, build_model

from ..delivery.export import deliver
from ..delivery.trained import keep_beside
from ..formatting import command
from ..objectives import Objective
from ..report import terminal
from ..report.epochs import EpochProgress
from ..report.front import write_front
from ..report.steps import Steps
from ..report.terminal import make_console
from ..report.trained import print_trained, rows_of, what_was_trained, write_trained
from ..storage.folder import RunFolder
from ..storage.run import Run
from ..storage.written import Written, digest
from .listed import Listed, Subject, find_models, is_trained_out, kept_models, make_space, weights_named
from .machine import check_machine, checked_dataset, make_executor, this_machine, training_precision
from .resuming import TIMED_WITH, changed, training_threads
from .search import search
from .train_config import TrainConfig, make_train_config
from .versions import versions

Say = Callable[[str], None]
SEED = "train_out.seed"  # the choice that tells trainings of one model apart
# What may change when a run goes on: none of its figures depends on it.
RESUMABLE = (*TIMED_WITH, "max_minutes", "trial_minutes", "data")


def train_out(
    models: Subject | Sequence[Subject],
    *,
    front: bool = False,
    compare: Sequence[str] = (),
    weights: str | Path | None = None,
    console: Console | None = None,
    **settings: object,
) -> Run:
    """Train models for long, alike, and rank them anew; the same call goes on with what was interrupted.

        trained = train_out("results/search", front=True, compare=["yolov8n"], epochs=100, output="results/trained")
        for evaluation in trained.front:
            print(evaluation.key, evaluation.metrics["map50_95"], evaluation.metrics["latency_measured_ms"])

    Args:
        models: presets (NAME, or NAME@PIXELS), "RUN:KEY", model files, checkpoints, architectures; with `front` also runs.
        front: take the front of every run that is named.
        compare: presets that are trained alike.
        weights: "search" begins each with its own checkpoint, "none" from scratch, a file or "RUN:KEY" with what fits of that one;
            None is its own for a checkpoint, and from scratch for all else.
        console: where to say what happens; None is stdout.
        settings: fields of `TrainConfig`: `output` (the folder), `data`, `epochs`, `training`, `seeds`, `executor` and so on.

    Returns:
        The run in the output folder, with a model in `models/KEY` for every evaluation. After Ctrl-C it is what there was by then.

    Raises:
        InputError: anything that a training would fail for, as far as it can be known before; or none has finished.
    """
    several = [models] if isinstance(models, (str, Path, Architecture, Run)) else list(models)
    config = make_train_config(settings, "train_out")
    start(several, config, console or make_console(), front=front, compare=compare, weights=weights)
    return Run(config.output)


def start(
    subjects: Sequence[Subject],
    config: TrainConfig,
    console: Console,
    *,
    front: bool = False,
    compare: Sequence[str] = (),
    weights: str | Path | None = None,
) -> Run | None:
    """As `train_out`; None when it was stopped before its end."""
    folder = RunFolder(config.output)
    check_settings(config.training, config.epochs)
    models, runs = find_models(subjects, front=front, compare=compare, image_size=config.image_size, weights=weights)
    data = absolute_source(config.data or _data_of(runs))
    config = config.settled(len(models) * config.seeds, data, len(load_dataset(data).train))
    if not config.device:
        config = config.model_copy(update={"device": _profiles_of(runs)})
    if config.teacher is not None:
        config = config.model_copy(update={"teacher": str(weights_named(config.teacher, "teacher").absolute())})
    if folder.exists:
        _check_same(folder, config, models)
    with _saying_how_to_go_on(folder):
        return _run(config, models, console, resume=folder.exists)


def resume(directory: str | Path, console: Console, **changes: object) -> Run | None:
    """Go on with a run that trains models out; None when it was stopped again.

    Args:
        changes: fields of the settings to replace, of those that no figure depends on.

    Raises:
        InputError: the folder holds no such run, or a field may not change.
    """
    folder = RunFolder(directory)
    folder.check_exists()
    config, models = _kept(folder)
    for name in changes:
        if name not in RESUMABLE:
            raise InputError(
                f"{folder.path} trains the {len(models)} models that it was given; {name} is nothing that may change then"
            )
    wanted = make_train_config({**config.to_dict(), **changes}, str(folder.path))
    wanted = wanted.model_copy(update={"data": absolute_source(wanted.data or "digits")})
    _check_same(folder, wanted, models)
    with _saying_how_to_go_on(folder):
        return _run(wanted, models, console, resume=True)


def _kept(folder: RunFolder) -> tuple[TrainConfig, list[Listed]]:
    """What the run in a folder was made with. Raises InputError where it is a search."""
    run = Run(folder.path)
    if not is_trained_out(run):
        raise InputError(f"{folder.path} holds a search; name another folder with --output")
    fields = {name: value for name, value in run.settings.get("config", {}).items() if name != "recipe"}
    config = make_train_config({**fields, "output": str(folder.path)}, str(folder.store))
    return config, kept_models(run.settings, str(folder.store))


def _check_same(folder: RunFolder, config: TrainConfig, models: list[Listed]) -> None:
    """Raise InputError where the run in the folder was made with something else that its figures depend on."""
    before, trained = _kept(folder)
    how = f"{command('train', resume=folder.path)} goes on with what it began, or name another folder with --output"
    was, now = ({m.network().key: (m.name, m.weights_digest) for m in listed} for listed in (trained, models))
    if was.keys() != now.keys():
        raise InputError(f"{folder.path} trains {_names(trained)}, not {_names(models)}; {how}")
    for key, (name, begun) in was.items():
        if begun != now[key][1]:
            raise InputError(f"{folder.path} trains {name} from other weights; {how}")
    free = {*RESUMABLE, "output", "device", "latency_threads", "profile_models", "image_size"}
    if (field := changed(before.to_dict(), config, free)) is not None:
        raise InputError(
            f"{folder.path}: {field} is {getattr(before, field)!r} there, and {getattr(config, field)!r} now; {how}"
        )


def _names(models: Sequence[Listed]) -> str:
    return ", ".join(model.name for model in models)


def _data_of(runs: Sequence[Run]) -> str:
    """The dataset that the models were searched on. Raises InputError where there is none, or several."""
    named = {str(data) for run in runs if (data := run.settings.get("config", {}).get("data"))}
    if len(named) != 1:
        raise InputError("data: say what is to be trained on (--data digits, or a data.yaml, COCO json or a folder)")
    return named.pop()


def _profiles_of(runs: Sequence[Run]) -> list[str]:
    """The device profiles that the search predicted with, where all of the models come from one."""
    if len(runs) != 1:
        return []
    return [str(runs[0].folder.device(profile.name).absolute()) for profile in runs[0].profiles]


@contextlib.contextmanager
def _saying_how_to_go_on(folder: RunFolder) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        how = f"{command('train', resume=folder.path)} goes on after the last epoch" if folder.exists else ""
        raise KeyboardInterrupt(how or "nothing was begun; the same command begins again") from None


def _run(config: TrainConfig, models: list[Listed], console: Console, resume: bool) -> Run | None:
    say = partial(terminal.say, console)
    folder, shared = RunFolder(config.output), config.shared()
    check_machine(shared, say)
    training_precision(shared)
    dataset = checked_dataset(shared, console)
    whole = models[0].network().space
    seeds = [Choice(SEED, config.all_seeds)] if config.seeds > 1 else []
    space = make_space(models, whole.extended(seeds) if seeds else whole)
    listed = _trainings(models, config, space)
    _check_weights(models, dataset, say)
    profiles = Run(folder.path).profiles if resume else [DeviceProfile.load(source) for source in config.device]
    for profile in profiles:
        profile.check_covers(space)
    recipe = config.make_recipe()
    for step in recipe.steps:
        if isinstance(step, Taught):
            for architecture in {architecture.key: architecture for _, _, architecture in listed}.values():
                step.check(dataset, architecture)
    if not profiles:
        with Steps(console) as steps:
            profiles = [this_machine(shared, recipe, space, dataset, steps)]
    evaluator = DetectorEvaluator(
        dataset,
        config.epochs,
        fraction=config.fraction,
        batch=config.batch or BATCHES[0],
        device=config.training_device,
        amp=config.amp,
        seed=config.seed,
        threads=training_threads(config.cpus_per_trial),
        profiles=profiles,
        settings=config.training,
        recipe=recipe,
        weights={architecture.key: model.weights for _, model, architecture in listed if model.weights},
    )
    names = {architecture.key: name for name, _, architecture in listed}
    objectives = _objectives(profiles)
    _say_what_begins(config, models, profiles, len(dataset.train), say)
    progress = EpochProgress(objectives, len(listed), console, folder=folder, names=names)
    with _kept_beside(config, models, profiles):
        search(
            space,
            evaluator,
            objectives,
            max_evaluations=len(listed),
            repeats=0,  # that a model is trained with several seeds is said by the models
            algorithm="random",  # which has nothing to ask: the budget is the models
            scheduler="fifo",
            seed=config.seed,
            directory=folder.path,
            references=[architecture for _, _, architecture in listed],
            max_seconds=config.max_minutes * 60 if config.max_minutes else None,
            time_limit=config.trial_minutes * 60 if config.trial_minutes else None,
            executor=make_executor(shared),
            resume=resume,
            settings={
                "config": {**config.to_dict(), "recipe": config.recipe},
                "trained_out": [model.model_dump() for model in models],
                "references": {name: key for key, name in names.items()},
                "num_classes": dataset.num_classes,
                "versions": versions(),
                "training_precision": training_precision(shared),
                "devices": {profile.name: profile.protocol for profile in profiles},
            },
            progress=progress,
        )
    if progress.drained:
        say(f"stopped; every epoch that was finished is kept, {command('train', resume=folder.path)} goes on")
        return None
    return _deliver(Run(folder.path, space), models, profiles, dataset, console)


def _trainings(
    models: Sequence[Listed], config: TrainConfig, space: SearchSpace
) -> list[tuple[str, Listed, Architecture]]:
    """Every training: its name, its model, and what it is in the space of the run."""
    whole = space.unrestricted
    if config.seeds == 1:
        return [(model.name, model, whole.architecture(**model.values)) for model in models]
    return [
        (f"{model.name} seed {seed}", model, whole.architecture(**{**model.values, SEED: seed}))
        for seed in config.all_seeds  # a model's second training after every first one
        for model in models
    ]


def _check_weights(models: Sequence[Listed], dataset: Dataset, say: Say) -> None:
    """Say with how much every model begins. Raises InputError where weights are not there any more, or fit nowhere."""
    begun = [model for model in models if model.weights]
    for model in begun:
        path = Path(str(model.weights))
        if not path.is_file() or digest(path) != model.weights_digest:
            raise InputError(f"{model.name}: {path}, which it begins with, is not there any more, or was changed")
        network = build_model(model.network(), dataset.num_classes, dict(enumerate(dataset.names)))
        say(f"{model.name} begins with {path}: {take_over(network, load_checkpoint(path), str(path))}")
    if begun and len(begun) < len(models):
        say(f"from scratch: {_names([model for model in models if not model.weights])}")


def _say_what_begins(
    config: TrainConfig, models: Sequence[Listed], profiles: Sequence[DeviceProfile], images: int, say: Say
) -> None:
    for profile in profiles:
        say(f"latency is predicted for {profile.name}: {profile.protocol}")
    steps = steps_of(max(1, round(images * config.fraction)), config.epochs, config.batch or BATCHES[0])
    told = long_settings(config.epochs, config.mirrored is not False, steps) | dict(config.training)
    mirrors = f"{100 * told['fliplr']:.0f}% of the images mirrored" if told["fliplr"] else "no image mirrored"
    if config.mirrored is False and config.data == "digits":
        mirrors += " (a mirrored digit is none)"
    mosaic = f"mosaic {told['mosaic']:g}, not in the last {told['close_mosaic']}" if told["mosaic"] else "no mosaic"
    for data in sorted({model.data for model in models if model.data} - {config.data}):
        say(f"  what their search says of some of them was found on {data}")
    seeds = f", {config.seeds} seeds each" if config.seeds > 1 else ""
    say(
        f"{len(models)} models{seeds}, {config.epochs} epochs, batch {config.batch}, {steps:,} steps each: {_names(models)}"
    )
    say(
        f"  {told['optimizer']}, warm-up {told['warmup_epochs']:g} epochs, {mosaic}, {mirrors}; "
        + (f"ends after {config.patience} epochs without a better mAP" if config.patience else "every epoch is trained")
    )
    if config.teacher is not None:
        say(
            f"  beside the labels, all learn from {config.teacher}: {', '.join(config.distill)}, temperature {config.temperature:g}"
        )
    if steps < ENOUGH_STEPS:
        more = math.ceil(ENOUGH_STEPS / steps * config.epochs)
        say(
            f"  images are varied as mildly as in a search: so few steps learn little from more ({more} epochs have {ENOUGH_STEPS:,})"
        )
    say(
        f"run folder {config.output}; how far it is: {command('status', config.output)}; Ctrl-C twice stops at once, and costs the "
        f"epoch under way: {command('train', resume=config.output)} goes on"
    )


@contextlib.contextmanager
def _kept_beside(config: TrainConfig, models: Sequence[Listed], profiles: Sequence[DeviceProfile]) -> Iterator[None]:
    """Keep the profiles, and for people the settings, in the folder of a new run, unless what follows is refused.

    Raises:
        InputError: a file that the run is going to write is there, and is somebody else's.
    """
    folder = RunFolder(config.output)
    written = Written(folder)
    folder.check()
    if folder.exists:
        yield
        return
    texts = {folder.device(profile.name): profile.to_json() for profile in profiles}
    texts[folder.training] = config.to_text([model.name for model in models])
    written.check(*texts, *folder.for_people)
    made = [path for path in (folder.path.parent, folder.path, folder.devices) if not path.exists()]
    try:
        folder.path.mkdir(parents=True, exist_ok=True)
        written.begin()
        for path, text in texts.items():
            path.parent.mkdir(exist_ok=True)
            written.write_text(path, text)
        yield
    except InputError:
        if not folder.exists:
            written.remove(*texts)
            written.end()
            for empty in reversed(made):
                with contextlib.suppress(OSError):  # something else is in it by now
                    empty.rmdir()
        raise


def _objectives(profiles: Sequence[DeviceProfile]) -> list[Objective]:
    latencies = [f"latency_ms@{profile.name}" for profile in profiles] if len(profiles) > 1 else ["latency_ms"]
    return [Objective("map50_95", "max"), *(Objective(name, "min") for name in latencies)]


def _deliver(run: Run, models: list[Listed], profiles: list[DeviceProfile], dataset: Dataset, console: Console) -> Run:
    """Export all models, measure them, write and print what came out. Raises InputError where no training has finished."""
    say = partial(terminal.say, console)
    if not run.evaluations:
        raise InputError(
            f"{run.directory}: no training has finished; {command('status', run.directory)} tells what failed"
        )
    say("the models are exported, and their latency is measured where a profile is of this machine")
    run, files = deliver(run, say, profiles=profiles, dataset=dataset)
    keep_beside(run, files)
    write_front(run, files, refused=say)
    rows = rows_of(run, models)
    written = write_trained(run, rows, files, refused=say)
    print_trained(run, rows, console)
    for line in what_was_trained(run, rows, files, written, len(dataset.val)):
        say(line)
    return run
