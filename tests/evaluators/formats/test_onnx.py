"""ONNX files: the same outputs, and usable by plain Ultralytics."""

import numpy as np
import pytest
import torch

from evaluators.latency import export_onnx, onnx_difference, stirred
from evaluators.training.checkpoint import load_checkpoint
from search_spaces import YoloSpace, build_model

pytestmark = pytest.mark.slow


def made(name):
    torch.manual_seed(0)
    return stirred(build_model(YoloSpace().preset(name), 3))


@pytest.mark.parametrize("name", ["yolov8-w1/16", "light-recipe", "csppc-adown-afpn"])
def test_outputs_equal_pytorchs(name, tmp_path):
    model = made(name)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    path = export_onnx(model, tmp_path / "model.onnx", (64, 96))
    assert onnx_difference(model, path, (64, 96)) < 1e-3
    after = model.state_dict()
    assert before.keys() == after.keys() and all(torch.equal(before[key], after[key]) for key in before)
    assert not model.model[-1].export


def test_a_different_model_is_noticed(tmp_path):
    path = export_onnx(made("yolov8-w1/16"), tmp_path / "model.onnx", 64)
    other = made("yolov8-w1/16")
    other.model[0].conv.weight.data *= 1.1
    assert onnx_difference(other, path, 64) > 1e-3


def test_ultralytics_predicts_with_the_file(checkpoint, tmp_path):
    from ultralytics import YOLO

    path = export_onnx(load_checkpoint(checkpoint), tmp_path / "model.onnx", 64)
    result = YOLO(path, task="detect").predict(np.zeros((64, 64, 3), "uint8"), imgsz=64, verbose=False)[0]
    assert result.names == {0: "0", 1: "1", 2: "2", 3: "3"}
