"""The forms of INT8: what is in the files, that they compute about the same, and that a file says which it is."""

import shutil

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from evaluators.formats.int8 import quantise_onnx
from evaluators.formats.onnx import export_onnx, stirred
from evaluators.latency import agent
from evaluators.latency.agent import machine
from evaluators.runtimes import open_session
from search_spaces import build_model

SIZE = 64
IMAGES = np.random.default_rng(0).random((4, 3, SIZE, SIZE), dtype=np.float32)


@pytest.fixture(scope="module")
def exported(tiny, tmp_path_factory):
    """The FP32 file, and what it gives for the first image."""
    torch.manual_seed(0)
    path = export_onnx(stirred(build_model(tiny, 3)), tmp_path_factory.mktemp("forms") / "fp32.onnx", SIZE)
    return path, open_session("onnxruntime", str(path), (1, 3, SIZE, SIZE), 1, "cpu", "FP32").infer(IMAGES[:1])


def numbers(path):
    """(types of the activations' zero points, all weights) of a quantised file."""
    document = onnx.load(path)
    held = {tensor.name: numpy_helper.to_array(tensor) for tensor in document.graph.initializer}
    activations = {held[n.input[2]].dtype.name for n in document.graph.node if n.op_type == "QuantizeLinear"}
    weights = [held[n.input[0]] for n in document.graph.node if n.op_type == "DequantizeLinear" and n.input[0] in held]
    kept = {entry.key: entry.value for entry in document.metadata_props}
    return activations, np.concatenate([w.ravel() for w in weights if w.dtype == np.int8]), kept


@pytest.mark.parametrize(
    ("form", "kind", "largest"), [("signed", "int8", 127), ("unsigned", "uint8", 127), ("unsigned-reduced", "uint8", 64)]
)  # fmt: skip
def test_every_form_is_what_it_is_called(form, kind, largest, exported, tmp_path):
    fp32, expected = exported
    path = shutil.copyfile(fp32, tmp_path / "int8.onnx")
    quantise_onnx(path, IMAGES, form)
    activations, weights, kept = numbers(path)
    assert activations == {kind} and largest // 2 < np.abs(weights.astype(int)).max() <= largest
    assert kept["activations"] == form and kept["names"] == "{0: '0', 1: '1', 2: '2'}"
    found = open_session("onnxruntime", str(path), (1, 3, SIZE, SIZE), 1, "cpu", "INT8").infer(IMAGES[:1])
    assert 0 < np.abs(found - expected)[:, :4].mean() / SIZE < 0.1 and np.abs(found - expected)[:, 4:].mean() < 0.1


@pytest.mark.parametrize(
    ("architecture", "flags", "device", "form"),
    [
        ("x86_64", "fpu avx2 avx512f avx512_vnni", "cpu", "unsigned"),
        ("AMD64", "fpu avx2 avx_vnni", "cpu", "unsigned"),
        ("x86_64", "fpu avx2 avx512f", "cpu", "unsigned-reduced"),
        ("x86_64", None, "cpu", "unsigned-reduced"),
        ("aarch64", None, "cpu", "signed"),
        ("arm64", None, "cpu", "signed"),
        ("x86_64", "fpu avx512_vnni", "tensorrt", "signed"),
    ],
)
def test_the_form_suits_the_processor(architecture, flags, device, form, tmp_path, monkeypatch):
    cpuinfo = tmp_path / "cpuinfo"
    if flags:
        cpuinfo.write_text(f"processor\t: 0\nvendor_id\t: x\nflags\t\t: {flags}\nprocessor\t: 1\n")
    monkeypatch.setattr(machine.platform, "machine", lambda: architecture)
    monkeypatch.setattr(machine, "open", lambda path, **options: cpuinfo.open(), raising=False)
    assert agent.suiting_activations(device) == form and form in agent.ACTIVATIONS
