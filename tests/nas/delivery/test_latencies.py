"""Latencies of files: on every runtime that reads them, at sizes that they have, and what was measured is not measured again."""

from types import SimpleNamespace

import pytest

from evaluators.evaluator import EvaluationError
from evaluators.formats.onnx import export_onnx
from evaluators.training.checkpoint import load_checkpoint
from nas.delivery import latencies as module
from nas.delivery.latencies import FIGURES, Latencies
from search_spaces import InputError


@pytest.fixture
def measured(monkeypatch):
    """What was measured; a meter that takes a model's pixels for milliseconds, and finds the machine busy at 96 pixels."""
    done = []

    class Meter:
        def __init__(self, runtime, device, precision, threads, num_classes, activations=None):
            self.made_with = (runtime, precision, activations)

        def measure(self, model, size, precision=None):
            done.append((*self.made_with, size))
            if size == 96:
                raise EvaluationError("latency: the machine is busy")
            return SimpleNamespace(
                median_ms=size, q25_ms=size - 1, q75_ms=size + 1, protocol=f"as {self.made_with[0]} does"
            )

        measure_file = measure

    monkeypatch.setattr(module, "LatencyMeter", Meter)
    return done


def test_a_checkpoint_is_measured_on_all_runtimes_at_all_sizes(measured, checkpoint):
    found = Latencies(["onnxruntime", "ncnn"], [128, 64], 1, 4).of(checkpoint, "FP32", 64)
    assert [(each["runtime"], each["image_size"], each["latency_ms"]) for each in found] == [
        ("onnxruntime", 64, 64), ("onnxruntime", 128, 128), ("ncnn", 64, 64), ("ncnn", 128, 128),
    ]  # fmt: skip
    assert all(tuple(each) == FIGURES for each in found) and found[2]["protocol"] == "as ncnn does"


def test_what_cannot_be_measured_says_why(measured, checkpoint, tmp_path):
    file = export_onnx(load_checkpoint(checkpoint), tmp_path / "model.onnx", 64)
    found = Latencies(["onnxruntime", "ncnn"], [128], 1, 4).of(file, "INT8", 64)
    assert [each["latency_ms"] for each in found] == [64, None, None, None]
    assert [each["protocol"] for each in found[1:3]] == ["the file is of 64 px", "ncnn does not read .onnx files"]
    (busy,) = Latencies(["onnxruntime"], [], 1, 4).of(checkpoint, "FP32", 96)
    assert busy["latency_ms"] is None and busy["protocol"] == "latency: the machine is busy"


def test_only_what_is_missing_is_measured(measured, checkpoint):
    timing = Latencies(["onnxruntime"], [96, 128], 1, 4)
    found = timing.of(checkpoint, "FP32", 64)
    measured.clear()
    assert timing.of(checkpoint, "FP32", 64, found) == found
    assert [each[-1] for each in measured] == [96]
    assert Latencies([], [], 1, 4).of(checkpoint, "FP32", 64, found) == [each for each in found if each["latency_ms"]]


def test_what_there_cannot_be_is_named():
    with pytest.raises(InputError, match="no runtime 'tflite'; there are"):
        Latencies(["tflite"], [], 1, 4)
    with pytest.raises(InputError, match="100"):
        Latencies(["onnxruntime"], [100], 1, 4)
