"""Measuring small networks for real, with every runtime that is installed."""

import numpy as np
import pytest
import torch

from evaluators import runtimes
from evaluators.evaluator import EvaluationError
from evaluators.formats import export
from evaluators.latency import LatencyMeter, agent, onnx_difference, stirred
from evaluators.latency.agent import protocol
from search_spaces import InputError, YoloSpace, build_model

pytestmark = pytest.mark.slow

MODULES = {"onnxruntime": "onnxruntime", "openvino": "openvino", "ncnn": "ncnn", "pytorch": "torch"}


@pytest.fixture(autouse=True)
def brief(monkeypatch):
    for name in ("WARMUP_SECONDS", "MODEL_SECONDS", "USUAL_SECONDS"):
        monkeypatch.setattr(protocol, name, 0.05)
    for name, value in {"LIMIT_SECONDS": 1.0, "WAIT_SECONDS": 0.2, "WIDEST": 50.0}.items():  # the tests share a machine
        monkeypatch.setattr(protocol, name, value)


@pytest.fixture(scope="module")
def small():
    torch.manual_seed(0)
    return stirred(build_model(YoloSpace().preset("yolov8-w1/16"), 3))


@pytest.mark.parametrize("runtime", runtimes.RUNTIMES)
def test_a_figure_says_what_it_depends_on(runtime, small):
    pytest.importorskip(MODULES[runtime])
    if runtime == "ncnn":
        pytest.importorskip("pnnx")
    meter = LatencyMeter(runtime, threads=1, num_classes=3)
    latency = meter.measure(small, 64)
    assert 0 < latency.q25_ms <= latency.median_ms <= latency.q75_ms
    assert latency.runtime.startswith(f"{runtime} ") and latency.device == agent.device_name()
    assert (latency.precision, latency.threads, latency.batch, latency.image_size) == ("FP32", 1, 1, (64, 64))
    assert "without NMS" in latency.timed
    assert latency.rounds >= protocol.SLOW_ROUNDS and latency.repeats >= latency.rounds and latency.warmup > 0
    assert meter.measure(small, 320).median_ms > 2 * latency.median_ms


def test_figures_are_corrected_to_the_reference(small):
    plain = LatencyMeter(threads=1, num_classes=3)
    doubled = LatencyMeter(threads=1, num_classes=3, reference_ms=2 * plain.reference_ms)
    assert doubled.measure(small, 64).median_ms == pytest.approx(2 * plain.measure(small, 64).median_ms, rel=0.5)


def test_the_model_is_left_as_it_is(small):
    before = {key: value.clone() for key, value in small.state_dict().items()}
    LatencyMeter(threads=1, num_classes=3).measure(small, 64)
    assert all(torch.equal(before[key], value) for key, value in small.state_dict().items())


def test_int8_is_another_network_with_about_the_same_outputs(small, tmp_path):
    images = np.random.default_rng(0).random((4, 3, 96, 96), dtype=np.float32)
    name = export(small, ["onnx"], tmp_path, "int8", 64, "INT8", images)["onnx"]
    import onnx

    operators = {node.op_type for node in onnx.load(tmp_path / name).graph.node}
    assert "QuantizeLinear" in operators
    assert onnx_difference(small, tmp_path / name, 64) > 1e-3
    session = __import__("onnxruntime").InferenceSession(str(tmp_path / name), providers=["CPUExecutionProvider"])
    quantised = session.run(None, {"images": images[:1, :, :64, :64]})[0]
    with torch.no_grad():
        exact = small(torch.from_numpy(images[:1, :, :64, :64]))[0].numpy()
    assert np.abs(quantised - exact)[:, :4].mean() / 64 < 0.05 and np.abs(quantised - exact)[:, 4:].mean() < 0.1
    meter = LatencyMeter(precision="INT8", threads=1, num_classes=3)
    latency = meter.measure(small, 64, images)
    assert latency.precision == "INT8" and latency.activations == agent.suiting_activations()
    assert f"INT8 ({latency.activations} activations)" in latency.protocol


def test_int8_needs_images_and_a_runtime_that_has_it(small):
    with pytest.raises(InputError, match="INT8 needs calibration images; --data"):
        LatencyMeter(precision="INT8", threads=1).measure(small, 64)
    with pytest.raises(InputError, match="pytorch is measured in FP32, FP16, not in INT8"):
        LatencyMeter("pytorch", precision="INT8", threads=1).measure(small, 64)


def test_what_is_missing_is_said(monkeypatch):
    with pytest.raises(InputError, match="no runtime 'tflite'; there are ncnn, onnxruntime, openvino, pytorch"):
        LatencyMeter("tflite")
    with pytest.raises(InputError, match="ONNX Runtime .* has no provider for 'cuda' here"):
        LatencyMeter(device="cuda")


def test_a_model_that_the_runtime_refuses_is_an_evaluation_error(small, monkeypatch):
    meter = LatencyMeter(threads=1, num_classes=3)

    def refuse(*arguments):
        raise RuntimeError("no kernel\nand a long story")

    monkeypatch.setattr(runtimes, "open_session", refuse)
    with pytest.raises(EvaluationError, match="^latency: RuntimeError: no kernel$"):
        meter.measure(small, 64)


def test_a_figure_of_a_disturbed_machine_says_so(small):
    meter = LatencyMeter(threads=1, num_classes=3)
    meter.reference_ms *= 0.1  # as if the reference usually took a tenth of the time
    assert meter.measure(small, 64).disturbed
    meter.reference_ms *= 1000  # as if it usually took a hundred times as long
    assert not meter.measure(small, 64).disturbed
