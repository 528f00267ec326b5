"""Shipped folders: what they hold is the same network, the program in them detects the same, and what is not the same is not shipped."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from evaluators.accuracy.detections import detect
from evaluators.data import load_dataset
from evaluators.data.images import letterboxed
from evaluators.formats import FORMATS
from evaluators.formats.onnx import stirred
from nas.cli.main import main
from nas.delivery import ship as shipping
from nas.delivery.runner import MOST_LINES, program
from nas.delivery.ship import ship
from search_spaces import InputError, YoloSpace, build_model

pytestmark = pytest.mark.slow

NAMES = {0: "a *bold* <b>name</b>\nof two lines"}


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return stirred(build_model(YoloSpace().preset("yolov8-w1/16", image_size=64), 1, NAMES))


@pytest.fixture(scope="module")
def checkpoint(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "best.pt"
    torch.save({"model": model}, path)
    return path


@pytest.fixture(scope="module")
def shipped(checkpoint, tmp_path_factory):
    output = tmp_path_factory.mktemp("shipped")
    return {made.kind: made for made in ship(checkpoint, list(FORMATS), output, threads=1, say=lambda text: None)}


@pytest.fixture
def photograph(tmp_path):
    """An image of 100 x 70 pixels."""
    rng = np.random.default_rng(1)
    small = Image.fromarray(rng.integers(0, 255, (7, 10, 3), np.uint8))
    small.resize((100, 70), Image.Resampling.BICUBIC).save(tmp_path / "photograph.png")
    return tmp_path / "photograph.png"


def imported(path):
    spec = importlib.util.spec_from_file_location(f"run_{path.parent.name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Session:
    """Stands in for a runtime's: keeps what it is shown, and answers the same whatever that is."""

    def __init__(self, answer):
        self.answer, self.seen = answer, []

    def run(self, names, feed):
        self.seen.append(feed["images"])
        return [self.answer]


def test_the_program_reads_the_networks_answers_as_validation_does(shipped, photograph):
    rng = np.random.default_rng(2)
    centres, sizes = rng.uniform(0, 64, (2, 60)), rng.uniform(8, 40, (2, 60))
    answer = np.concatenate([centres, sizes, rng.uniform(0, 1, (1, 60))])[None].astype(np.float32)
    module = imported(shipped["onnx"].folder / "run.py")
    module.session = Session(answer)
    found = module.detect(Image.open(photograph))

    class Predictor:
        names, image_size = None, (64, 64)

        def __call__(self, images):
            return torch.from_numpy(answer.copy())

    expected = detect(Predictor(), [photograph], 64, confidence=0.25)
    assert 10 < len(expected) < (answer[0, 4] > 0.25).sum()  # some were suppressed
    for (label, score, box), entry in zip(found, expected, strict=True):
        x, y, width, height = entry["bbox"]
        assert label == "a *bold* <b>name</b> of two lines" and score == pytest.approx(entry["score"])
        assert np.clip(box, 0, (100, 70, 100, 70)) == pytest.approx((x, y, x + width, y + height), abs=1e-3)


@pytest.mark.parametrize("kind", FORMATS)
def test_the_program_of_every_format_detects_the_same(kind, shipped, photograph):
    assert shipped[kind].difference <= 1e-3 and shipped[kind].file.is_file()
    image = Image.open(photograph)
    expected = imported(shipped["onnx"].folder / "run.py").detect(image)
    found = imported(shipped[kind].folder / "run.py").detect(image)
    assert len(expected) > 3
    for (_, score, box), (_, known, where) in zip(found, expected, strict=True):
        assert score == pytest.approx(known, abs=1e-3) and box == pytest.approx(where, abs=0.1)


def test_it_shows_the_network_what_validation_shows_it(shipped, photograph):
    import cv2

    module = imported(shipped["onnx"].folder / "run.py")
    module.session = Session(np.zeros((1, 5, 84), np.float32))
    for size in ((100, 70), (70, 100), (31, 64), (400, 300)):
        Image.open(photograph).resize(size, Image.Resampling.BICUBIC).save(photograph)
        assert module.detect(Image.open(photograph).convert("RGB")) == []
        expected = letterboxed([cv2.imread(str(photograph))], (64, 64))
        assert np.abs(module.session.seen[-1] - expected).max() < 1.6 / 255


def test_a_folder_is_all_that_is_needed(shipped, photograph, tmp_path):
    for made in shipped.values():
        assert {path.name for path in made.folder.iterdir()} >= {"run.py", "labels.txt", "card.md", made.file.name}
        assert len((made.folder / "run.py").read_text().splitlines()) <= MOST_LINES
        assert (made.folder / "labels.txt").read_text() == "a *bold* <b>name</b> of two lines"
        card = (made.folder / "card.md").read_text()
        assert "\n    0 a *bold* <b>name</b> of two lines\n" in card  # indented, so that it is text
        assert f"within {made.difference:.1g} of PyTorch's" in card and "It was not judged" in card
    forbid = "import sys; sys.modules['torch'] = sys.modules['cv2'] = sys.modules['evaluators'] = None; sys.argv = sys.argv[1:]; "
    run = shipped["onnx"].folder / "run.py"
    code = forbid + "import runpy; runpy.run_path(sys.argv[0], run_name='__main__')"
    command = [sys.executable, "-c", code, str(run), str(photograph), str(tmp_path / "drawn.png")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) > 3 and Image.open(tmp_path / "drawn.png").size == (100, 70)


def test_programs_of_every_format_are_short():
    assert all(len(program(kind, "model.x", 640, 384).splitlines()) <= MOST_LINES for kind in FORMATS)


def test_a_file_that_computes_something_else_is_not_shipped(checkpoint, tmp_path, monkeypatch):
    export = shipping.export

    def damaged(model, kinds, folder, *rest):
        model.model[0].conv.weight.data *= 1.05
        try:
            return export(model, kinds, folder, *rest)
        finally:
            model.model[0].conv.weight.data /= 1.05

    monkeypatch.setattr(shipping, "export", damaged)
    with pytest.raises(InputError, match=r"onnx: its outputs differ from PyTorch's by .* so it is not shipped"):
        ship(checkpoint, ["onnx"], tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


def test_with_a_dataset_its_figures_are_in_the_card(small_data, tiny, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    dataset = load_dataset(small_data)
    model = stirred(build_model(tiny, dataset.num_classes, dict(enumerate(dataset.names))))
    torch.save({"model": model}, "best.pt")
    command = [
        "export",
        "best.pt",
        "--format",
        "onnx",
        "openvino",
        "--output",
        "out",
        "--data",
        str(small_data),
        "--no-latency",
    ]
    assert main([*command, "--precision", "INT8", "--threads", "1"]) == 0
    said = capsys.readouterr().out
    for kind, name in (("onnx", "model.onnx"), ("openvino", "model.openvino.xml")):
        card = Path("out", kind, "card.md").read_text()
        assert f"{name}: map50_95 " in card and "INT8, 64 x 64 px" in card and "of the checkpoint 0." in card
        assert f"out/{kind}/{name}: outputs within" in said
    assert main(command) == 1
    assert "onnx exists; it is left as it is" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--format", "tflite"], "format 'tflite': must be onnx, openvino, ncnn or torchscript"),
        (["--format", "tensorrt"], "format 'tensorrt': an engine is built on the GPU that is to run it; ship onnx"),
        (["--format", "onnx", "--precision", "INT8"], "INT8 is calibrated on training images: give --data"),
        (
            ["--format", "ncnn", "--precision", "INT8", "--data", "digits"],
            "format 'ncnn': holds no INT8 here; onnx or openvino",
        ),
        (["--format", "onnx", "--image-size", "50"], "image size must be a positive multiple of 32"),
    ],
)
def test_what_cannot_be_shipped(checkpoint, options, message, tmp_path, capsys):
    assert main(["export", str(checkpoint), "--output", str(tmp_path / "out"), *options]) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
