"""The front of a run as people want it: a table on the terminal, front.csv, front.json and a picture."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

if TYPE_CHECKING:
    from matplotlib.axes import Axes

from evaluators import METRICS
from evaluators.evaluator import metric_and_device, metric_on
from search_spaces import InputError

from ..formatting import with_error
from ..storage.judged import Judged
from ..storage.run import Run
from ..storage.store import Evaluation
from ..storage.written import Written
from .noise import describe_doubt, describe_noise, noisy
from .picture import as_label, picture
from .terminal import Column, print_table, say

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

ENDS = ("latency_low_ms", "latency_high_ms")
INTERVAL, TRAININGS = "interval", "trainings"
# What a narrow terminal shows beside the objectives, as far as there is room; what is not named here comes last.
IMPORTANT = (
    "map50_95",
    "latency_ms",
    "latency_measured_ms",
    "params",
    "macs",
    INTERVAL,
    TRAININGS,
    "latency_difference_percent",
    "map50",
    "file_bytes",
    "peak_activation_bytes",
    "train_seconds",
)
Files = Mapping[str, Mapping[str, str]]  # key -> kind -> path in the run's folder
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what text begins with that a spreadsheet would evaluate


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
    """Key -> name of the reference models, and of the plain scalings, among the run's evaluations."""
    named = {**run.settings.get("scalings", {}), **run.settings.get("references", {})}
    return {key: name for name, key in named.items()}


def print_front(run: Run, console: Console) -> None:
    """The front, best in the first objective first; then the reference models that are not on it.

    Figures are means over all trainings of a model. Where not all columns fit, the objectives stay, then what `IMPORTANT` has
    first.
    """
    members, named = run.front, labels(run)
    on_front = {e.key for e in members}
    aside = [e for e in run.evaluations if e.key in named and e.key not in on_front]
    if not members:
        say(console, "no evaluation has finished within the constraints, so there is no front")
        return
    objectives = [objective.metric for objective in run.objectives]
    table = [Column("model")]
    figures: list[Callable[[Judged], str]] = []  # of every other column, what its cell is for a model
    for name in columns(run, members):
        metric, device = metric_and_device(name)
        if metric in ENDS:
            continue
        known = IMPORTANT.index(metric) if metric in IMPORTANT else len(IMPORTANT)
        rank = 1 + objectives.index(name) if name in objectives else 1 + len(objectives) + known
        table.append(Column(heading(run, name), True, rank))
        figures.append(partial(_figure, name=name))
        if metric == "latency_ms" and any(metric_on(ENDS[0], device) in e.metrics for e in members):
            table.append(
                Column(f"90% interval {device or ''}".strip(), True, 1 + len(objectives) + IMPORTANT.index(INTERVAL))
            )
            figures.append(partial(_interval, device=device))
    if any(run.judged(e).trainings > 1 for e in [*members, *aside]):
        table.append(Column(TRAININGS, True, 1 + len(objectives) + IMPORTANT.index(TRAININGS)))
        figures.append(lambda judged: str(judged.trainings))
    rows = []
    for evaluation in [*members, *aside]:
        key, place = evaluation.key, None
        if key not in on_front:
            place = "(off the front)"
        elif run.judgement.in_doubt(key):
            place = "(may be off)"
        judged = run.judged(evaluation)
        rows.append([" ".join(filter(None, [key, named.get(key), place])), *(figure(judged) for figure in figures)])
    print_table(
        console,
        f"front of {run.directory}: {len(members)} of {len(run.evaluations)} evaluated models",
        table,
        rows,
        dim=range(len(members), len(rows)),
        elsewhere=str(run.folder.front_csv) if run.folder.front_csv.exists() else None,
    )
    for line in [*describe_noise(run), *describe_doubt(run)]:
        say(console, line)


def _figure(judged: Judged, name: str) -> str:
    return with_error(name, judged.metrics[name], judged.errors) if name in judged.metrics else "-"


def _interval(judged: Judged, device: str | None) -> str:
    low, high = (judged.metrics.get(metric_on(end, device)) for end in ENDS)
    return "-" if low is None or high is None else f"{low:.2f} to {high:.2f}"


def as_records(run: Run, files: Mapping[str, Mapping[str, str]]) -> list[dict]:
    """One dictionary per model on the front: key, reference name, values, metrics and files.

    Metrics are means over its trainings, whose number is there, with their standard errors, and with the probability that
    another model dominates it in truth.
    """
    named, doubts = labels(run), run.judgement.doubts
    return [
        {
            "key": judged.evaluation.key,
            "name": named.get(judged.evaluation.key),
            "architecture": judged.evaluation.architecture.to_dict(),
            "metrics": judged.metrics,
            "trainings": judged.trainings,
            "errors": judged.errors,
            "doubt": doubts[judged.evaluation.key],
            "files": dict(files.get(judged.evaluation.key, {})),
        }
        for judged in run.judgement.front
    ]


def write_front(
    run: Run, files: Mapping[str, Mapping[str, str]] | None = None, refused: Callable[[str], None] | None = None
) -> list[Path]:
    """Write front.csv, front.json and, of two objectives or more, front.png into the run's folder; what was written.

    Text in front.csv that a spreadsheet would take for a formula has an apostrophe before it; front.json has it as it is.

    Args:
        refused: is told of what is there and is not as the run wrote it, and stays so; the others are written.

    Raises:
        InputError: the same, where nobody is to be told.
    """
    records = as_records(run, files or {})
    document = {
        "objectives": [[o.metric, o.direction] for o in run.objectives],
        "settings": run.settings,
        "noise": {name: asdict(noise) for name, noise in run.noise.items()},
        "front": records,
    }
    writers: dict[Path, Callable[[Path], object]] = {
        run.folder.front_csv: partial(_write_table, run, records),
        run.folder.front_json: lambda file: file.write_text(json.dumps(document, indent=1), encoding="utf-8"),
    }
    if len(run.objectives) > 1 and run.evaluations:
        writers[run.folder.front_png] = partial(draw_front, run)
    written, paths = Written(run.folder), []
    for path, write in writers.items():
        try:
            with written.replacing(path) as file:
                write(file)
        except InputError as error:
            if refused is None:
                raise
            refused(str(error))
        else:
            paths.append(path)
    return paths


def _write_table(run: Run, records: Sequence[Mapping], file: Path) -> None:
    names, errors = columns(run, run.front), noisy(run)
    trainings = [TRAININGS] if errors else []
    choices = [choice.name for choice in run.space.choices]
    with open(file, "w", newline="", encoding="utf-8", errors="backslashreplace") as stream:
        writer = csv.writer(stream)
        writer.writerow(map(no_formula, ["key", "name", *names, *(f"{n}_error" for n in errors), *trainings, *choices]))
        for record in records:
            metrics = [record["metrics"].get(name, "") for name in names]
            metrics += [record["errors"].get(name, "") for name in errors] + [record[name] for name in trainings]
            values = [record["architecture"].get(choice, "") for choice in choices]
            writer.writerow(map(no_formula, [record["key"], record["name"] or "", *metrics, *values]))


def no_formula(cell: object) -> object:
    """A cell of a table that a spreadsheet takes for no formula."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) else cell


def draw_front(run: Run, path: Path) -> None:
    """A picture of the first two objectives, which there must be: every evaluation, the front, and the reference models by name."""
    y, x = run.objectives[0], run.objectives[1]
    named = labels(run)
    members = sorted(run.judgement.front, key=lambda e: e.metrics[x.metric])
    keys = {e.evaluation.key for e in members}
    others = [e for key, e in run.judgement.judged.items() if key not in keys]
    references = [e for key, e in run.judgement.judged.items() if key in named]

    def at(models: Sequence[Judged]) -> tuple[list[float], list[float]]:
        return [e.metrics[x.metric] for e in models], [e.metrics[y.metric] for e in models]

    def errors(axes: Axes, models: Sequence[Judged], color: str) -> None:
        sizes = [[e.errors.get(o.metric, 0.0) for e in models] for o in (x, y)]
        axes.errorbar(*at(models), xerr=sizes[0], yerr=sizes[1], fmt="none", ecolor=color, elinewidth=0.7, zorder=1)

    with picture(path, 7.5, 5) as axes:
        if noisy(run):
            errors(axes, others, "0.85")
            errors(axes, members, "#8ab4d8")
        axes.scatter(*at(others), s=28, color="0.7", label="evaluated", zorder=2)
        # steps, because between two models there is none: below the line is what some model achieves
        axes.plot(*at(members), "o-", drawstyle="steps-post", color="#1f6fb2", ms=6, lw=1.4, label="front", zorder=3)
        if references:
            axes.scatter(
                *at(references), s=120, facecolors="none", edgecolors="#c0392b", lw=1.5, label="reference", zorder=4
            )
        low, high = axes.get_xlim()
        for e in references:
            left = e.metrics[x.metric] > (low + high) / 2  # towards the middle, so that the name stays inside
            axes.annotate(
                as_label(named[e.evaluation.key]),
                (e.metrics[x.metric], e.metrics[y.metric]),
                xytext=(-9 if left else 9, 9),
                textcoords="offset points",
                ha="right" if left else "left",
                color="#c0392b",
            )
        axes.set_xlabel(as_label(heading(run, x.metric)))
        axes.set_ylabel(as_label(heading(run, y.metric)))
        axes.set_title(
            as_label(
                f"{run.directory.resolve().name}: {len(run.evaluations)} models evaluated, {len(members)} on the front"
            )
        )
        axes.legend(loc="best", frameon=False)
