"""ONNX files read as operators: what they say equals what layer graphs say, and strangers' networks are counted by hand."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from evaluators import complexity
from evaluators.formats.network import network_in, trained_at
from evaluators.formats.onnx import export_onnx
from evaluators.formats.onnx_operators import read_network
from evaluators.latency.features import TERMS, kind_of, operator_work, work_of
from search_spaces import InputError, YoloSpace, build_model

SPACE = YoloSpace()


def differences(architecture, folder, classes=5):
    """The terms that a file of the architecture's network has otherwise than its graph, and the file's network."""
    path = export_onnx(build_model(architecture, classes), folder / "model.onnx", architecture["image_size"])
    network = read_network(path)
    ours = work_of(network.operators, network.image.height * network.image.width)
    graphs = operator_work([architecture], classes)
    assert ours.pixels == graphs.pixels
    return [term for term, a, b in zip(TERMS, ours.table[0], graphs.table[0]) if not np.isclose(a, b)], network


@pytest.mark.parametrize("name", ["yolov8n", "light-recipe", "csppc-adown"])
def test_a_file_s_operators_are_those_of_the_graph(name, tmp_path):
    architecture = SPACE.preset(name, image_size=64)
    differ, network = differences(architecture, tmp_path)
    costs = complexity([architecture], 5)
    assert differ == [] and network.macs == costs.macs[0] and not network.others and network.precision == "FP32"
    # normalisation is two numbers per channel until it is folded into a bias
    assert 0.98 * costs.params[0] < network.params < costs.params[0]


@pytest.mark.slow
def test_so_are_those_of_random_architectures(tmp_path):
    """Of three; benchmarks/latency_strangers.py compares as many as one likes."""
    within = SPACE.restrict({"image_size": [64, 96]})
    for seed in range(3):
        architecture = SPACE.adopt(within.sample(seed))
        differ, network = differences(architecture, tmp_path)
        assert differ == [] and network.macs == complexity([architecture], 5).macs[0], architecture.to_dict()


@pytest.mark.slow
def test_the_eight_bit_form_of_a_file_has_the_same_operators(tmp_path):
    from evaluators.formats.int8 import quantise_onnx

    path = export_onnx(build_model(SPACE.preset("csppc", image_size=64), 5), tmp_path / "model.onnx", 64)
    plain = read_network(path)
    quantise_onnx(path, np.random.default_rng(0).random((2, 3, 64, 64), np.float32), "signed")
    network = read_network(path)
    assert network.precision == "INT8" and network.macs == plain.macs
    assert sorted(map(kind_of, network.operators)) == sorted(map(kind_of, plain.operators))


def file_of(folder, nodes, image=(1, 3, 8, 8), weights=(), output="y", inputs=("x",)):
    """An ONNX file of these nodes; weights are (name, shape)."""
    graph = helper.make_graph(
        nodes,
        "made",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, image) for name in inputs],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)],
        [helper.make_tensor(n, TensorProto.FLOAT, shape, np.zeros(shape).ravel()) for n, shape in weights],
    )
    path = folder / "made.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), path)
    return path


def test_a_strangers_network_is_counted(tmp_path):
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["c"], kernel_shape=[1, 3], pads=[0, 1, 0, 1]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("ConvTranspose", ["r", "t"], ["up"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Mul", ["up", "s"], ["scaled"]),  # with a constant: folded
        helper.make_node("LayerNormalization", ["scaled", "n"], ["normed"]),
        helper.make_node("Reshape", ["normed", "form"], ["rows"]),
        helper.make_node("Transpose", ["rows"], ["columns"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["rows", "columns"], ["attention"]),
        helper.make_node("MatMul", ["attention", "m"], ["y"]),
    ]
    weights = [("w", (4, 3, 1, 3)), ("b", (4,)), ("t", (4, 2, 2, 2)), ("s", (1,)), ("n", (16,)), ("m", (2, 6))]
    path = file_of(tmp_path, nodes, weights=weights)
    document = onnx.load(path)
    document.graph.initializer.append(helper.make_tensor("form", TensorProto.INT64, (3,), [1, 2, 256]))
    onnx.save(document, path)
    network = read_network(path)
    conv, up, product, learnt = (4 * 3 * 3) * 64, (4 * 2 * 4) * 64, 2 * 2 * 256, 2 * 2 * 6
    assert network.macs == conv + up + product + learnt
    assert network.params == 36 + 4 + 32 + 12
    assert network.others == ("LayerNormalization",)
    assert [kind_of(o) for o in network.operators] == ["dense", "pointwise", "arithmetic", "pointwise", "pointwise"]
    assert [o.weights for o in network.operators][-2:] == [0, 12]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image": (1, 3, "height", 8)}, r"takes an image of 1 x 3 x \? x 8; it must be of one size"),
        ({"image": (4, 3, 8, 8)}, "takes an image of 4 x 3 x 8 x 8; it must be"),
        ({"image": (1, 8)}, "takes an image of 1 x 8; it must be"),
        ({"inputs": ("x", "z")}, "takes 2 inputs; a detector takes one"),
    ],
)
def test_what_cannot_be_counted_is_refused_with_what_it_must_be(tmp_path, options, message):
    path = file_of(tmp_path, [helper.make_node("Relu", ["x"], ["y"])], **options)
    with pytest.raises(InputError, match=f"made.onnx: {message}"):
        read_network(path)


def test_a_file_whose_shapes_cannot_be_told_leaves_nothing_where_the_user_is(tmp_path, monkeypatch):
    path = file_of(tmp_path, [helper.make_node("Stranger", ["x"], ["y"])])
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(InputError, match=r"made.onnx: its shapes cannot be told"):
        read_network(path)
    assert not list(Path.cwd().iterdir())


def test_files_of_other_kinds(tmp_path):
    (tmp_path / "broken.onnx").write_bytes(b"no")
    with pytest.raises(InputError, match=r"broken.onnx: not an ONNX file"):
        network_in(tmp_path / "broken.onnx")
    with pytest.raises(InputError, match=r"model.tflite: must be a .onnx or a .pt"):
        network_in(tmp_path / "model.tflite")
    with pytest.raises(InputError, match=r"gone.onnx: no such file"):
        network_in(tmp_path / "gone.onnx")


@pytest.mark.slow
def test_checkpoints_of_ours_and_of_ultralytics(checkpoint, tmp_path):
    import torch
    from ultralytics.nn.tasks import DetectionModel

    from evaluators.training.checkpoint import load_checkpoint

    size = trained_at(load_checkpoint(checkpoint))
    network = network_in(checkpoint)
    assert (network.image.height, network.image.width) == (size, size)
    assert network_in(checkpoint, (64, 96)).image[1:] == (64, 96)
    model = DetectionModel("yolo11n.yaml", nc=3, verbose=False)
    torch.save({"model": model}, tmp_path / "yolo11n.pt")
    with pytest.raises(InputError, match="does not say at which image size it was trained; give --image-size"):
        network_in(tmp_path / "yolo11n.pt")
    model.args = {"imgsz": 96}
    torch.save({"model": model}, tmp_path / "yolo11n.pt")
    network = network_in(tmp_path / "yolo11n.pt")
    assert network.image.height == 96 and network.others == ()
    fused = sum(p.numel() for p in model.eval().fuse(verbose=False).parameters())
    assert network.params == fused
