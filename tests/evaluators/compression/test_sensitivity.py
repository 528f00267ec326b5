"""Layers in FP32: the errors are those of one layer alone, as few layers as will do are taken, and no reported image is looked at."""

import csv

import numpy as np
import onnx
import pytest
import torch

from evaluators import EvaluationError
from evaluators.compression import sensitivity
from evaluators.compression.sensitivity import Sensitivity, choose, judge_on_training, sensitivities, write_table
from evaluators.data import load_dataset
from evaluators.data.calibration import calibration_paths
from evaluators.formats.int8 import calibrate
from evaluators.formats.onnx import export_onnx, stirred
from search_spaces import InputError, build_model

SIZE = 64
IMAGES = np.random.default_rng(0).random((3, 3, SIZE, SIZE), dtype=np.float32)


@pytest.fixture(scope="module")
def network(tiny, tmp_path_factory):
    """A network with one convolution of which a single weight leaves the others of a channel few of the eight bits."""
    torch.manual_seed(0)
    model = stirred(build_model(tiny, 3))
    convolution = model.model[7].conv
    with torch.no_grad():
        convolution.weight[:, 0, 0, 0] = 40 * convolution.weight.abs().max()
    path = export_onnx(model, tmp_path_factory.mktemp("layers") / "fp32.onnx", SIZE)
    return calibrate(path, IMAGES, "unsigned-reduced")


def integer_convolutions(document):
    """How many convolutions read weights in eight bits."""
    held = {each.name: each.data_type for each in document.graph.initializer}
    eight = {n.output[0] for n in document.graph.node if held.get(n.input[0]) == onnx.TensorProto.INT8}
    return sum(node.op_type == "Conv" and node.input[1] in eight for node in document.graph.node)


class Judge:
    """As many mAP as there are layers in INT8 and `costs` says each of them costs, beginning with the last of the list."""

    def __init__(self, costs):
        self.costs, self.asked = costs, []

    def __call__(self, document):
        self.asked.append(integer_convolutions(document))
        return 0.5 - sum(self.costs[::-1][: self.asked[-1]])


def test_what_is_lost_is_measured_of_each_layer_alone(network):
    ranked = sensitivities(network, IMAGES)
    assert ranked[0].layer == "/model.7/conv/Conv" and ranked[0].error > 3 * ranked[1].error > 0
    assert [each.error for each in ranked] == sorted((each.error for each in ranked), reverse=True)
    assert len(ranked) == integer_convolutions(network.mixed())
    taken = [name for each in ranked for name in each.nodes]
    assert len(taken) == len(set(taken)) and set(taken) >= network.nodes


@pytest.mark.parametrize(("max_drop", "stay"), [(1, 0), (0.101, 0), (0.099, 1), (0.051, 5), (0.049, 11), (0.011, 14)])
def test_as_few_layers_stay_as_will_do(max_drop, stay, network):
    ranked = ranking(network)
    judge = Judge([0.01] * 5 + [0.0] * 5 + [0.01] * 5 + [0.0] * (len(ranked) - 15))
    chosen = choose(network, ranked, judge, max_drop)
    assert chosen.fp32 == tuple(each.layer for each in ranked[:stay])
    assert integer_convolutions(chosen.document) == len(ranked) - stay
    assert sum(judge.costs[stay:]) == pytest.approx(chosen.drop)
    assert len(judge.asked) <= 3 + np.ceil(np.log2(len(ranked)))


def ranking(network):
    """The layers in the order they run."""
    return [Sensitivity(name, nodes, 1.0) for name, nodes in sensitivity.layers(network.plain.graph).items()]


def test_what_cannot_be_reached_is_said_with_what_can(network):
    ranked = ranking(network)
    judge = Judge([0.001] * (len(ranked) - 1) + [0.2])
    with pytest.raises(
        EvaluationError,
        match=rf"max_drop 0.1: .* loses 0.2000 .* of 0.5000 even with {len(ranked) - 1} of its {len(ranked)}",
    ):
        choose(network, ranked, judge, 0.1)
    assert judge.asked == [0, len(ranked), 1]


def test_nothing_is_chosen_by_what_is_reported_or_calibrated_with(small_data, monkeypatch):
    dataset, seen = load_dataset(small_data), []
    monkeypatch.setattr(
        sensitivity, "coco_map", lambda runs, data, split: seen.extend(getattr(data, split)) or {"map50_95": 0.25}
    )
    monkeypatch.setattr(sensitivity, "_session", lambda document, threads: Session())
    assert judge_on_training(dataset, 4, SIZE)(onnx.ModelProto()) == 0.25
    assert len(seen) == 12 and set(seen) == set(dataset.train) - set(calibration_paths(dataset, 4))
    seen.clear()
    judge_on_training(dataset, 4, SIZE, count=5)(onnx.ModelProto())
    assert len(seen) == 5
    with pytest.raises(
        InputError, match="max_drop: .* no more than the 16 that images: 16 takes; calibrate with fewer"
    ):
        judge_on_training(dataset, 16, SIZE)


class Session:
    def get_inputs(self):
        return [type("Input", (), {"name": "images", "shape": (1, 3, SIZE, SIZE)})]


def test_the_table_says_what_stays(tmp_path):
    ranked = [Sensitivity("/a/Conv", frozenset(), 0.123456789), Sensitivity("/b/Conv", frozenset(), 1e-9)]
    write_table(tmp_path / "sensitivity.csv", ranked, ("/a/Conv",))
    with open(tmp_path / "sensitivity.csv") as file:
        assert list(csv.DictReader(file)) == [
            {"layer": "/a/Conv", "error": "0.123457", "stays_fp32": "1"},
            {"layer": "/b/Conv", "error": "1e-09", "stays_fp32": "0"},
        ]
