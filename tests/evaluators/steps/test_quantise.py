"""The step quantise: every precision leaves a file that says and does what it is, and what stays FP32 is written down."""

import ast
import csv

import onnx
import pytest

from evaluators.compression import sensitivity
from evaluators.data import load_dataset
from evaluators.formats.onnx import export_onnx
from evaluators.formats.onnx_layers import layers
from evaluators.formats.onnx_operators import read_network
from evaluators.steps import Bench, Workpiece
from evaluators.steps.quantise import Quantise
from evaluators.training.checkpoint import load_checkpoint

pytestmark = pytest.mark.slow


@pytest.fixture
def piece(checkpoint, small_data, tiny, tmp_path):
    """A trained network, exported."""
    made = Workpiece(tiny, tmp_path, Bench(load_dataset(small_data), 1))
    made.wrote("onnx", export_onnx(load_checkpoint(checkpoint), tmp_path / "model.onnx", 64))
    return made


@pytest.mark.parametrize("precision", ["FP32", "FP16", "INT8", "INT8-dynamic"])
def test_the_file_is_in_the_precision_that_was_asked_for(precision, piece):
    before = piece.artefact("onnx")
    metrics = Quantise(precision=precision, images=4).run(piece)
    path = piece.artefact("onnx")
    assert read_network(path).precision == precision and metrics["file_bytes"] == path.stat().st_size
    assert set(metrics) == set(Quantise.metrics)
    assert metrics["fp32_layers"] == (len(layers(onnx.load(before).graph)) if precision == "FP32" else 0)
    assert (path == before) == (precision == "FP32") and (path.stat().st_size < before.stat().st_size or path == before)


def test_what_stays_in_fp32_is_written_down(piece, monkeypatch):
    """The judge is one that wants three layers; all else is done for real."""
    judged = []

    def judge(document):
        names = [each.name for each in document.graph.initializer if "dfl" not in each.name]
        judged.append(sum(name.endswith(".weight/fp32") for name in names))
        return 0.4 + min(judged[-1], 3) / 100

    monkeypatch.setattr(sensitivity, "judge_on_training", lambda *taken: judge)
    metrics = Quantise(images=4, max_drop=0).run(piece)
    assert metrics["fp32_layers"] == 3
    with open(piece.directory / "sensitivity.csv") as file:
        rows = list(csv.DictReader(file))
    assert [row["stays_fp32"] for row in rows] == ["1"] * 3 + ["0"] * (len(rows) - 3)
    assert len(rows) == len(layers(onnx.load(piece.directory / "model.onnx").graph))
    kept = {entry.key: entry.value for entry in onnx.load(piece.artefact("onnx")).metadata_props}
    assert ast.literal_eval(kept["fp32_layers"]) == [row["layer"] for row in rows[:3]]
    assert read_network(piece.artefact("onnx")).precision == "INT8"


def test_no_more_is_lost_than_may_be(piece):
    """Everything is done for real; after one epoch of training there is next to nothing to lose."""
    metrics = Quantise(images=4, max_drop=0.5).run(piece)
    assert metrics["fp32_layers"] == 0 and (piece.directory / "sensitivity.csv").is_file()
