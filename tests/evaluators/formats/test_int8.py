"""INT8 and FP16: what is in the files, that they compute about the same, and that a file says which it is."""

import shutil

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from evaluators.formats.fp16 import halve_onnx
from evaluators.formats.int8 import calibrate, quantise_dynamically, quantise_onnx
from evaluators.formats.onnx import export_onnx, onnx_facts, stirred
from evaluators.formats.onnx_layers import layers, raw_outputs
from evaluators.formats.onnx_operators import read_network
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


def run(document, folder):
    path = folder / "made.onnx"
    onnx.save(document, path)
    return open_session("onnxruntime", str(path), (1, 3, SIZE, SIZE), 1, "cpu", "FP32").infer(IMAGES[:1])


def test_nodes_stay_in_fp32_without_another_calibration(exported, tmp_path):
    fp32, expected = exported
    network = calibrate(fp32, IMAGES, "unsigned-reduced")
    eight = run(network.mixed(), tmp_path)
    plain = network.mixed(network.nodes)
    np.testing.assert_allclose(run(plain, tmp_path), expected, rtol=1e-4, atol=1e-3)
    assert not {"QuantizeLinear", "DequantizeLinear"} & {node.op_type for node in plain.graph.node}
    found = layers(network.plain.graph)
    first = run(network.mixed(found["/model.0/conv/Conv"]), tmp_path)
    assert np.abs(first - eight).max() > 0 and np.abs(first - expected).max() > 0
    for document in (plain, network.mixed(found["/model.0/conv/Conv"])):  # and nothing is left in it that nothing reads
        onnx.checker.check_model(document)
        read = {name for node in document.graph.node for name in node.input}
        assert {each.name for each in document.graph.initializer} <= read
        assert {entry.key for entry in document.metadata_props} >= {"names", "imgsz", "activations"}


def test_distributions_over_bins_are_decoded_in_fp32(exported):
    """The convolution of DFL has no learnt weights: it is a part of the decoding."""
    network = calibrate(exported[0], IMAGES[:1], "unsigned")
    names = [node.name for node in network.plain.graph.node if node.op_type == "Conv"]
    (expectation,) = set(names) - set(layers(network.plain.graph))
    assert "dfl" in expectation and expectation not in network.nodes
    outputs = raw_outputs(network.plain.graph)
    given = {name: node for node in network.plain.graph.node for name in node.output}
    reading = {node.name: node for node in network.plain.graph.node}
    assert len(outputs) == 6  # boxes and scores of three levels
    assert all(given[reading[node].input[position]].op_type == "Conv" for node, position in outputs)


@pytest.mark.parametrize(("form", "precision"), [(halve_onnx, "FP16"), (quantise_dynamically, "INT8-dynamic")])
def test_other_forms_are_what_they_are_called(form, precision, exported, tmp_path):
    fp32, expected = exported
    path = shutil.copyfile(fp32, tmp_path / "other.onnx")
    form(path)
    before, network = read_network(fp32), read_network(path)
    assert (before.precision, network.precision) == ("FP32", precision)
    assert (network.macs, network.params, network.others) == (before.macs, before.params, ())
    assert sorted(o.kind for o in network.operators) == sorted(o.kind for o in before.operators)
    assert abs(network.zeros - before.zeros) < 0.05
    assert onnx_facts(path) == onnx_facts(fp32) and path.stat().st_size < 0.8 * fp32.stat().st_size
    session = onnx.load(path).graph
    assert {e.type.tensor_type.elem_type for e in (*session.input, *session.output)} == {onnx.TensorProto.FLOAT}
    found = open_session("onnxruntime", str(path), (1, 3, SIZE, SIZE), 1, "cpu", "FP32").infer(IMAGES[:1])
    difference = np.abs(found - expected)
    assert 0 < difference[:, :4].mean() / SIZE < 0.05 and difference[:, 4:].mean() < 0.05
