"""The front of a run as people want it: a table on the terminal, front.csv, front.json and a picture."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from evaluators import METRICS
from evaluators.evaluator import metric_and_device, metric_on

from ..formatting import number
from ..storage.run import Run
from ..storage.store import Evaluation
from ..storage.written import Written

HEADINGS = {
    "params": "parameters",
    "macs": "MACs",
    "map50_95": "mAP50-95",
    "map50": "mAP50",
    "train_seconds": "training s",
    "file_bytes": "file bytes",
    "peak_activation_bytes": "peak bytes",
    "latency_ms": "latency ms",
    "latency_iqr_ms": "its IQR ms",
    "latency_ms_in_search": "ms in search",
    "latency_low_ms": "at least ms",
    "latency_high_ms": "at most ms",
    "latency_measured_ms": "measured ms",
    "latency_difference_percent": "difference %",
}


def heading(run: Run, name: str) -> str:
    """What a column of metric `name` is called."""
    metric, device = metric_and_device(name)
    text = HEADINGS.get(metric, metric)
    if metric == "latency_ms" and run.settings.get("devices"):
        text = "predicted ms"
    return f"{text} {device}" if device else text


def columns(run: Run, evaluations: Sequence[Evaluation]) -> list[str]:
    """Metric names to show: the objectives first, then what else was measured."""
    measured = {name for e in evaluations for name in e.metrics}
    first = [objective.metric for objective in run.objectives]

    def place(name: str) -> tuple[int, str, str]:
        metric, device = metric_and_device(name)
        return list(METRICS).index(metric) if metric in METRICS else 99, device or "", metric

    return [*first, *sorted(measured - set(first), key=place)]


def labels(run: Run) -> dict[str, str]:
    """Key -> name of the reference models among the run's evaluations."""
    return {key: name for name, key in run.settings.get("references", {}).items()}


def print_front(run: Run, console: Console) -> None:
    """The front, best in the first objective first; then the reference models that are not on it."""
    members, named = run.front, labels(run)
    on_front = {e.key for e in members}
    aside = [e for e in run.evaluations if e.key in named and e.key not in on_front]
    if not members:
        console.print("no evaluation has finished within the constraints, so there is no front")
        return
    # an interval stands beside its prediction, not in columns of its own
    names = [n for n in columns(run, members) if metric_and_device(n)[0] not in ("latency_low_ms", "latency_high_ms")]
    table = Table(
        title=f"front of {run.directory}: {len(members)} of {len(run.evaluations)} evaluated models",
        title_justify="left",
    )
    table.add_column("model", no_wrap=True)
    for name in names:
        table.add_column(heading(run, name), justify="right")
    for evaluation in [*members, *aside]:
        label = named.get(evaluation.key)
        model = f"{evaluation.key} {label}" if label else evaluation.key
        if evaluation.key not in on_front:
            model += " (off the front)"
        values = [_cell(evaluation.metrics, name) for name in names]
        table.add_row(model, *values, style=None if evaluation.key in on_front else "dim")
    console.print(table)


def _cell(metrics: Mapping[str, float], name: str) -> str:
    if name not in metrics:
        return "-"
    metric, device = metric_and_device(name)
    ends = [metrics.get(metric_on(end, device)) for end in ("latency_low_ms", "latency_high_ms")]
    if metric != "latency_ms" or None in ends:
        return number(name, metrics[name])
    return f"{metrics[name]:.2f} ({ends[0]:.2f} to {ends[1]:.2f})"


def as_records(run: Run, files: Mapping[str, Mapping[str, str]]) -> list[dict]:
    """One dictionary per model on the front: key, reference name, values, metrics and files."""
    named = labels(run)
    return [
        {
            "key": e.key,
            "name": named.get(e.key),
            "architecture": e.architecture.to_dict(),
            "metrics": e.metrics,
            "files": dict(files.get(e.key, {})),
        }
        for e in run.front
    ]


def write_front(run: Run, files: Mapping[str, Mapping[str, str]] | None = None) -> None:
    """Write front.json, front.csv and, of two objectives or more, front.png into the run's folder.

    Raises:
        InputError: one of them is there and is not as the run wrote it.
    """
    records = as_records(run, files or {})
    document = {
        "objectives": [[o.metric, o.direction] for o in run.objectives],
        "settings": run.settings,
        "front": records,
    }
    written = Written(run.folder)
    written.write_text(run.folder.front_json, json.dumps(document, indent=1))
    names = columns(run, run.front)
    choices = [choice.name for choice in run.space.choices]
    with written.replacing(run.folder.front_csv) as file, open(file, "w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["key", "name", *names, *choices])
        for record in records:
            metrics = [record["metrics"].get(name, "") for name in names]
            writer.writerow(
                [record["key"], record["name"] or "", *metrics, *(record["architecture"].get(c, "") for c in choices)]
            )
    if len(run.objectives) > 1 and run.evaluations:
        with written.replacing(run.folder.front_png) as file:
            draw_front(run, file)


def draw_front(run: Run, path: Path) -> None:
    """A picture of the first two objectives, which there must be: every evaluation, the front, and the reference models by name."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    y, x = run.objectives[0], run.objectives[1]
    named = labels(run)
    members = sorted(run.front, key=lambda e: e.metrics[x.metric])
    keys = {e.key for e in members}
    others = [e for e in run.evaluations if e.key not in keys]
    figure, axes = pyplot.subplots(figsize=(7.5, 5), layout="constrained")

    def at(evaluations: Sequence[Evaluation]) -> tuple[list[float], list[float]]:
        return [e.metrics[x.metric] for e in evaluations], [e.metrics[y.metric] for e in evaluations]

    axes.scatter(*at(others), s=28, color="0.7", label="evaluated", zorder=2)
    # steps, because between two models there is none: below the line is what some model achieves
    axes.plot(*at(members), "o-", drawstyle="steps-post", color="#1f6fb2", ms=6, lw=1.4, label="front", zorder=3)
    references = [e for e in run.evaluations if e.key in named]
    if references:
        axes.scatter(
            *at(references), s=120, facecolors="none", edgecolors="#c0392b", lw=1.5, label="reference", zorder=4
        )
    low, high = axes.get_xlim()
    for e in references:
        left = e.metrics[x.metric] > (low + high) / 2  # towards the middle, so that the name stays inside
        axes.annotate(
            named[e.key],
            (e.metrics[x.metric], e.metrics[y.metric]),
            xytext=(-9 if left else 9, 9),
            textcoords="offset points",
            ha="right" if left else "left",
            color="#c0392b",
        )
    axes.set_xlabel(heading(run, x.metric))
    axes.set_ylabel(heading(run, y.metric))
    axes.set_title(
        f"{run.directory.resolve().name}: {len(run.evaluations)} models evaluated, {len(members)} on the front"
    )
    axes.grid(alpha=0.25)
    axes.legend(loc="best", frameon=False)
    figure.savefig(path, dpi=130)
    pyplot.close(figure)
