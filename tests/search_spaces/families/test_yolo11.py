"""YOLO11's frame: Ultralytics' own networks to the last key, and random ones of exact costs."""

import copy
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
import thop
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from ultralytics.cfg import get_cfg
from ultralytics.nn.tasks import DetectionModel, yaml_model_load

from evaluators import complexity
from evaluators.formats.onnx import export_onnx, stirred
from evaluators.formats.onnx_operators import read_network
from evaluators.latency.features import operator_work, work_of
from search_spaces import InputError, build_model
from search_spaces.families.yolo11 import FAMILY, PRESETS, Yolo11Space
from search_spaces.models import architecture_of, load_yaml, save_yaml

SPACE = Yolo11Space()
PARAMETERS = {"yolo11n": 2_624_080, "yolo11s": 9_458_752}  # as Ultralytics publishes them, with 80 classes
# of thop, what is no multiply-accumulate
FREE = {nn.BatchNorm2d: lambda m, x, y: None, nn.Upsample: lambda m, x, y: None}


def shapes(model):
    return {name: value.shape for name, value in model.state_dict().items()}


@pytest.mark.parametrize("name", PARAMETERS)
def test_presets_are_ultralytics_own(name):
    ours, theirs = build_model(FAMILY.preset(name), 80), DetectionModel(f"{name}.yaml", verbose=False)
    assert type(ours) is DetectionModel and ours.save == theirs.save
    assert list(ours.state_dict()) == list(theirs.state_dict()) and shapes(ours) == shapes(theirs)
    assert sum(p.numel() for p in ours.parameters()) == PARAMETERS[name]
    costs = complexity([FAMILY.preset(name)], 80)
    assert costs.params[0] == PARAMETERS[name]
    theirs = stirred(theirs)
    ours.load_state_dict(theirs.state_dict())
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        expected = theirs(image)[0]
        torch.testing.assert_close(ours.eval()(image)[0], expected, rtol=1e-5, atol=1e-4)
        assert expected.std() > 1
        torch.testing.assert_close(ours.fuse(verbose=False)(image)[0], expected, rtol=1e-3, atol=1e-2)


def test_operations_are_those_that_torch_and_thop_count():
    architecture = FAMILY.preset("yolo11n")
    model = DetectionModel("yolo11n.yaml", verbose=False).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.zeros(1, 3, 640, 640))
    (macs,) = complexity([architecture], 80).macs
    assert 2 * macs == counter.get_total_flops()
    counted = thop.profile(model, [torch.zeros(1, 3, 640, 640)], custom_ops=FREE, verbose=False)[0]
    assert macs == counted


@pytest.mark.slow
def test_random_architectures_cost_what_the_built_networks_do():
    chosen = [SPACE.sample(seed) for seed in range(12)]
    costs = complexity(chosen, 3, 96)
    for i, architecture in enumerate(chosen):
        model = build_model(architecture, 3).eval()
        assert costs.params[i] == sum(p.numel() for p in model.parameters())
        counted = thop.profile(copy.deepcopy(model), [torch.zeros(1, 3, 96, 96)], custom_ops=FREE, verbose=False)[0]
        assert costs.macs[i] == counted
        alone = complexity([architecture], 3, 96)
        assert alone.macs[0] == costs.macs[i] and alone.peak_activation_bytes[0] == costs.peak_activation_bytes[i]
    assert any("C2f" in a.to_dict().values() for a in chosen) and any(True in a.to_dict().values() for a in chosen)


@pytest.mark.parametrize("name", ["yolo11n", 0])
def test_a_file_s_operators_are_those_of_the_graph(name, tmp_path):
    architecture = FAMILY.preset(name) if name else SPACE.sample(name)
    architecture = architecture.replace(image_size=96)
    network = read_network(export_onnx(build_model(architecture, 5), tmp_path / "model.onnx", 96))
    assert network.macs == complexity([architecture], 5).macs[0] and network.others == ()
    assert np.allclose(work_of(network.operators, 96 * 96).table, operator_work([architecture], 5).table)


@pytest.mark.slow
@pytest.mark.parametrize("width", ["1/16", "3/16", "1/4", "1/2"])
@pytest.mark.parametrize("depth", ["1/2", "1"])
def test_plain_scalings_are_ultralytics_own(width, depth):
    (architecture,) = [
        a
        for a in FAMILY.scalings(SPACE.restrict({"image_size": [64]}))
        if FAMILY.scaling_name(a) == f"yolo11 w{width} d{depth} at 64"
    ]
    content = yaml_model_load("yolo11n.yaml")
    content["scales"] = {"n": [float(Fraction(depth)), float(Fraction(width)), 1024]}
    assert shapes(build_model(architecture, 3)) == shapes(DetectionModel(content, nc=3, verbose=False))


def test_plain_scalings_and_presets_are_in_the_space_and_distinct():
    found = FAMILY.scalings(SPACE.restrict({"image_size": [64, 96]}))
    assert len(set(found)) == len(found) == 24
    assert len({FAMILY.preset(name) for name in PRESETS}) == len(PRESETS)
    assert FAMILY.scaling_name(FAMILY.preset("yolo11n", image_size=96)) == "yolo11 w1/4 d1/2 at 96"
    assert FAMILY.preset("yolo11n", p3_block="C2f").get("p3_c3k") is None
    with pytest.raises(InputError, match="preset 'yolo11n': .*'p3_c3k' has no effect here; it needs p3_block = C3k2"):
        FAMILY.preset("yolo11n", p3_block="C2f", p3_c3k=True)


@pytest.mark.slow
def test_model_files_are_read_back_and_by_ultralytics_itself(tmp_path):
    for architecture in (FAMILY.preset("yolo11n"), SPACE.sample(1)):
        save_yaml(tmp_path / "model.yaml", architecture, 3)
        loaded, _ = load_yaml(tmp_path / "model.yaml")
        ours = build_model(loaded, 3)
        assert loaded == architecture == architecture_of(ours)
    save_yaml(tmp_path / "model.yaml", FAMILY.preset("yolo11s"), 3)
    code = (
        "import sys; sys.modules['search_spaces'] = None\n"
        "from ultralytics.nn.tasks import DetectionModel\n"
        f"model = DetectionModel(r'{tmp_path / 'model.yaml'}', verbose=False)\n"
        "print(sum(p.numel() for p in model.parameters()), model.model[9].cv1.act)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    expected = sum(p.numel() for p in build_model(FAMILY.preset("yolo11s"), 3).parameters())
    assert done.stdout.split() == [str(expected), "SiLU()"], done.stderr


@pytest.mark.slow
def test_a_checkpoint_loads_without_this_package(tmp_path):
    torch.save({"model": build_model(FAMILY.preset("yolo11-w1/16"), 2)}, tmp_path / "stock.pt")
    code = (
        "import sys; sys.modules['search_spaces'] = None\n"
        "from ultralytics import YOLO\n"
        "import numpy as np\n"
        f"print(len(YOLO(r'{tmp_path / 'stock.pt'}').predict(np.zeros((64, 64, 3), 'uint8'), imgsz=64, verbose=False)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0 and done.stdout.strip().endswith("1"), done.stderr


@pytest.mark.slow
def test_every_parameter_learns():
    model = build_model(FAMILY.preset("yolo11-w1/16", attention_depth=2), 2).train()
    model.args = get_cfg()
    batch = {
        "img": torch.rand(2, 3, 64, 64),
        "cls": torch.zeros(2, 1),
        "bboxes": torch.tensor([[0.5, 0.5, 0.4, 0.4], [0.4, 0.4, 0.5, 0.5]]),
        "batch_idx": torch.tensor([0.0, 1.0]),
    }
    model(batch)[0].sum().backward()
    gradients = {name: p.grad for name, p in model.named_parameters() if p.requires_grad}
    assert all(each is not None and each.isfinite().all() for each in gradients.values())
    assert all(each.any() for name, each in gradients.items() if name.startswith("model.10."))  # of the attention
