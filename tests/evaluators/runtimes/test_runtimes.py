"""Runtimes: found by themselves, refused with reasons, and one compiled network behind timing and answers."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from evaluators import runtimes
from evaluators.formats import FORMATS, export
from evaluators.latency import stirred
from evaluators.runtimes.runtime import fixed_image
from search_spaces import YoloSpace, build_model

pytestmark = pytest.mark.slow

SHAPE = (1, 3, 64, 96)
PRECISIONS = [
    ("ncnn", "FP32", 1e-3),
    ("ncnn", "FP16", 0.2),
    ("onnxruntime", "FP32", 1e-3),
    ("openvino", "FP32", 1e-3),
    ("openvino", "FP16", 0.2),
    ("pytorch", "FP32", 1e-3),
    ("pytorch", "FP16", 0.2),
]


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return stirred(build_model(YoloSpace().preset("yolov8-w1/16"), 3))


@pytest.fixture(scope="module")
def files(model, tmp_path_factory):
    """kind -> path of the model in that format."""
    folder = tmp_path_factory.mktemp("files")
    names = export(model, list(FORMATS), folder, "model", SHAPE[2:])
    return {kind: folder / name for kind, name in names.items()}


def difference(found, expected):
    """The largest one, of boxes as a share of the image."""
    distance = np.abs(found - expected)
    distance[:, :4] /= max(SHAPE[2:])
    return distance.max()


def openvino_has():
    import openvino

    return openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def test_every_module_with_a_runtime_is_found():
    assert list(runtimes.RUNTIMES) == ["ncnn", "onnxruntime", "openvino", "pytorch"]
    assert runtimes.runtime("ncnn").kind == "ncnn"


def test_a_runtime_reads_files_as_they_are_written():
    assert {(r.kind, r.suffix) for r in runtimes.RUNTIMES.values()} <= set(FORMATS.items())


@pytest.mark.parametrize(("name", "precision", "tolerance"), PRECISIONS)
def test_answers_are_the_network_s_in_pytorch(name, precision, tolerance, model, files):
    pytest.importorskip({"pytorch": "torch"}.get(name, name))
    session = runtimes.open_session(name, files[runtimes.runtime(name).kind], SHAPE, 1, "cpu", precision)
    image = np.random.default_rng(3).random(SHAPE, dtype=np.float32)
    with torch.no_grad():
        expected = model(torch.from_numpy(image))[0].numpy()
    found = session.infer(image)
    assert found.dtype == np.float32 and found.shape == expected.shape
    if name == "openvino" and precision == "FP16" and "FP16" not in openvino_has():
        tolerance = 1.0  # it takes bfloat16 instead, whose 8 bits this network makes much of
    assert difference(found, expected) < tolerance
    session.run()  # between them, on an image of its own
    assert np.array_equal(session.infer(image), found)
    kept = found.copy()
    session.infer(fixed_image(SHAPE))
    assert np.array_equal(found, kept)  # the caller's own: later runs leave it alone


def test_the_timed_image_is_always_the_same(files):
    assert np.array_equal(fixed_image(SHAPE), fixed_image(SHAPE)) and 0 <= fixed_image(SHAPE).min() < 0.01
    session = runtimes.open_session("openvino", files["onnx"], SHAPE, 1, "cpu", "FP32")
    session.infer(np.zeros(SHAPE, np.float32))
    session.run()
    timed = session._request.get_output_tensor().data
    assert difference(timed.copy(), session.infer(fixed_image(SHAPE))) < 1e-6


@pytest.mark.parametrize(("name", "module", "package"), [("onnxruntime",) * 3, ("openvino",) * 3, ("ncnn",) * 3])
def test_a_runtime_that_is_not_installed_says_what_to_do(name, module, package, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(runtimes.Unavailable, match=f"pip install {package}"):
        runtimes.open_session(name, "x", SHAPE, 1, "cpu", "FP32")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("tflite", "cpu", "FP32"), "no runtime 'tflite'; there are ncnn, onnxruntime, openvino, pytorch"),
        (("ncnn", "tpu", "FP32"), "ncnn runs on cpu, not on 'tpu'"),
        (("ncnn", "cpu", "INT8"), "ncnn is measured in FP32, FP16, not in INT8"),
        (("onnxruntime", "cpu", "FP16"), "FP16 on tensorrt only, not on cpu"),
    ],
)
def test_what_a_runtime_has_not_is_said(arguments, message):
    with pytest.raises(runtimes.Unavailable, match=message):
        runtimes.check(*arguments)


def test_the_page_on_latency_says_what_the_runtimes_say():
    text = (Path(__file__).parents[3] / "docs" / "latency.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| ([^|]+) \| ([^|]+) \|", text, re.MULTILINE)
    assert rows
    for name, devices, precisions in rows:
        runtime = runtimes.runtime(name)
        assert tuple(devices.strip().split(", ")) == runtime.devices
        assert set(re.findall(r"FP32|FP16|INT8", precisions)) == set(runtime.precisions)
