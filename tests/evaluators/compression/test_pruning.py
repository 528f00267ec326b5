"""Structured pruning: what is left is a sound network of the costs that are said, and channels that do nothing may go."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from evaluators import complexity
from evaluators.compression.importance import CRITERIA, add_gradients, importance
from evaluators.compression.pruning import (
    Target,
    as_architecture,
    axes_of,
    kept_channels,
    latency_target,
    macs_target,
    params_target,
    prune,
    spelt_out,
)
from evaluators.data import load_dataset
from evaluators.formats.onnx import export_onnx, onnx_difference, stirred
from evaluators.formats.onnx_operators import read_network
from evaluators.training.checkpoint import load_checkpoint, save_checkpoint
from search_spaces import InputError, YoloSpace, build_model, lower
from search_spaces.blocks import block
from search_spaces.families import families
from search_spaces.families.yolov8 import YOLOV8N, PrunedYoloSpace
from search_spaces.narrowing import segments

SPACE, SIZE, CLASSES = YoloSpace(), 64, 3
KINDS = {
    "yolov8n": ("yolov8n", {}),
    "CSPPC and ADown, C3k2, depthwise": ("csppc-adown", {"head_class_branch": "depthwise", "p3_block": "C3k2"}),
    "light recipe": ("light-recipe", {}),
    "AFPN": ("csppc-adown-afpn", {"afpn_reduction": 4, "head_reg_max": 1}),
    "YOLO11": ("yolo11n", {"p3_c3k": True, "pan_p4_block": "C2f"}),
}


def preset(name, **changes):
    (found,) = [family for family in families().values() if name in family.presets]
    return found.preset(name, image_size=SIZE, **changes)


@pytest.fixture(scope="module", params=KINDS)
def model(request):
    name, changes = KINDS[request.param]
    torch.manual_seed(0)
    return stirred(build_model(preset(name, **changes), CLASSES))


@pytest.fixture(scope="module")
def yolov8n():
    torch.manual_seed(0)
    return stirred(build_model(SPACE.preset("yolov8n", image_size=SIZE), CLASSES))


def outputs(network):
    image = torch.rand(1, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        return network.eval()(image)[0]


def costs(architecture):
    found = complexity([architecture], CLASSES)
    return int(found.macs[0]), int(found.params[0])


def test_nothing_taken_out_is_the_same_network(model):
    found = prune(model, SIZE, ratio=0.0)
    assert torch.equal(outputs(found.network), outputs(model)) and found.architecture == found.before


@pytest.mark.parametrize("options", [{"ratio": 0.4, "per_layer": True}, {"macs": 0.6}])
def test_what_is_left_costs_what_is_said(model, options):
    macs, params = costs(as_architecture(model, SIZE))
    if "macs" in options:
        options = {"target": macs_target(0.6 * macs, CLASSES)}
    elif "params" in options:
        options = {"target": params_target(0.4 * params, CLASSES)}
    before = outputs(model).clone()
    found = prune(model, SIZE, **options)
    left = costs(found.architecture)
    assert sum(p.numel() for p in found.network.parameters()) == left[1]
    assert outputs(found.network).shape == before.shape and outputs(found.network).isfinite().all()
    assert torch.equal(outputs(model), before)  # it is left as it is
    if "target" in options:
        assert float(options["target"].cost([found.architecture])[0]) <= options["target"].most
    else:
        assert 0.25 * params < left[1] < 0.8 * params
    widths = axes_of(found.architecture)
    for name in widths:
        assert found.architecture[name] % 8 == 0 or found.architecture[name] == found.before[name], name


@pytest.mark.parametrize("options", [{"ratio": 0.4}, {"params": 0.4}])
def test_other_targets(yolov8n, options):
    test_what_is_left_costs_what_is_said(yolov8n, options)


def silenced(network, architecture, narrower):
    """A copy whose channels that `narrower` lacks do nothing: those that a given choice lets go, with weights of zero."""
    graph, slim = lower(architecture, CLASSES), lower(narrower, CLASSES)
    rng, network, kept = np.random.default_rng(3), copy.deepcopy(network), {}
    for layer, axes in segments(graph).items():
        kept[layer] = {}
        for name, sizes in axes.items():
            if name not in segments(slim)[layer] or (name.startswith("in") and name[2:].isdigit()):
                continue
            edges = np.cumsum([0, *sizes])
            parts = zip(edges, sizes, segments(slim)[layer][name])
            kept[layer][name] = np.concatenate([np.sort(e + rng.permutation(n)[:k]) for e, n, k in parts])
    with torch.no_grad():
        for module, layer in zip(network.model, graph.layers):
            state = dict(module.named_parameters()) | dict(module.named_buffers())
            axes = block(layer.module).axes(layer)
            for name, stay in kept[layer.name].items():
                for place in axes.places[name]:
                    if place.dim == 0 and place.tensor in state:
                        gone = [
                            i - place.first + place.start
                            for i in range(place.first, place.first + place.count)
                            if i not in stay
                        ]
                        state[place.tensor][gone] = 0
    return network, kept


@pytest.mark.slow
@pytest.mark.parametrize("criterion", ["l1", "l2", "bn", "lamp"])
def test_channels_that_do_nothing_go_first_and_nothing_changes(yolov8n, criterion):
    whole = spelt_out(as_architecture(yolov8n, SIZE), CLASSES)
    changes = {
        "p3_width": 40,
        "p3_hidden": 16,
        "p4_hidden": 40,
        "p5_width": 192,
        "pan_p3_hidden": 24,
        "head_class_width": 32,
    }
    narrower = PrunedYoloSpace().of({**whole.to_dict(), **changes, "p4_down_width": 88})
    network, kept = silenced(yolov8n, whole, narrower)
    graph = lower(whole, CLASSES)
    found = kept_channels(graph, lower(narrower, CLASSES), importance(network, graph, criterion))
    for layer, axes in kept.items():
        for name, stay in axes.items():
            assert sorted(found[layer][name]) == sorted(stay.tolist()), (layer, name)
    target = macs_target(float(complexity([narrower], CLASSES).macs[0]), CLASSES)
    pruned = prune(network, SIZE, target=target, criterion=criterion)
    assert (outputs(pruned.network) - outputs(network)).abs().max() < 1e-3 * outputs(network).abs().max()


@pytest.mark.slow
def test_taylor_is_what_the_loss_changes_by(small_data, tiny):
    """To first order: the change of the loss when a channel's factor of normalisation is taken away."""
    dataset = load_dataset(small_data)
    torch.manual_seed(0)
    network = stirred(build_model(tiny, dataset.num_classes))
    graph = lower(spelt_out(as_architecture(network, 64), dataset.num_classes), dataset.num_classes)
    with pytest.raises(ValueError, match="has no gradient"):
        importance(network, graph, "taylor")
    before = {name: value.clone() for name, value in network.state_dict().items()}
    add_gradients(network, dataset, 64, images=16)
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    found = importance(network, graph, "taylor")
    weight, norm = network.model[0].conv.weight, network.model[0].bn
    rows = sum((p * p.grad).reshape(len(p), -1).sum(1) for p in (weight, norm.weight, norm.bias)).detach()
    assert torch.allclose(found["stem"]["out"], rows.square()) and rows.abs().max() > 0


@pytest.mark.slow
def test_whoever_built_the_network(tmp_path):
    from ultralytics.nn.tasks import DetectionModel

    depths = {"yolov8n": 1, "yolov8m": 2, "yolo11n": 1, "yolo11s": 1, "yolo11m": 1, "yolo11l": 2}
    for name, depth in depths.items():
        model = DetectionModel(f"{name}.yaml", nc=CLASSES, verbose=False)
        found = as_architecture(model, 64)
        assert found.space.name == ("yolo-pruned" if "v8" in name else "yolo11-pruned")
        assert found["p2_depth"] == depth and costs(found)[1] == sum(p.numel() for p in model.parameters())
        assert costs(found) == costs(spelt_out(found, CLASSES))
        if name.endswith("n"):
            assert costs(found) == costs(preset(name))
    frames = "is not of YOLOv8's frame .* or YOLO11's frame .*, whose channels are known here"
    for name in ("yolo12n", "yolov5n", "yolo26n"):
        with pytest.raises(InputError, match=f"best.pt: {frames}"):
            as_architecture(DetectionModel(f"{name}.yaml", nc=CLASSES, verbose=False), 64, "best.pt")
    with pytest.raises(InputError, match=frames):
        as_architecture(nn.Sequential(nn.Conv2d(3, 4, 3)), 64)


@pytest.mark.parametrize("name", ["yolov8n", "yolo11n"])
def test_what_ultralytics_built_computes_the_same_when_nothing_is_taken_out(name):
    """Its pooling, among others, is built otherwise than by the module alone."""
    from ultralytics.nn.tasks import DetectionModel

    network = stirred(DetectionModel(f"{name}.yaml", nc=CLASSES, verbose=False))
    assert torch.equal(outputs(prune(network, SIZE, ratio=0.0).network), outputs(network))


def test_attention_keeps_its_heads_and_gives_as_many_channels_as_it_reads(tmp_path):
    torch.manual_seed(0)
    network = stirred(build_model(preset("yolo11n"), CLASSES))
    found = prune(network, SIZE, ratio=0.3)
    before, after = found.before, found.architecture
    assert after["p5_pool_width"] < before["p5_pool_width"] and after["attention_hidden"] == 128
    attention = found.network.model[10]
    assert attention.m[0].attn.num_heads == 2 and attention.cv2.conv.out_channels == after["p5_pool_width"]
    widths = axes_of(before)
    left, had = (sum(a[name] * len(pairs) for name, pairs in widths.items()) for a in (after, before))
    assert 0.65 * had < left <= 0.7 * had
    assert sum(p.numel() for p in found.network.parameters()) == costs(after)[1]
    path = export_onnx(found.network, tmp_path / "model.onnx", SIZE)
    assert read_network(path).macs == costs(after)[0] < 0.7 * costs(before)[0]
    assert onnx_difference(found.network, path, SIZE) < 1e-3 < onnx_difference(network, path, SIZE)
    save_checkpoint(tmp_path / "pruned.pt", found.network, SIZE)
    assert as_architecture(load_checkpoint(tmp_path / "pruned.pt"), SIZE) == after


@pytest.mark.slow
@pytest.mark.parametrize("name", ["yolov8n", "yolo11n"])
def test_a_pruned_network_does_not_grow_back(name):
    """Ultralytics' trainers build a network anew from what its `yaml` says."""
    from ultralytics.nn.tasks import DetectionModel

    found = prune(build_model(preset(name), CLASSES), SIZE, ratio=0.5).network
    again = DetectionModel(copy.deepcopy(found.yaml), nc=CLASSES, verbose=False)
    assert {n: v.shape for n, v in again.state_dict().items()} == {n: v.shape for n, v in found.state_dict().items()}
    more = DetectionModel(copy.deepcopy(found.yaml), nc=7, verbose=False)  # as for another dataset
    assert more.model[-1].nc == 7 and more.model[4].c == found.model[4].c


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ratio": 1.0}, "prune 1: must be a share of the channels from 0 to below 1; 1 would leave none"),
        ({"ratio": 0.3, "criterion": "l3"}, "criterion 'l3': must be l1, l2, lamp, bn or taylor"),
        ({}, "prune to a ratio or to a target, one of them"),
        (
            {"target": Target(lambda found: np.full(len(found), 9.0), 3.0, "MACs")},
            "MACs: 3 cannot be reached .* 9 is the nearest",
        ),
    ],
)
def test_what_cannot_be(yolov8n, options, message):
    with pytest.raises(InputError, match=message):
        prune(yolov8n, SIZE, **options)


def test_to_a_latency(yolov8n, board):
    whole = spelt_out(as_architecture(yolov8n, SIZE), CLASSES)
    usual = float(board.predict([whole], CLASSES)[0][0])
    found = prune(yolov8n, SIZE, target=latency_target(0.8 * usual, board, CLASSES))
    assert 0.6 * usual < float(board.predict([found.architecture], CLASSES)[0][0]) <= 0.8 * usual


def test_every_width_is_a_choice_of_its_own_and_exact():
    values = {**YOLOV8N, "image_size": SIZE, "p3_hidden": 24, "p4_width": 88, "p4_hidden": 33, "p4_down_width": 56}
    values |= {
        "pan_n4_down_width": 40,
        "p5_pool_width": 200,
        "head_box_width": 32,
        "head_class_width": 24,
        "stem_width": 7,
    }
    space = PrunedYoloSpace()
    found = space.of(values)
    network = build_model(found, CLASSES)
    assert sum(p.numel() for p in network.parameters()) == costs(found)[1]
    assert outputs(network).shape == (1, 4 + CLASSES, 84)
    plain = space.of({**YOLOV8N, "image_size": SIZE})
    assert costs(plain) == costs(SPACE.preset("yolov8n", image_size=SIZE))
    with pytest.raises(InputError, match="a number of channels or bottlenecks cannot be 0; it can be 1 to 4096"):
        space.of({**values, "stem_width": 0})


def test_criteria_have_their_sources():
    from evaluators.compression.importance import SOURCES

    assert set(SOURCES) == set(CRITERIA)
