"""Narrow networks cut out of wide ones: a channel whose weights are zero may go, and nothing changes."""

import numpy as np
import pytest
import torch

from search_spaces import InputError, YoloSpace, build_model, lower
from search_spaces.blocks import block, blocks
from search_spaces.families.yolo11 import YOLO11N, PrunedYolo11Space
from search_spaces.narrowing import narrow, segments

pytestmark = pytest.mark.slow

SPACE = YoloSpace()
WIDTHS = {
    "stem_width": (16, 8),
    "p2_width": (32, 16),
    "p3_width": (64, 48),
    "p4_width": (128, 64),
    "p5_width": (256, 192),
}
PAN = {"pan_p4_width": (128, 64), "pan_p3_width": (64, 16), "pan_n4_width": (96, 64), "pan_n5_width": (128, 64)}
KINDS = {
    "c2f-conv": {},
    "c3k2-adown": {**{f"{n}_block": "C3k2" for n in ("p2", "p3", "p4", "p5", "pan_p4", "pan_n5")},
                   **{f"{n}_down": "ADown" for n in ("p2", "p3", "p4", "p5", "pan_n4", "pan_n5")},
                   "head_class_branch": "depthwise", "head_reg_max": 1},
    "csppc-hwd": {**{f"{n}_block": "CSPPC" for n in ("p2", "p3", "p4", "p5", "pan_p3", "pan_n4")},
                  **{f"{n}_down": "HWD" for n in ("p2", "p3", "p4", "p5", "pan_n4")}},
    "afpn": {"neck": "AFPN", "afpn_levels": "P2-P5", "afpn_width": 64, "afpn_reduction": 4},
    "yolo11": {},
}  # fmt: skip
PRUNED = PrunedYolo11Space()


def pair(kind):
    """(wide, narrow) architectures of one kind."""
    if kind == "yolo11":
        wide = PRUNED.of({**YOLO11N, "image_size": 64, "p3_c3k": True, "p3_depth": 2, "attention_depth": 2})
        changes = {**{name: values[1] for name, values in PAN.items()}, "p4_hidden": 40, "p3_hidden": 24}
        wide = PRUNED.of({**wide.to_dict(), **{name: values[0] for name, values in PAN.items()}})
        return wide, PRUNED.of(
            {**wide.to_dict(), **changes, "p2_width": 40, "p5_width": 192, "p5_pool_width": 96, "attention_hidden": 128}
        )
    widths = {**WIDTHS, **({} if kind == "afpn" else PAN)}
    base = SPACE.preset("yolov8n", image_size=64, p4_depth=3)
    if kind == "afpn":
        base = SPACE.preset("afpn-p2-p5", image_size=64)
    wide = base.replace(**{**KINDS[kind], **{name: values[0] for name, values in widths.items()}})
    changes = {name: values[1] for name, values in widths.items()}
    return wide, wide.replace(**changes, **({"afpn_width": 32} if kind == "afpn" else {}))


def random_channels(graph, narrower, rng):
    """Layer -> axis -> random channels, as many in each segment as the narrower network has."""
    kept, new = {}, segments(narrower)
    for layer, axes in segments(graph).items():
        kept[layer] = {}
        for name, sizes in axes.items():
            if name.startswith("in") and name[2:].isdigit():
                continue  # follows from what gives it
            starts = np.cumsum([0, *sizes])
            parts = [s + rng.permutation(size)[:n] for s, size, n in zip(starts, sizes, new[layer][name])]
            kept[layer][name] = np.sort(np.concatenate(parts))
    return kept


def silence(model, graph, kept):
    """Zero what gives the channels that go: their weights, biases and normalisation."""
    for module, layer in zip(model.model, graph.layers):
        axes, state = block(layer.module).axes(layer), module.state_dict()
        for (tensor, dim), along in axes.by_tensor().items():
            if dim or tensor not in state or "running" in tensor:
                continue
            for name, place in along:
                if name not in kept[layer.name]:
                    continue
                gone = np.setdiff1d(np.arange(place.first, place.first + place.count), kept[layer.name][name])
                state[tensor][gone - place.first + place.start] = 0


def stir(model):
    """Weights and statistics with which every channel matters."""
    generator = torch.Generator().manual_seed(0)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.3, generator=generator)
            module.running_var.uniform_(0.5, 1.5, generator=generator)
            module.weight.data.uniform_(0.5, 1.5, generator=generator)
            module.bias.data.normal_(0, 0.3, generator=generator)


@pytest.mark.parametrize("kind", KINDS)
def test_silent_channels_may_go(kind):
    wide, slim = pair(kind)
    graph, narrower = lower(wide, 3), lower(slim, 3)
    model, target = build_model(wide, 3).eval(), build_model(slim, 3).eval()
    stir(model)
    kept = random_channels(graph, narrower, np.random.default_rng(0))
    silence(model, graph, kept)
    narrow(model, graph, narrower, target, kept)
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        expected, found = model(image)[0], target(image)[0]
    assert expected.std() > 0 and torch.allclose(expected, found, atol=1e-3, rtol=1e-4)
    counts = {name: p.shape for name, p in target.state_dict().items()}
    assert counts == {name: p.shape for name, p in build_model(slim, 3).state_dict().items()}


def test_without_a_choice_the_first_channels_and_the_first_bottlenecks_stay():
    wide = SPACE.preset("yolov8n", image_size=64, p4_depth=3)
    slim = wide.replace(p4_depth=1, p3_width=32)
    model, target = build_model(wide, 1), build_model(slim, 1)
    narrow(model, lower(wide, 1), lower(slim, 1), target)
    names = [layer.name for layer in lower(wide, 1).layers]
    big, small = (m.model[names.index("p3.block")].cv2.conv.weight for m in (model, target))
    assert torch.equal(small, torch.cat([big[:32, start : start + 16] for start in (0, 32, 64, 96)], 1))
    deep, flat = (m.model[names.index("p4.block")] for m in (model, target))
    assert torch.equal(flat.cv2.conv.weight, deep.cv2.conv.weight[:, : 3 * 64])
    assert torch.equal(flat.m[0].cv1.conv.weight, deep.m[0].cv1.conv.weight)


def test_what_does_not_fit_is_named():
    wide, slim = pair("c2f-conv")
    graph, narrower = lower(wide, 1), lower(slim, 1)
    model, target = build_model(wide, 1), build_model(slim, 1)
    with pytest.raises(InputError, match="no layer 'p9.block'"):
        narrow(model, graph, narrower, target, {"p9.block": {}})
    with pytest.raises(InputError, match="layer p3.block has no axis 'in0' to choose from"):
        narrow(model, graph, narrower, target, {"p3.block": {"in0": [1]}})
    with pytest.raises(InputError, match=r"layer p3.block, axis out: \[3\] of its \[64\] channels are kept"):
        narrow(model, graph, narrower, target, {"p3.block": {"out": [1, 2, 3]}})
    with pytest.raises(InputError, match="is kept|are kept"):
        narrow(target, narrower, graph, model)
    other = lower(SPACE.preset("csppc", image_size=64), 1)
    with pytest.raises(InputError, match="layer p2.block is a C2f in one network and a CSPPC in the other"):
        narrow(model, graph, other, model)


def test_every_parameter_of_every_block_is_on_an_axis_or_fixed():
    """A block that forgets a convolution in its axes could not be narrowed."""
    seen = set()
    for kind in KINDS:
        wide, _ = pair(kind)
        graph, model = lower(wide, 3), build_model(wide, 3)
        for module, layer in zip(model.model, graph.layers):
            seen.add(layer.module)
            placed = block(layer.module).axes(layer).by_tensor()
            for name, tensor in module.state_dict().items():
                if tensor.dim() == 4 and not name.startswith("dfl"):
                    depthwise = tensor.shape[1] == 1
                    assert depthwise or (name, 1) in placed or ".weigh." in name, f"{layer.module}: {name}"
            for (name, dim), along in placed.items():
                if name in module.state_dict():
                    covered = sum(place.count for _, place in along)
                    assert covered == module.state_dict()[name].shape[dim], f"{layer.module}: {name}"
    assert seen == set(blocks())
