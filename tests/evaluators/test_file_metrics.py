"""One model file judged as it is: the figures are those of that very file, and whatever cannot be judged is refused."""

import dataclasses
import shutil

import numpy as np
import pytest

from evaluators import EvaluationError, complexity
from evaluators.accuracy import coco_map
from evaluators.accuracy.detections import open_predictor
from evaluators.data import load_dataset
from evaluators.file_metrics import evaluate_file
from evaluators.formats import export
from evaluators.formats.fp16 import halve_onnx
from evaluators.formats.int8 import quantise_onnx
from evaluators.latency import LatencyMeter
from evaluators.training.checkpoint import load_checkpoint
from search_spaces import InputError

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def dataset(small_data):
    return load_dataset(small_data)


@pytest.fixture(scope="module")
def files(checkpoint, tmp_path_factory):
    """Format -> file of one network; "int8" is the quantised ONNX file, "openvino" OpenVINO's own."""
    folder = tmp_path_factory.mktemp("files")
    model = load_checkpoint(checkpoint)
    names = export(model, ["onnx", "torchscript", "openvino"], folder, "model", 64)
    images = np.random.default_rng(0).random((4, 3, 64, 64), np.float32)
    names["int8"] = export(model, ["onnx"], folder, "int8", 64, "INT8", images)["onnx"]
    found = {kind: folder / name for kind, name in names.items()}
    return {**found, "checkpoint": checkpoint}


def test_every_kind_of_file_is_judged_as_it_is(files, dataset, tiny):
    found = {
        kind: evaluate_file(path, dataset, with_latency=False, trust=True, image_size=64)
        for kind, path in files.items()
    }
    for kind, path in files.items():
        expected = coco_map(open_predictor(path, image_size=64), dataset)
        assert found[kind].map50_95 == pytest.approx(expected["map50_95"], abs=1e-9), kind
        assert (found[kind].images, found[kind].image_size, found[kind].latency) == (8, (64, 64), None)
    runtimes = {kind: (each.runtime, each.precision) for kind, each in found.items()}
    assert runtimes == {
        "checkpoint": ("pytorch", "FP32"),
        "onnx": ("onnxruntime", "FP32"),
        "int8": ("onnxruntime", "INT8"),
        "openvino": ("openvino", "FP32"),
        "torchscript": ("pytorch", "FP32"),
    }
    costs = complexity([tiny], dataset.num_classes)
    assert found["checkpoint"].params == costs.params[0]
    assert {found[kind].macs for kind in ("checkpoint", "onnx", "int8")} == {costs.macs[0]}
    assert found["openvino"].macs is None and found["torchscript"].params is None
    assert found["int8"].bytes < found["onnx"].bytes == files["onnx"].stat().st_size
    assert found["openvino"].bytes == sum(files["openvino"].with_suffix(s).stat().st_size for s in (".xml", ".bin"))


def test_zeros_are_counted_whatever_form_they_are_in(checkpoint, dataset, tmp_path):
    model = load_checkpoint(checkpoint)
    convolutions = [m for m in model.modules() if type(m).__name__ == "Conv2d"]
    for module in convolutions:
        module.weight.data[:, ::2] = 0
    zero = sum(int((m.weight == 0).sum()) for m in convolutions)
    images = np.random.default_rng(0).random((4, 3, 64, 64), np.float32)
    plain = tmp_path / export(model, ["onnx"], tmp_path, "plain", 64)["onnx"]
    eight = tmp_path / export(model, ["onnx"], tmp_path, "eight", 64, "INT8", images)["onnx"]
    for path in (plain, eight):
        found = evaluate_file(path, dataset, with_latency=False)
        assert found.zeros * found.params >= 0.98 * zero, path  # biases are not zero
        assert found.zeros < 0.75


def test_it_is_timed_where_it_is_judged_and_a_busy_machine_costs_the_latency_only(files, dataset, monkeypatch):
    asked = []

    def busy(self, path, image_size, precision):
        asked.append((self.runtime, self.precision, precision, self.threads, path, image_size))
        raise EvaluationError("latency: Unstable: something else uses this machine")

    monkeypatch.setattr(LatencyMeter, "measure_file", busy)
    found = evaluate_file(files["int8"], dataset, threads=1, runtime="openvino")
    assert asked == [("openvino", "INT8", "INT8", 1, files["int8"], (64, 64))]
    assert found.runtime == "openvino" and found.latency is None and "something else uses" in found.no_latency


def test_what_cannot_be_judged_is_refused(files, dataset, tmp_path):
    with pytest.raises(InputError, match=r"model.torchscript: is a program, .*; --trust opens it"):
        evaluate_file(files["torchscript"], dataset, image_size=64)
    with pytest.raises(InputError, match=r"model.openvino.xml: does not say which image size"):
        evaluate_file(files["openvino"], dataset)
    with pytest.raises(InputError, match="openvino reads .onnx or .xml files"):
        evaluate_file(files["torchscript"], dataset, runtime="openvino", image_size=64)
    fewer = dataclasses.replace(dataset, names=dataset.names[:2])
    with pytest.raises(InputError, match=r"model.onnx: detects 4 classes, and the dataset .* has 2"):
        evaluate_file(files["onnx"], fewer, with_latency=False)
    turned = dataclasses.replace(dataset, names=dataset.names[::-1])
    with pytest.raises(InputError, match=r"model.onnx: has its classes in another order \(0, 1, 2 and 3\) than"):
        evaluate_file(files["onnx"], turned, with_latency=False)


def test_the_command(files, small_data, tmp_path, capsys, monkeypatch):
    import json

    from nas.cli.main import main

    monkeypatch.chdir(tmp_path)
    command = ["evaluate", str(files["onnx"]), "--data", str(small_data), "--no-latency", "--output", "found.json"]
    assert main(command) == 0
    said = capsys.readouterr().out
    (entry,) = json.loads((tmp_path / "found.json").read_text())["files"]
    assert f"map50_95 {entry['map50_95']:.3f}" in said and "on 8 images (val); onnxruntime, FP32, 64 x 64 px" in said
    assert f"{entry['params']:,} weights" in said and "wrote found.json" in said and "zero" not in said
    assert main(command) == 1
    assert "found.json exists; it is left as it is" in capsys.readouterr().err
    assert main(["evaluate", "gone.onnx", "--data", str(small_data)]) == 1
    assert "gone.onnx: no such file" in capsys.readouterr().err


def test_a_file_in_halves_is_called_so_whatever_the_runtime_makes_of_it(files, dataset, tmp_path, monkeypatch):
    path = shutil.copyfile(files["onnx"], tmp_path / "half.onnx")
    halve_onnx(path)
    asked = []

    def busy(self, path, image_size, precision):
        asked.append((self.runtime, self.precision, precision))
        raise EvaluationError("latency: busy")

    monkeypatch.setattr(LatencyMeter, "measure_file", busy)
    for runtime, precision in ((None, None), (None, "FP16"), ("openvino", None)):
        assert evaluate_file(path, dataset, runtime=runtime, precision=precision, threads=1).precision == "FP16"
    # ONNX Runtime has no such setting on a CPU, OpenVINO has one
    assert asked == [("onnxruntime", "FP32", "FP16")] * 2 + [("openvino", "FP16", "FP16")]


def test_latency_is_labelled_with_the_form_of_int8_that_the_file_has(files, dataset, tmp_path, monkeypatch):
    made = []

    class Meter:
        def __init__(self, *settings, activations=None):
            made.append((settings[2], activations))

        def measure_file(self, path, size, precision):
            raise EvaluationError("nothing is measured here")

    monkeypatch.setattr("evaluators.file_metrics.LatencyMeter", Meter)
    path = shutil.copyfile(files["onnx"], tmp_path / "signed.onnx")
    quantise_onnx(path, np.random.default_rng(0).random((4, 3, 64, 64), np.float32), "signed")
    evaluate_file(path, dataset, image_size=64)
    evaluate_file(files["onnx"], dataset, image_size=64)
    assert made == [("INT8", "signed"), ("FP32", None)]
