"""The builder: networks run and train, YAML round trips, checkpoints load with plain Ultralytics."""

import subprocess
import sys

import numpy as np
import pytest
import torch
import yaml
from ultralytics.cfg import get_cfg
from ultralytics.nn.modules.head import Detect
from ultralytics.nn.tasks import DetectionModel

from search_spaces import InputError, YoloSpace, build_model, lower
from search_spaces.files import read_yaml
from search_spaces.graph import lower_many
from search_spaces.models import architecture_of, load_yaml, save_yaml
from search_spaces.yaml_text import to_yaml

pytestmark = pytest.mark.slow

SPACE = YoloSpace()


def samples(count, seed=0):
    rng = np.random.default_rng(seed)
    return [SPACE.sample(rng) for _ in range(count)]


def training_step(model, image_size=64):
    """One step on two random images with a box each; every parameter's gradient by name."""
    model.args = get_cfg()
    model.train()
    batch = {
        "img": torch.rand(2, 3, image_size, image_size),
        "cls": torch.zeros(2, 1),
        "bboxes": torch.tensor([[0.5, 0.5, 0.4, 0.4], [0.4, 0.4, 0.5, 0.5]]),
        "batch_idx": torch.tensor([0.0, 1.0]),
    }
    loss, _ = model(batch)
    loss.sum().backward()
    return {name: p.grad for name, p in model.named_parameters() if p.requires_grad}


@pytest.mark.parametrize("name", ["yolov8n", "light-recipe", "csppc-adown-afpn"])
def test_presets_run_at_two_sizes_and_train(name):
    model = build_model(SPACE.preset(name), 2)
    with torch.no_grad():
        for size in (64, 96):
            output = model.eval()(torch.rand(1, 3, size, size))[0]
            levels = len(model.stride)
            anchors = sum((size // int(s)) ** 2 for s in model.stride)
            assert output.shape == (1, 4 + 2, anchors) and levels in (3, 4) and output.isfinite().all()
    gradients = training_step(model)
    assert all(g is not None and g.isfinite().all() for g in gradients.values())


def test_random_architectures_run_and_train():
    for architecture in samples(6, seed=5):
        gradients = training_step(build_model(architecture, 2))
        missing = [name for name, g in gradients.items() if g is None or not g.isfinite().all()]
        # Ultralytics creates the fixed convolution of the DFL without gradients; everything else has one
        assert not missing


def test_stock_architectures_equal_ultralytics_own():
    ours = build_model(SPACE.preset("yolov8n"), 80)
    theirs = DetectionModel("yolov8n.yaml", nc=80, verbose=False)
    assert type(ours) is DetectionModel
    assert {k: v.shape for k, v in ours.state_dict().items()} == {k: v.shape for k, v in theirs.state_dict().items()}
    ours.load_state_dict(theirs.state_dict())
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        # memory is aligned otherwise now and then, and sums are then rounded otherwise
        torch.testing.assert_close(ours.eval()(image)[0], theirs.eval()(image)[0], rtol=1e-5, atol=1e-5)
    assert torch.equal(ours.stride, theirs.stride) and ours.save == theirs.save


def test_ultralytics_state_left_by_other_models_does_not_matter():
    for legacy in (True, False):
        Detect.legacy = legacy
        try:
            full = build_model(SPACE.preset("yolov8n", head_class_branch="full"), 1)
            light = build_model(SPACE.preset("yolov8n", head_class_branch="depthwise"), 1)
            assert sum(p.numel() for p in full.model[-1].parameters()) == 751_507
            assert sum(p.numel() for p in light.model[-1].parameters()) == 430_867
            assert Detect.legacy is legacy
        finally:
            Detect.legacy = False


def test_fusing_changes_no_output():
    for name in ("light-recipe", "light-recipe-adown"):
        model = build_model(SPACE.preset(name), 2)
        training_step(model)  # moves the running statistics off their initial values
        model.eval()
        image = torch.rand(1, 3, 64, 64)
        with torch.no_grad():
            before = model(image)[0]
            model.fuse(verbose=False)
            after = model(image)[0]
        assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in model.modules())
        assert torch.allclose(before, after, atol=1e-3)


def test_haar_convolution_is_the_transform_and_a_1x1_convolution():
    from search_spaces.blocks.hwd import HaarConv2d

    conv = HaarConv2d(3, 5)
    x = torch.rand(2, 3, 8, 8)
    a, b, c, d = x[..., ::2, ::2], x[..., ::2, 1::2], x[..., 1::2, ::2], x[..., 1::2, 1::2]
    bands = torch.stack([a + b + c + d, a + b - c - d, a - b + c - d, a - b - c + d], 2).flatten(1, 2) / 2
    expected = torch.nn.functional.conv2d(bands, conv.weight.reshape(5, 12, 1, 1), conv.bias)
    assert torch.allclose(conv(x), expected, atol=1e-6)
    assert torch.allclose(bands.square().sum(), x.square().sum())  # orthonormal: energy is kept


def test_yaml_round_trip(tmp_path):
    for architecture in [*samples(5), SPACE.preset("yolov8n")]:
        save_yaml(tmp_path / "model.yaml", architecture, 3, {0: "a", 1: "b", 2: "c"})
        loaded, content = load_yaml(tmp_path / "model.yaml", SPACE)
        assert loaded == architecture and content["nc"] == 3 and content["names"][2] == "c"
        assert architecture_of(build_model(loaded, 3), SPACE) == architecture


@pytest.mark.parametrize("name", ["yolov8n", "yolov8s", "adown", "yolov8-w1/16"])
def test_model_files_of_stock_blocks_are_read_by_ultralytics_itself(tmp_path, name):
    architecture = SPACE.preset(name)
    save_yaml(tmp_path / "model.yaml", architecture, 3)
    theirs = DetectionModel(str(tmp_path / "model.yaml"), verbose=False)
    ours = build_model(architecture, 3)
    assert {k: v.shape for k, v in theirs.state_dict().items()} == {k: v.shape for k, v in ours.state_dict().items()}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("architecture: [", "line 1: not valid YAML"),
        ("nc: 80\n", "was not made by evoyolo"),
        ("space: other\narchitecture: {a: 1}\n", "of the space 'other'"),
        ("space: yolo\narchitecture: {image_size: 641}\n", "'image_size' cannot be 641"),
    ],
)
def test_wrong_model_files_are_named(tmp_path, text, message):
    path = tmp_path / "model.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        load_yaml(path, SPACE)
    with pytest.raises(InputError, match="cannot be read"):
        load_yaml(tmp_path / "none.yaml", SPACE)


@pytest.mark.parametrize("count", [0, -1, True, "3", 2.5, 10**30, None])
def test_wrong_class_counts_are_refused(tmp_path, count):
    message = "must be a whole number from 1 to 100,000, not "
    architecture = SPACE.preset("yolov8n")
    for use in (build_model, lower, lambda a, n: next(lower_many([a], n))):
        with pytest.raises(InputError, match=f"num_classes {message}"):
            use(architecture, count)
    save_yaml(tmp_path / "model.yaml", architecture, 3)
    content = {**read_yaml(tmp_path / "model.yaml"), "nc": count}
    (tmp_path / "model.yaml").write_text(to_yaml(content))
    with pytest.raises(InputError, match=f"model.yaml: field nc {message}"):
        load_yaml(tmp_path / "model.yaml")


def test_class_names_that_look_like_something_else_stay_text_in_model_files(tmp_path):
    names = dict(enumerate(["yes", "1e3", "010", "null", "2024-01-01", "é: x", "0x1F"]))
    save_yaml(tmp_path / "model.yaml", SPACE.preset("yolov8n"), len(names), names)
    assert load_yaml(tmp_path / "model.yaml")[1]["names"] == names
    assert yaml.safe_load((tmp_path / "model.yaml").read_text(encoding="utf-8"))["names"] == names


def test_checkpoint_of_stock_blocks_loads_without_this_package(tmp_path):
    torch.save({"model": build_model(SPACE.preset("yolov8-w1/16"), 2)}, tmp_path / "stock.pt")
    code = (
        "import sys; sys.modules['search_spaces'] = None\n"
        "from ultralytics import YOLO\n"
        "import numpy as np\n"
        f"print(len(YOLO(r'{tmp_path / 'stock.pt'}').predict(np.zeros((64, 64, 3), 'uint8'), imgsz=64, verbose=False)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0 and done.stdout.strip().endswith("1"), done.stderr
