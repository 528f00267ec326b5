"""Models that were trained out, as people want them: ranked anew, beside what their search said of them."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from rich.console import Console

from evaluators.evaluator import metric_on
from search_spaces import Architecture, InputError
from search_spaces.errors import all_of

from ..formatting import command, duration, number
from ..storage.records import Evaluation
from ..storage.run import Run
from ..storage.states import State
from ..storage.written import Written
from .front import Files, no_formula
from .picture import as_label, picture
from .terminal import Column, print_table


class Model(Protocol):
    """A model that was to be trained, as its run keeps it."""

    @property
    def name(self) -> str: ...
    @property
    def compared(self) -> bool: ...
    @property
    def run(self) -> str | None: ...
    @property
    def key(self) -> str | None: ...
    @property
    def metrics(self) -> Mapping[str, float]: ...
    @property
    def weights(self) -> str | None: ...
    def network(self) -> Architecture:
        """Its architecture."""


@dataclass(frozen=True)
class Row:
    """A model with its trainings, one for every seed, the best first.

    Attributes:
        rank: by mAP50-95 (over several seeds its mean) among all models, from 1.
        rank_in_search: the same in the search, among those of these models that it has evaluated.
    """

    model: Model
    trainings: list[Evaluation]
    rank: int = 0
    rank_in_search: int | None = None

    def values(self, metric: str) -> list[float]:
        """What its trainings have of a metric."""
        return [e.metrics[metric] for e in self.trainings if metric in e.metrics]

    def mean(self, metric: str) -> float | None:
        """Over its trainings."""
        found = self.values(metric)
        return float(np.mean(found)) if found else None

    def deviation(self, metric: str) -> float | None:
        """The standard deviation over the seeds, where there are several."""
        found = self.values(metric)
        return float(np.std(found, ddof=1)) if len(found) > 1 else None

    def latency(self, device: str | None) -> float | None:
        """Measured, else predicted."""
        measured = self.mean(metric_on("latency_measured_ms", device))
        return self.mean(metric_on("latency_ms", device)) if measured is None else measured


def rows_of(run: Run, models: Sequence[Model]) -> list[Row]:
    """The models whose training has finished, best first."""
    rows = []
    for model in models:
        values = model.network().network_values()
        trained = [e for e in run.evaluations if e.architecture.network_values() == values]
        if trained:
            rows.append(Row(model, sorted(trained, key=lambda e: -e.metrics["map50_95"])))
    rows.sort(key=lambda row: -(row.mean("map50_95") or 0.0))
    searched = sorted((-r.model.metrics["map50_95"], i) for i, r in enumerate(rows) if "map50_95" in r.model.metrics)
    places = {i: place for place, (_, i) in enumerate(searched, start=1)}
    return [Row(row.model, row.trainings, i + 1, places.get(i)) for i, row in enumerate(rows)]


def agreement(rows: Sequence[Row]) -> float | None:
    """Kendall's tau-b between mAP50-95 in the search and after the training; None of fewer than three models, or where all are equal."""
    pairs = [(r.model.metrics["map50_95"], r.mean("map50_95") or 0.0) for r in rows if "map50_95" in r.model.metrics]
    if len(pairs) < 3:
        return None
    before, after = (np.sign(np.subtract.outer(column, column)) for column in np.array(pairs).T)
    untied = math.sqrt(float((before != 0).sum()) * float((after != 0).sum()))
    return float((before * after).sum()) / untied if untied else None


def _devices(run: Run) -> list[str | None]:
    names = list(run.settings.get("devices") or {})
    return list(names) if len(names) > 1 else [None]


def print_trained(run: Run, rows: Sequence[Row], console: Console) -> None:
    """The table: every model, best first, with its rank and accuracy in the search beside those after the training."""
    table = [
        Column("rank", True),
        Column("rank in search", True, 1),
        Column("model"),
        Column("mAP50-95", True),
        Column("mAP50-95 in search", True, 2),
        Column("mAP50", True, 3),
        Column("mAP50 in search", True, 7),
    ]
    for device in _devices(run):
        named = f" {device}" if device else ""
        table += [Column(f"predicted ms{named}", True, 4), Column(f"measured ms{named}", True, 4)]
    table += [
        Column("parameters", True, 5),
        Column("MACs", True, 6),
        Column("epochs", True, 8),
        Column("training s", True, 9),
    ]
    cells = [_cells(run, row) for row in rows]
    title = f"{run.directory}: {len(rows)} models trained out, best first"
    elsewhere = str(run.folder.trained_csv) if run.folder.trained_csv.exists() else None
    compared = [i for i, row in enumerate(rows) if row.model.compared]
    print_table(console, title, table, cells, dim=compared, elsewhere=elsewhere)


def _cells(run: Run, row: Row) -> list[str]:
    searched = row.model.metrics
    cells = [
        str(row.rank),
        str(row.rank_in_search or "-"),
        f"{row.model.name}{' (compared)' if row.model.compared else ''}",
    ]
    for metric in ("map50_95", "map50"):
        cells += [_spread(row, metric), number(metric, searched[metric]) if metric in searched else "-"]
    for device in _devices(run):
        cells += [_mean(row, metric_on(metric, device)) for metric in ("latency_ms", "latency_measured_ms")]
    return [*cells, *(_mean(row, metric) for metric in ("params", "macs", "epochs", "train_seconds"))]


def _spread(row: Row, metric: str) -> str:
    deviation = row.deviation(metric)
    return _mean(row, metric) + (f" ± {deviation:.3f}" if deviation is not None else "")


def _mean(row: Row, metric: str) -> str:
    value = row.mean(metric)
    if value is None:
        return "-"
    return number(metric, int(value) if value.is_integer() and not metric.startswith("map") else value)


def what_was_trained(run: Run, rows: Sequence[Row], files: Files, written: Sequence[Path], images: int) -> list[str]:
    """The lines after the table.

    Args:
        files: key -> kind -> path in the run's folder.
        written: tables and pictures.
        images: of the validation split.
    """
    failed = sum(e.status == State.FAILED for e in run.all_evaluations)
    seconds = sum(e.metrics.get("train_seconds", 0.0) for e in run.evaluations)
    lines = [
        f"{len(run.evaluations)} trainings, {failed} failed; {duration(seconds)} of training",
        f"accuracy: COCO mAP by pycocotools on {images} validation images, of each training's best epoch there",
    ]
    tau = agreement(rows)
    if tau is not None:
        lines.append(f"the ranks in the search and after the training agree with Kendall's tau {tau:+.2f}")
    if any(row.deviation("map50_95") is not None for row in rows):
        lines.append("±: standard deviation over the seeds")
    if run.settings.get("devices"):
        lines.append(f"latency: {run.protocol}")
    folders = [run.folder.model(e.key) for row in rows for e in row.trainings[:1] if e.key in files]
    if folders:
        lines.append("models, each with best.pt, last.pt, model.yaml, model.onnx, results.csv and train.log:")
        lines += [f"  {folder}" for folder in folders]
    if written:
        lines.append(f"all that is known of them: {all_of(written)}")
    best = rows[0].trainings[0]
    latency = best.metrics.get("latency_measured_ms", best.metrics.get("latency_ms"))
    bound = {"max_latency_ms": f"{latency * 1.005:.3g}"} if latency else {}
    return [
        *lines,
        "next:",
        f"  {command('pick', run.directory, **bound)}",
        f"  {command('show', f'{run.directory}:{best.key}')}",
    ]


def as_records(run: Run, rows: Sequence[Row], files: Files) -> list[dict[str, Any]]:
    """One dictionary for every training: model, ranks, what the search said, metrics and files."""
    return [
        {
            "model": row.model.name,
            "key": e.key,
            "seed": e.architecture.get("train_out.seed"),
            "rank": row.rank,
            "rank_in_search": row.rank_in_search,
            "compared": row.model.compared,
            "search": {"run": row.model.run, "key": row.model.key, "metrics": dict(row.model.metrics)},
            "weights": row.model.weights,
            "metrics": e.metrics,
            "architecture": e.architecture.to_dict(),
            "files": dict(files.get(e.key, {})),
        }
        for row in rows
        for e in row.trainings
    ]


def write_trained(
    run: Run, rows: Sequence[Row], files: Files, refused: Callable[[str], None] | None = None
) -> list[Path]:
    """Write trained.json, trained.csv and trained.png into the run's folder; what was written.

    Args:
        refused: is told of what is there and is not as the run wrote it, and stays so; the others are written.

    Raises:
        InputError: the same, where nobody is to be told.
    """
    records = as_records(run, rows, files)
    document = {"settings": run.settings, "agreement": agreement(rows), "models": records}
    writers: dict[Path, Callable[[Path], object]] = {
        run.folder.trained_csv: partial(_write_table, records),
        run.folder.trained_json: lambda file: file.write_text(json.dumps(document, indent=1), encoding="utf-8"),
        run.folder.trained_png: partial(draw_trained, run, rows),
    }
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


def _write_table(records: Sequence[Mapping[str, Any]], file: Path) -> None:
    plain = ("model", "key", "seed", "rank", "rank_in_search", "compared", "weights")
    measured = list(dict.fromkeys(name for record in records for name in record["metrics"]))
    searched = ("map50_95", "map50", "latency_ms", "latency_measured_ms")
    with open(file, "w", newline="", encoding="utf-8", errors="backslashreplace") as stream:
        writer = csv.writer(stream)
        writer.writerow(
            map(no_formula, [*plain, *measured, "search_run", "search_key", *(f"search_{n}" for n in searched)])
        )
        for record in records:
            search = record["search"]
            cells = [record[name] for name in plain] + [record["metrics"].get(name) for name in measured]
            cells += [search["run"], search["key"], *(search["metrics"].get(name) for name in searched)]
            writer.writerow(no_formula("" if cell is None else cell) for cell in cells)


def draw_trained(run: Run, rows: Sequence[Row], path: Path) -> None:
    """A picture: mAP50-95 against latency, with an arrow from what the search said to what the training came to."""
    device = _devices(run)[0]
    with picture(path, 7.5, 5) as axes:
        placed = [(row, latency) for row in rows if (latency := row.latency(device)) is not None]
        for compared, color, label in ((False, "#1f6fb2", "trained out"), (True, "#c0392b", "compared")):
            mine = [(row, latency) for row, latency in placed if row.model.compared == compared]
            if not mine:
                continue
            means = [row.mean("map50_95") or 0.0 for row, _ in mine]
            spread = [row.deviation("map50_95") or 0.0 for row, _ in mine]
            axes.errorbar([ms for _, ms in mine], means, yerr=spread, fmt="o", color=color, label=label, zorder=3)
        low, high = axes.get_xlim()
        for row, latency in placed:
            after, before = row.mean("map50_95") or 0.0, row.model.metrics.get("map50_95")
            if before is not None:
                axes.annotate(
                    "", (latency, after), (latency, before), zorder=2, arrowprops={"arrowstyle": "->", "color": "0.6"}
                )
                axes.plot([latency], [before], "o", color="0.6", ms=4, zorder=2)
            left = latency > (low + high) / 2  # towards the middle, so that the name stays inside
            axes.annotate(
                as_label(row.model.name),
                (latency, after),
                xytext=(-7 if left else 7, 5),
                textcoords="offset points",
                ha="right" if left else "left",
                fontsize=8,
            )
        axes.set_xlabel(as_label(f"latency ms{f' {device}' if device else ''}, measured where it could be"))
        axes.set_ylabel("mAP50-95 (grey: in the search)")
        axes.set_title(as_label(f"{run.directory.resolve().name}: {len(rows)} models trained out"))
        axes.legend(loc="best", frameon=False)
