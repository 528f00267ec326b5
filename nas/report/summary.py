"""What a search ends with: its figures' meaning, where the files are, and what to do next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from evaluators.evaluator import metric_on
from search_spaces.definition import space_names
from search_spaces.errors import all_of
from search_spaces.families import family_of

from ..formatting import command, duration, shell_command
from ..storage.run import Run
from ..storage.states import State

Files = Mapping[str, Mapping[str, str]]


def what_came_out(
    run: Run, files: Files, written: Sequence[Path], judged: str, elapsed: float, more: Mapping[str, float | None]
) -> list[str]:
    """The lines after the table of the front.

    Args:
        files: key -> kind -> path in the run's folder, of the models that were delivered.
        written: tables and pictures of the front.
        judged: what the accuracy was measured on.
        elapsed: seconds that the search took in this process; 0 if nothing was left to search.
        more: settings to search on with, for what has ended the search: more evaluations, or hours.
    """
    failed = sum(e.status == State.FAILED for e in run.all_evaluations)
    took = f"; this command searched for {duration(elapsed)}" if elapsed else ""
    count = sum(e.status == State.PAUSED for e in run.all_evaluations)
    paused = f", {count} begun and put aside" if count else ""
    again = sum(e.status == State.FINISHED for e in run.repeats)
    repeated = f", {again} times one of them again" if again else ""
    lines = [
        f"{run.costed:,} candidates costed, {len(run.evaluations)} models trained{repeated}{paused}, {failed} failed{took}",
        f"accuracy: COCO mAP by pycocotools on {judged}",
    ]
    if run.settings.get("devices"):
        lines.append(f"latency: {run.protocol}")
    if any(run.judged(e).trainings > 1 for e in run.front):
        lines.append("models that were trained again have mean figures, and the checkpoint of their first training")
    delivered = [run.directory / files[e.key]["checkpoint"] for e in run.front if e.key in files]
    if delivered:
        lines.append("checkpoints of the front, each with its model.yaml and model.onnx beside it:")
        lines += [f"  {path}" for path in delivered]
    if written:
        lines.append(f"the front as a table, and all that is known of it: {all_of(written)}")
    return [*lines, *_next(run, files, more)]


def _next(run: Run, files: Files, more: Mapping[str, float | None]) -> list[str]:
    lines = [*(_with_the_best(run, files) if run.front else ()), *_searching_on(run, more)]
    return ["next:", *(f"  {line}" for line in lines)] if lines else []


def _with_the_best(run: Run, files: Files) -> list[str]:
    """What can be done with the most accurate model, or whatever the first objective is."""
    best, lines = run.front[0], []
    if best.key in files:
        model, size = run.directory / files[best.key]["checkpoint"], best.architecture["image_size"]
        lines.append(shell_command("yolo", "predict", f"model={model}", "source=IMAGE", f"imgsz={size}"))
    lines.append(
        f"{command('show', f'{run.directory}:{best.key}')}: the best in {run.objectives[0].metric}, layer by layer"
    )
    devices = list(run.settings.get("devices") or {})
    name = devices[0] if len(devices) > 1 else None
    held = ("latency_measured_ms", "latency_high_ms", "latency_ms")  # what `pick` holds against a bound, if it is there
    latency = next((best.metrics[m] for m in (metric_on(each, name) for each in held) if m in best.metrics), None)
    if best.key in files and best.architecture.space.name in space_names():
        several = len(run.front) > 1
        what = {"front": True} if several else {}
        trained: object = run.directory if several else f"{run.directory}:{best.key}"
        reference = family_of(best.architecture.space).reference[0]
        output = run.directory.with_name(f"{run.directory.resolve().name}-trained")
        trains = command("train", trained, **what, compare=reference, epochs=100, output=output)
        lines.append(f"{trains}: {'the front' if several else 'this model'} trained for long, beside {reference}")
    if latency is not None:
        device = run.folder.device(name) if name else None
        bound = f"{latency * 1.005:.3g}"
        lines.append(command("pick", run.directory, device=device, max_latency_ms=bound))
    return lines


def _searching_on(run: Run, more: Mapping[str, float | None]) -> list[str]:
    """How to search on, where there is anything left to try."""
    if not run.complete:
        most = f" to {run.max_evaluations} evaluations" if run.max_evaluations else ""
        return [f"{command('resume', run.directory)}: search on{most}"]
    if run.max_evaluations and run.spent < run.max_evaluations - 1e-9 and not more.get("hours"):
        return []  # every architecture that meets the constraints was asked
    return [f"{command('resume', run.directory, **more)}: search on"]
