"""The main job from start to end: check the data, search, export the front, say what came out."""

from __future__ import annotations

import contextlib
import json
import shutil
from pathlib import Path

import torch
from rich.console import Console

from evaluators.data import check_dataset, load_dataset
from evaluators.detector import DetectorEvaluator
from evaluators.evaluator import metric_on
from evaluators.latency import LatencyMeter
from evaluators.training import Fidelity, check_settings
from search_spaces import InputError
from search_spaces.files import write_text

from ..delivery.export import deliver
from ..executors import Cluster, run_here
from ..formatting import duration
from ..report.front import print_front, write_front
from ..report.progress import Progress
from ..storage.folder import RunFolder
from ..storage.run import Run
from ..storage.states import State
from .config import RAY_ONLY, RESUMABLE, SearchConfig, commented_yaml, load_config
from .search import search
from .versions import versions


def start(config: SearchConfig, console: Console) -> Run | None:
    """Run the search that `config` describes, in a new folder; None when it was stopped before its end."""
    directory = config.run_directory
    folder = RunFolder(directory)
    if folder.exists:
        raise InputError(
            f"{directory} already holds a run; to go on with it, {folder.how_to_resume()}, or give another --name"
        )
    return _run(config, console, resume=False)


def resume(directory: str | Path, console: Console, **changes) -> Run | None:
    """Continue an interrupted run, None when it was stopped again; `changes` replace fields that do not touch what was measured."""
    directory = Path(directory)
    run = Run(directory)
    kept = [str(run.folder.device(profile.name)) for profile in run.profiles]
    config = load_config(run.folder.config, **{**changes, "directory": str(directory), "device": kept})
    before = run.settings.get("config", {})
    for name, value in json.loads(json.dumps(config.to_dict())).items():
        # a run of an earlier version may lack a field
        if name not in (*RESUMABLE, "name", "directory", "device") and before.get(name, value) != value:
            raise InputError(
                f"{run.folder.config}: field {name}: is {value!r}, and what this run holds was made with {before[name]!r}; "
                "put it back, or start a new run"
            )
    return _run(config, console, resume=True)


def _run(config: SearchConfig, console: Console, resume: bool) -> Run | None:
    def say(text):
        console.print(text, highlight=False, soft_wrap=True)

    directory = config.run_directory
    dataset = load_dataset(config.data)
    checked = check_dataset(dataset)
    say(f"dataset {dataset.name}: {checked}")
    space = config.make_space()
    references = config.reference_architectures()
    constraints = config.make_constraints()
    check_settings(config.training)  # before anything takes its time
    if config.training_device != "cpu" and not config.address and not torch.cuda.is_available():
        raise InputError(
            f"training_device {config.training_device!r}: PyTorch sees no CUDA device on this machine; use cpu, or give the "
            "address of a Ray cluster that has some"
        )
    if config.executor == "here":
        for name in RAY_ONLY:
            if getattr(config, name) != SearchConfig.model_fields[name].default:
                say(f"executor here does without Ray: {name} is not used")
    profiles = config.profiles
    for profile in profiles:
        say(f"latency is predicted for {profile.name}: {profile.protocol}")
        if profile.precision != "FP32":
            say(f"  accuracy is of the FP32 models, whatever {profile.precision} may cost")
    reference_ms = None
    if resume:
        reference_ms = Run(directory, space).settings.get("reference_ms")
    elif not profiles:
        say("no device profile: latency is measured where models are trained; first the reference model, undisturbed")
        meter = LatencyMeter(threads=config.latency_threads, num_classes=dataset.num_classes, spin=False)
        reference_ms = meter.reference_ms
    evaluator = DetectorEvaluator(
        config.data,
        Fidelity(config.epochs, config.image_size, config.fraction),
        batch=config.batch,
        device=config.training_device,
        seed=config.seed,
        threads=max(1, int(config.cpus_per_trial)),
        profiles=profiles,
        latency_threads=config.latency_threads,
        reference_ms=reference_ms,
        max_latency_ms=None if profiles else config.max_latency_ms,
        settings=config.training,
        rungs=config.rungs,
    )
    executor = run_here
    if config.executor == "ray":
        executor = Cluster(
            config.address,
            config.cpus_per_trial,
            config.gpus_per_trial,
            config.max_concurrent,
            config.batch_evaluations,
        )
    say(
        f"space {space.name}: {space.size:.3g} architectures; "
        f"{config.algorithm} to {config.max_evaluations} evaluations of {config.epochs} epochs"
        + (f", judged at {', '.join(map(str, config.rungs))}" if config.rungs else "")
    )
    say(
        f"run folder {directory}; how far it is: `evoyolo status {directory}`; "
        f"Ctrl-C once waits for what runs, twice stops at once, and `evoyolo resume {directory}` goes on"
    )
    progress = Progress(config.make_objectives(), config.max_evaluations, console, constraints)
    with _settings_of_a_run(config, directory, say):
        search(
            space,
            evaluator,
            config.make_objectives(),
            max_evaluations=config.max_evaluations,
            algorithm=config.algorithm,
            seed=config.seed,
            directory=directory,
            constraints=constraints,
            references=list(references.values()),
            start_from=None if resume else config.start_from,
            max_seconds=config.max_minutes * 60 if config.max_minutes else None,
            time_limit=config.trial_minutes * 60 if config.trial_minutes else None,
            executor=executor,
            resume=resume,
            settings={
                "config": config.to_dict(),
                "references": {name: architecture.key for name, architecture in references.items()},
                "num_classes": dataset.num_classes,
                "versions": versions(),
                "reference_ms": reference_ms,
                "devices": {profile.name: profile.protocol for profile in profiles},
            },
            progress=progress,
        )
    if progress.drained:
        say(
            f"stopped; every result is kept: `evoyolo front {directory}` shows them, `evoyolo resume {directory}` goes on"
        )
        return None
    if not Run(directory, space).evaluations:
        raise InputError(
            f"{directory}: no evaluation has finished, so there is no front; `evoyolo status {directory}` tells what failed"
        )
    say("the front is exported; latency is measured with no training beside it")
    run, files = deliver(
        Run(directory, space), say, latency_threads=config.latency_threads, profiles=profiles, data=config.data
    )
    write_front(run, files)
    print_front(run, console)
    _say_what_came_out(run, files, config, progress, say)
    return run


@contextlib.contextmanager
def _settings_of_a_run(config: SearchConfig, directory: Path, say):
    """Keep the settings beside the store, unless the search is refused; say how to go on when it is interrupted."""

    folder = RunFolder(directory)

    def asked() -> int:
        return sum(event.state == State.ASKED for event in Run(directory).events) if folder.exists else 0

    asked_before = asked()
    directory.mkdir(parents=True, exist_ok=True)
    file, is_new = folder.config, not folder.exists
    before = file.read_text(encoding="utf-8") if file.exists() else None
    # the user's own file, with its comments, may be what a new run is started from in its own folder
    if before is None or not is_new or load_config(file) != config:
        write_text(file, commented_yaml(config))
    for profile in config.profiles:  # what the run's latencies mean must not change with a file elsewhere
        folder.devices.mkdir(exist_ok=True)
        profile.save(folder.device(profile.name))
    try:
        yield
    except KeyboardInterrupt:
        say(f"interrupted; every result is kept, `evoyolo resume {directory}` goes on")
        raise
    except InputError:
        if asked() > asked_before:  # it was not refused: what was evaluated was so by these settings
            raise
        if before is not None:
            write_text(file, before)
        elif is_new and not folder.exists:
            file.unlink()
            shutil.rmtree(folder.devices, ignore_errors=True)
            for empty in (directory, directory.parent):
                with contextlib.suppress(OSError):  # not empty, or not ours to remove
                    empty.rmdir()
        raise


def _say_what_came_out(run: Run, files: dict, config: SearchConfig, progress: Progress, say) -> None:
    failed = sum(e.status == State.FAILED for e in run.all_evaluations)
    took = f"; this command searched for {duration(progress.elapsed)}" if progress.elapsed else ""
    paused = sum(e.status == State.PAUSED for e in run.all_evaluations)
    paused = f", {paused} begun and put aside" if paused else ""
    say(f"{run.costed:,} candidates costed, {len(run.evaluations)} models trained{paused}, {failed} failed{took}")
    size = f"{config.image_size} px" if config.image_size else "each model's own image size"
    images = len(load_dataset(config.data).val)
    say(
        f"accuracy: COCO mAP by pycocotools on {images} validation images, {config.epochs} epochs of training, at {size}"
    )
    say(f"latency: {run.protocol}")
    say("checkpoints of the front, each with its model.yaml and model.onnx beside it:")
    for evaluation in run.front:
        if evaluation.key in files:
            say(f"  {run.directory / files[evaluation.key]['checkpoint']}")
    say(f"picture {run.folder.front_png}, tables {run.folder.front_csv} and {run.folder.front_json.name}")
    if run.front:
        best = run.front[0]
        say("next:")
        if best.key in files:
            say(
                f"  yolo predict model={run.directory / files[best.key]['checkpoint']} source=IMAGE "
                f"imgsz={best.architecture['image_size']}"
            )
        say(f"  evoyolo show {run.directory}:{best.key}      the most accurate model, layer by layer")
        name = config.device_names[0] if config.device_names else None
        latency = best.metrics.get(metric_on("latency_high_ms", name), best.metrics.get("latency_ms"))
        if latency is not None:
            device = f"--device {run.folder.device(name)} " if name else ""
            say(f"  evoyolo pick {run.directory} {device}--max-latency-ms {latency * 1.005:.3g}")
        say(f"  evoyolo resume {run.directory} --max-evaluations {2 * config.max_evaluations}      search on")
