"""What a search ends with: its figures' meaning, where the files are, and what to do next."""

from __future__ import annotations

from collections.abc import Mapping

from evaluators.evaluator import metric_on

from ..formatting import duration
from ..storage.run import Run
from ..storage.states import State


def what_came_out(
    run: Run, files: Mapping[str, Mapping[str, str]], judged: str, elapsed: float, more: int
) -> list[str]:
    """The lines after the table of the front.

    Args:
        files: key -> kind -> path in the run's folder, of the models that were delivered.
        judged: what the accuracy was measured on.
        elapsed: seconds that the search took in this process; 0 if nothing was left to search.
        more: evaluations to search on to.
    """
    failed = sum(e.status == State.FAILED for e in run.all_evaluations)
    took = f"; this command searched for {duration(elapsed)}" if elapsed else ""
    count = sum(e.status == State.PAUSED for e in run.all_evaluations)
    paused = f", {count} begun and put aside" if count else ""
    lines = [
        f"{run.costed:,} candidates costed, {len(run.evaluations)} models trained{paused}, {failed} failed{took}",
        f"accuracy: COCO mAP by pycocotools on {judged}",
    ]
    if run.settings.get("devices"):
        lines.append(f"latency: {run.protocol}")
    lines.append("checkpoints of the front, each with its model.yaml and model.onnx beside it:")
    lines += [f"  {run.directory / files[e.key]['checkpoint']}" for e in run.front if e.key in files]
    picture = f"picture {run.folder.front_png}, " if len(run.objectives) > 1 else ""
    lines.append(f"{picture}tables {run.folder.front_csv} and {run.folder.front_json.name}")
    return [*lines, *_next(run, files, more)] if run.front else lines


def _next(run: Run, files: Mapping[str, Mapping[str, str]], more: int) -> list[str]:
    best, lines = run.front[0], ["next:"]
    if best.key in files:
        checkpoint = run.directory / files[best.key]["checkpoint"]
        lines.append(f"  yolo predict model={checkpoint} source=IMAGE imgsz={best.architecture['image_size']}")
    lines.append(f"  evoyolo show {run.directory}:{best.key}      the most accurate model, layer by layer")
    devices = list(run.settings.get("devices") or {})
    name = devices[0] if len(devices) > 1 else None
    latency = best.metrics.get(metric_on("latency_high_ms", name), best.metrics.get("latency_ms"))
    if latency is not None:
        device = f"--device {run.folder.device(name)} " if name else ""
        lines.append(f"  evoyolo pick {run.directory} {device}--max-latency-ms {latency * 1.005:.3g}")
    return [*lines, f"  evoyolo resume {run.directory} --max-evaluations {more}      search on"]
