"""A trained model made smaller, step by step, each with its price: mAP, parameters, MACs, bytes and latency of what it leaves.

checkpoint -> given -> prune -> finetune -> export -> quantise      steps of a recipe, in OUTPUT/work; what is done is kept
                |        |         |          |          |
                '--------+---------+----------+----------'--> judged and timed -> OUTPUT/steps.json, steps.csv, latencies.csv, steps.png
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from evaluators.compression.pruning import as_architecture
from evaluators.data import Dataset
from evaluators.file_metrics import evaluate_file
from evaluators.formats.network import trained_at
from evaluators.recipe import Candidate, Recipe, run_steps
from evaluators.steps import Bench, Workpiece
from evaluators.steps.taught import Taught
from evaluators.training.checkpoint import load_checkpoint
from search_spaces import InputError
from search_spaces.files import read_json
from search_spaces.writing import check_tree, own, replacing, write_text

from ..formatting import duration, number
from ..report.compressed import draw_steps
from ..report.watching import Watching
from .latencies import FIGURES, Latencies

Say = Callable[[str], None]
TABLE, LATENCIES, WORK = "steps", "latencies", "work"
MARK = ".compressed"  # in a folder of ours, from its beginning
COLUMNS = (
    "step", "file", "map50_95", "map50", "params", "macs", "zeros", "bytes", "latency_ms", "latency_q25_ms", "latency_q75_ms", "seconds",
)  # fmt: skip


def compress(
    checkpoint: str | Path,
    dataset: Dataset,
    output: str | Path,
    steps: Sequence[str | Mapping[str, Any]],
    *,
    image_size: int | None = None,
    threads: int = 1,
    batch: int = 16,
    seed: int = 0,
    training_device: str = "cpu",
    runtimes: Sequence[str] = ("onnxruntime",),
    latency_sizes: Sequence[int] = (),
    say: Say | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[dict[str, Any]]:
    """Do the steps of a recipe to a checkpoint and judge what each leaves, on the validation split.

    The same call goes on where an earlier one was cut off: steps that are done, and what was judged, are not paid for again.

    Args:
        output: a folder; the one of an earlier call with the same checkpoint and steps, or one that is not there.
        steps: of a recipe, after `given`.
        image_size: pixels; None is what the checkpoint was trained at.
        threads: of PyTorch in training, and of the runtimes.
        batch, seed, training_device: of fine-tuning.
        runtimes: that latency is measured with; the first one's is `latency_ms` of the table, none measures none.
        latency_sizes: pixels at which it is measured beside the model's own.
        say: prints what is done; also while a training redirects the standard output. None prints to what that is now.

    Returns:
        A row of `COLUMNS` for the checkpoint and for every step; its `latencies` are all that were measured, with their protocol.

    Raises:
        InputError: a checkpoint whose channels are not known here, steps that do not fit, a folder that holds something else.
        EvaluationError: a step cannot be done to this network.
    """
    output, say = Path(output), say or partial(print, file=sys.stdout, flush=True)
    recipe = Recipe.read([{"given": {"path": str(checkpoint)}}, *steps])
    model = load_checkpoint(checkpoint)
    size = image_size if image_size is not None else trained_at(model)
    if size is None:
        raise InputError(f"{checkpoint}: does not say at which image size it was trained; give --image-size")
    if len(model.names) != dataset.num_classes:
        raise InputError(
            f"{checkpoint}: detects {len(model.names)} classes, and the dataset {dataset.name} has {dataset.num_classes}"
        )
    architecture = as_architecture(model, size, str(checkpoint))
    for step in recipe.steps:
        if isinstance(step, Taught):
            step.check(dataset, architecture)
    latencies = Latencies(runtimes, latency_sizes, threads, dataset.num_classes)
    _check_output(output)
    output.mkdir(parents=True, exist_ok=True)
    write_text(output / MARK, "what `evoyolo compress` writes here it may replace\n")
    (output / WORK).mkdir(exist_ok=True)
    bench = Bench(dataset, 1, batch=batch, device=training_device, threads=threads, seed=seed)
    table = _Table(output, str(checkpoint), dataset, size, threads, latencies, say, progress)
    piece = Workpiece(architecture, output / WORK, bench)

    def judge(position: int, record: Mapping[str, Any]) -> None:
        table.add(position, record["step"], record, list(piece.artefacts.values())[-1])
        if position + 1 < len(recipe.steps):
            say(f"step {position + 1} of {len(recipe.steps) - 1}: {recipe.steps[position + 1].name}")

    with Watching(output / WORK, say):
        run_steps(Candidate(architecture, recipe), piece, judge)
    draw_steps(table.rows, own(output / f"{TABLE}.png", output))
    return table.rows


class _Table:
    """The rows, each judged once, and the files that hold them."""

    def __init__(
        self,
        output: Path,
        checkpoint: str,
        dataset: Dataset,
        size: int,
        threads: int,
        latencies: Latencies,
        say: Say,
        progress: Callable[[int, int], None] | None,
    ) -> None:
        self.output, self.checkpoint, self.dataset, self.size, self.threads = output, checkpoint, dataset, size, threads
        self.latencies, self.say, self.progress = latencies, say, progress
        self.rows: list[dict[str, Any]] = []
        self._known = {row["digest"]: row for row in _rows(output)}

    def add(self, position: int, step: str, record: Mapping[str, Any], made: Path) -> None:
        """Judge what a step has left, unless an earlier call has; say it and write it down."""
        kept = made if position == 0 else _named(self.output, f"{position}-{step}{made.suffix}", made)
        digest = hashlib.sha256(json.dumps([record["digest"], self.size, self.threads]).encode()).hexdigest()[:16]
        row = self._known.get(digest) or self._judged(kept)
        measured = self.latencies.of(kept, row["precision"], self.size, row["latencies"])
        first = measured[0] if measured else {}
        row |= {name: first.get(name) for name in COLUMNS if name.startswith("latency_")}
        name = self.checkpoint if position == 0 else kept.name
        row |= {"latencies": measured, "step": step if position else "untouched", "file": name}
        row |= {"metrics": record["metrics"], "seconds": record["seconds"], "digest": digest}
        self.rows.append(row)
        self.say(_told(row, self.rows[0]))
        _write(self.output, self.rows)

    def _judged(self, file: Path) -> dict[str, Any]:
        found = evaluate_file(
            file, self.dataset, threads=self.threads, image_size=self.size, with_latency=False, progress=self.progress
        )
        figures = ("map50_95", "map50", "params", "macs", "zeros", "bytes", "precision")
        return {**{name: getattr(found, name) for name in figures}, "latencies": []}


def _check_output(output: Path) -> None:
    """Raise InputError where the folder holds something that no earlier call has written."""
    if not output.exists():
        return
    check_tree(output)
    if any(output.iterdir()) and not (output / MARK).is_file():
        raise InputError(
            f"{output} exists and is no folder of `evoyolo compress`; it is left as it is: name another folder"
        )


def _rows(output: Path) -> list[dict[str, Any]]:
    """The rows that an earlier call has left; what cannot be read is judged anew."""
    path = output / f"{TABLE}.json"
    try:
        content = read_json(path) if path.exists() else {}
    except InputError:
        return []
    rows = content.get("steps") if isinstance(content, Mapping) else None
    whole = {*COLUMNS, "digest", "precision", "latencies"}
    return [
        row
        for row in rows or ()
        if isinstance(row, dict)
        and whole <= row.keys()
        and isinstance(row["latencies"], list)
        and all(isinstance(each, dict) and each.keys() == set(FIGURES) for each in row["latencies"])
    ]


def _named(output: Path, name: str, made: Path) -> Path:
    """The artefact of a step under a name that says which one it is of: further steps may write over theirs."""
    kept = own(output / name, output)
    if not kept.exists() or kept.stat().st_mtime < made.stat().st_mtime or kept.stat().st_size != made.stat().st_size:
        with replacing(kept) as file:
            file.write_bytes(made.read_bytes())
    return kept


TOLD = {  # metrics of steps that no column has -> how they are put
    "fp32_layers": "{:.0f} layers in FP32",
    "sparsity": "{:.0%} of the convolutions' weights are zero",
    "small_factors": "{:.0%} of the factors are below 0.01",
    "binary_bytes": "{:,.0f} bytes if its bits were stored as such",
}


def _told(row: Mapping[str, Any], first: Mapping[str, Any]) -> str:
    text = f"{row['step']}: {row['file']}: map50_95 {number('map50_95', row['map50_95'])}"
    if row is not first:
        text += f" ({row['map50_95'] - first['map50_95']:+.3f})"
    for name, unit, scale in (("params", "M parameters", 1e6), ("macs", "M MACs", 1e6), ("bytes", "MB", 1e6)):
        if row[name] is not None:
            text += f", {row[name] / scale:.2f} {unit}" if name != "macs" else f", {row[name] / scale:,.0f} {unit}"
    if row["latency_ms"] is not None:
        text += f", {row['latency_ms']:.3g} ms"
        if row is not first and first["latency_ms"]:
            text += f" ({row['latency_ms'] / first['latency_ms']:.2f} times)"
    for other in row["latencies"]:
        if other["latency_ms"] is None:
            text += f"; no latency on {other['runtime']} at {other['image_size']} px: {other['protocol']}"
        elif other is not row["latencies"][0]:
            text += f", {other['latency_ms']:.3g} ms on {other['runtime']} at {other['image_size']} px"
    for metric, words in TOLD.items():
        if metric in row["metrics"]:
            text += f"; {words.format(row['metrics'][metric])}"
    return text + (f"; took {duration(row['seconds'])}" if row["seconds"] >= 1 else "")


def _write(output: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    write_text(output / f"{TABLE}.json", json.dumps({"steps": rows}, indent=1) + "\n")
    write_text(output / f"{TABLE}.csv", _csv(COLUMNS, rows))
    measured = [{"step": row["step"], "file": row["file"], **each} for row in rows for each in row["latencies"]]
    if measured:
        write_text(output / f"{LATENCIES}.csv", _csv(("step", "file", *FIGURES), measured))


def _csv(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
