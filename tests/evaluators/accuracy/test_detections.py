"""One accuracy for a checkpoint and for all files made of it, through one interface."""

import cv2
import numpy as np
import pytest
import torch

from evaluators.accuracy import ModelPredictor, coco_map, detect, open_predictor
from evaluators.data import DatasetError, calibration_images, load_dataset
from evaluators.formats import export
from evaluators.training.checkpoint import load_checkpoint
from search_spaces import InputError

pytestmark = pytest.mark.slow

SIZE = 64
FILES = [("onnx", None), ("onnx", "onnxruntime"), ("onnx", "openvino"), ("ncnn", None), ("torchscript", None)]


@pytest.fixture(scope="module")
def files(learnt, tmp_path_factory):
    """Format -> path of the network in it; "int8" is the quantised ONNX file."""
    folder = tmp_path_factory.mktemp("files")
    result, dataset = learnt
    model = load_checkpoint(result.checkpoint)
    names = export(model, ["onnx", "ncnn", "torchscript"], folder, "model", SIZE)
    images = calibration_images(dataset, count=8, size=SIZE)
    names["int8"] = export(model, ["onnx"], folder, "int8", SIZE, "INT8", images)["onnx"]
    return {kind: folder / name for kind, name in names.items()}


@pytest.fixture(scope="module")
def expected(learnt):
    result, dataset = learnt
    return coco_map(open_predictor(result.checkpoint), dataset, SIZE)


def image_of(dataset):
    """The first validation image, (1, 3, SIZE, SIZE) RGB from 0 to 1."""
    pixels = cv2.imread(str(dataset.val[0]))[..., ::-1].transpose(2, 0, 1)
    return torch.from_numpy(np.ascontiguousarray(pixels))[None].float() / 255


@pytest.mark.parametrize(("kind", "runtime"), FILES)
def test_every_file_is_as_accurate_as_its_checkpoint(kind, runtime, learnt, files, expected):
    result, dataset = learnt
    assert expected["map50_95"] > 0.5
    predictor = open_predictor(files[kind], runtime, threads=1, image_size=SIZE)
    assert coco_map(predictor, dataset)["map50_95"] == pytest.approx(expected["map50_95"], abs=0.002)
    image = image_of(dataset)
    raw = ModelPredictor(load_checkpoint(result.checkpoint))(image)
    distance = (predictor(image) - raw).abs()
    assert (distance[:, :4] / SIZE).max() < 1e-3 and distance[:, 4:].max() < 1e-3


@pytest.mark.parametrize(
    ("kind", "runtime", "precision"),
    [
        ("int8", "onnxruntime", "INT8"),
        ("int8", "openvino", "INT8"),
        ("onnx", "openvino", "FP16"),
        ("ncnn", "ncnn", "FP16"),
        ("torchscript", "pytorch", "FP16"),
    ],
)
def test_lower_precisions_are_judged_as_they_run(kind, runtime, precision, learnt, files, expected):
    predictor = open_predictor(files[kind], runtime, precision=precision, threads=1, image_size=SIZE)
    found = coco_map(predictor, learnt[1])["map50_95"]
    assert found == pytest.approx(expected["map50_95"], abs=0.25 if precision == "INT8" else 0.02)


def test_a_model_is_as_accurate_as_its_checkpoint(learnt, expected):
    result, dataset = learnt
    assert coco_map(load_checkpoint(result.checkpoint), dataset, SIZE) == expected
    assert coco_map(open_predictor(result.checkpoint, image_size=SIZE), dataset, batch=5) == pytest.approx(
        expected, abs=1e-4
    )


def test_an_onnx_file_says_its_classes_and_its_size(learnt, files):
    predictor = open_predictor(files["onnx"], threads=1)
    assert predictor.image_size == (SIZE, SIZE) and predictor.names == ("0",)
    assert len(detect(predictor, learnt[1].val[:2])) > 0
    with pytest.raises(InputError, match="model.onnx: was written for images of 64 x 64 pixels, not of 96 x 96"):
        open_predictor(files["onnx"], image_size=96)
    with pytest.raises(InputError, match="image_size 96: the network was made for 64 x 64 pixels"):
        detect(predictor, learnt[1].val, 96)


def test_what_cannot_be_judged_is_named(learnt, files, small_data, tmp_path):
    result, dataset = learnt
    for name in ("model.tflite", "text.onnx", "text.torchscript", "text.param"):
        (tmp_path / name).write_text("no network")
    (tmp_path / "image.png").write_text("no image")
    for arguments, message in (
        ((tmp_path / "none.onnx",), "none.onnx: no such file"),
        (
            (tmp_path / "model.tflite",),
            "nothing runs such a file; it must end in .onnx, .param, .pt, .torchscript or .xml",
        ),
        ((tmp_path / "text.onnx",), "text.onnx: not an ONNX file"),
        ((tmp_path / "text.torchscript", None, "cpu", "FP32", 1, 64), "text.torchscript: pytorch cannot open it"),
        ((tmp_path / "text.param", None, "cpu", "FP32", 1, 64), "text.param: ncnn cannot open it"),
        ((files["ncnn"],), "model.param: does not say which image size it was written for"),
        ((files["onnx"], "ncnn"), "model.onnx: ncnn reads .param files; this one is for onnxruntime or openvino"),
        ((files["onnx"], "tflite"), "no runtime 'tflite'"),
        ((files["onnx"], "onnxruntime", "cuda"), "has no provider for 'cuda' here"),
        ((files["onnx"], "openvino", "tpu"), "openvino runs on cpu, gpu, not on 'tpu'"),
        (
            (result.checkpoint, "openvino"),
            "best.pt: a checkpoint runs in PyTorch in FP32, not in openvino in FP32; export it",
        ),
    ):
        with pytest.raises(InputError, match=message):
            open_predictor(*arguments)
    with pytest.raises(InputError, match="image_size is missing"):
        coco_map(open_predictor(result.checkpoint), dataset)
    with pytest.raises(InputError, match="the model detects 1 classes, the dataset .* has 4"):
        coco_map(open_predictor(result.checkpoint), load_dataset(small_data), SIZE)
    with pytest.raises(DatasetError, match="image.png: not an image that can be read"):
        detect(open_predictor(result.checkpoint), [tmp_path / "image.png"], SIZE)


def test_a_slow_machine_loses_no_boxes(learnt, monkeypatch):
    """Ultralytics' suppression stops after some seconds; here every look at the clock takes an hour."""
    from ultralytics.utils import nms

    result, dataset = learnt
    quick = detect(open_predictor(result.checkpoint), dataset.val, SIZE)
    hours = iter(range(0, 10**9, 3600))
    monkeypatch.setattr(nms.time, "time", lambda: float(next(hours)))
    assert detect(open_predictor(result.checkpoint), dataset.val, SIZE) == quick
