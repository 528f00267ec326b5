"""A trained model made smaller, step by step, each with its price: mAP, parameters, MACs, bytes and latency of what it leaves.

checkpoint -> given -> prune -> finetune -> export -> quantise      steps of a recipe, in OUTPUT/work; what is done is kept
                |        |         |          |          |
                '--------+---------+----------+----------'--> judged and timed -> OUTPUT/steps.json, steps.csv, steps.png
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from evaluators.compression.pruning import as_architecture
from evaluators.data import Dataset
from evaluators.evaluator import EvaluationError
from evaluators.file_metrics import evaluate_file
from evaluators.formats.network import trained_at
from evaluators.latency import LatencyMeter
from evaluators.recipe import Candidate, Recipe, run_steps
from evaluators.steps import Bench, Workpiece
from evaluators.training.checkpoint import load_checkpoint
from search_spaces import InputError
from search_spaces.files import read_json
from search_spaces.writing import check_tree, own, replacing, write_text

from ..formatting import duration, number
from ..report.compressed import draw_steps

Say = Callable[[str], None]
TABLE, WORK = "steps", "work"
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
    with_latency: bool = True,
    say: Say = print,
    progress: Callable[[int, int], None] | None = None,
) -> list[dict[str, Any]]:
    """Do the steps of a recipe to a checkpoint and judge what each leaves, on the validation split.

    The same call goes on where an earlier one was cut off: steps that are done, and what was judged, are not paid for again.

    Args:
        output: a folder; the one of an earlier call with the same checkpoint and steps, or one that is not there.
        steps: of a recipe, after `given`.
        image_size: pixels; None is what the checkpoint was trained at.
        threads: of PyTorch in training, and of ONNX Runtime, which latency is of.
        batch, seed, training_device: of fine-tuning.

    Returns:
        A row of `COLUMNS` for the checkpoint and for every step; `protocol` says how latency was measured.

    Raises:
        InputError: a checkpoint whose channels are not known here, steps that do not fit, a folder that holds something else.
        EvaluationError: a step cannot be done to this network.
    """
    output = Path(output)
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
    _check_output(output)
    output.mkdir(parents=True, exist_ok=True)
    write_text(output / MARK, "what `evoyolo compress` writes here it may replace\n")
    (output / WORK).mkdir(exist_ok=True)
    bench = Bench(dataset, 1, batch=batch, device=training_device, threads=threads, seed=seed)
    table = _Table(output, str(checkpoint), dataset, size, threads, with_latency, say, progress)
    piece = Workpiece(architecture, output / WORK, bench)

    def judge(position: int, record: Mapping[str, Any]) -> None:
        table.add(position, record["step"], record, list(piece.artefacts.values())[-1])
        if position + 1 < len(recipe.steps):
            say(f"step {position + 1} of {len(recipe.steps) - 1}: {recipe.steps[position + 1].name}")

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
        with_latency: bool,
        say: Say,
        progress: Callable[[int, int], None] | None,
    ) -> None:
        self.output, self.checkpoint, self.dataset, self.size, self.threads = output, checkpoint, dataset, size, threads
        self.with_latency, self.say, self.progress = with_latency, say, progress
        self.rows: list[dict[str, Any]] = []
        self._known = {row["digest"]: row for row in _rows(output)}
        self._meter: LatencyMeter | None = None

    def add(self, position: int, step: str, record: Mapping[str, Any], made: Path) -> None:
        """Judge what a step has left, unless an earlier call has; say it and write it down."""
        kept = made if position == 0 else _named(self.output, f"{position}-{step}{made.suffix}", made)
        asked = [record["digest"], self.size, self.threads, self.with_latency]
        digest = hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:16]
        row = self._known.get(digest) or self._judged(kept)
        name = self.checkpoint if position == 0 else kept.name
        row |= {"step": step if position else "untouched", "file": name, "seconds": record["seconds"], "digest": digest}
        self.rows.append(row)
        self.say(_told(row, self.rows[0]))
        _write(self.output, self.rows)

    def _judged(self, file: Path) -> dict[str, Any]:
        if self.with_latency and self._meter is None:
            self._meter = LatencyMeter(threads=self.threads, num_classes=self.dataset.num_classes)
        found = evaluate_file(
            file, self.dataset, threads=self.threads, image_size=self.size, with_latency=False, progress=self.progress
        )
        figures = {name: getattr(found, name) for name in ("map50_95", "map50", "params", "macs", "zeros", "bytes")}
        return {**figures, **_latency(self._meter, file, self.size, found.precision)}


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
    whole = {*COLUMNS, "digest"}
    return [row for row in rows or () if isinstance(row, dict) and whole <= row.keys()]


def _named(output: Path, name: str, made: Path) -> Path:
    """The artefact of a step under a name that says which one it is of: further steps may write over theirs."""
    kept = own(output / name, output)
    if not kept.exists() or kept.stat().st_mtime < made.stat().st_mtime or kept.stat().st_size != made.stat().st_size:
        with replacing(kept) as file:
            file.write_bytes(made.read_bytes())
    return kept


def _latency(meter: LatencyMeter | None, file: Path, size: int, precision: str) -> dict[str, Any]:
    """Of a checkpoint as ONNX Runtime runs its export, so that all rows are of one runtime."""
    nothing = dict.fromkeys(("latency_ms", "latency_q25_ms", "latency_q75_ms", "protocol"))
    if meter is None:
        return nothing
    try:
        if file.suffix == ".pt":
            found = meter.measure(load_checkpoint(file), size)
        else:
            found = meter.measure_file(file, size, precision)
    except EvaluationError as error:  # a busy machine does not cost what was judged
        return {**nothing, "protocol": str(error)}
    values = {"latency_ms": found.median_ms, "latency_q25_ms": found.q25_ms, "latency_q75_ms": found.q75_ms}
    return {**values, "protocol": found.protocol}


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
    elif row["protocol"]:
        text += f"; {row['protocol']}"
    return text + (f"; took {duration(row['seconds'])}" if row["seconds"] >= 1 else "")


def _write(output: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    write_text(output / f"{TABLE}.json", json.dumps({"steps": rows}, indent=1) + "\n")
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(output / f"{TABLE}.csv", text.getvalue())
