"""Depth pruning: a bottleneck that is gone is one that passes on what it reads, and those that do nothing go first."""

import copy

import pytest
import torch
from torch import nn

from evaluators.complexity import complexity
from evaluators.compression import depth as module
from evaluators.compression.depth import bottlenecks, prune_depth, without
from evaluators.compression.pruning import as_architecture
from evaluators.data import load_dataset
from evaluators.formats.onnx import stirred
from evaluators.steps import Bench, Workpiece
from evaluators.steps.prune import Prune
from evaluators.training import load_checkpoint
from evaluators.training.checkpoint import checkpoint_architecture, save_checkpoint
from search_spaces import InputError, YoloSpace, build_model, lower
from search_spaces.families import family

SPACE, SIZE, CLASSES = YoloSpace(), 64, 4
CHANGES = {"p3_block": "C3k2", "p5_block": "CSPPC", "pan_p4_depth": 2, "pan_n4_depth": 3}


def network_of(**changes):
    torch.manual_seed(0)
    return stirred(build_model(SPACE.preset("yolov8-w1/16", image_size=SIZE, **{**CHANGES, **changes}), CLASSES))


@pytest.fixture(scope="module")
def network():
    return network_of()


def outputs(network):
    image = torch.rand(1, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        return network.eval()(image)[0]


def test_a_c3k_passes_nothing_on():
    torch.manual_seed(0)
    network = stirred(build_model(family("yolo11").preset("yolo11-w1/16", image_size=SIZE, p4_depth=2), CLASSES))
    reference = copy.deepcopy(network)
    block = block_of(reference, "p4")
    with (
        torch.no_grad()
    ):  # what the first one gives is read by the second, which reads what that one read, and by no one else
        block.cv2.conv.weight[:, 2 * block.c : 3 * block.c] = 0
    block.m[0] = nn.Identity()
    found = without(network, as_architecture(network, SIZE), "p4", 0)
    assert torch.allclose(outputs(found.network), outputs(reference), rtol=1e-4, atol=1e-3)
    assert found.architecture["p4_depth"] == 1 and found.architecture["p4_c3k"]


def block_of(network, prefix):
    layers = lower(as_architecture(network, SIZE), CLASSES).layers
    return network.model[[layer.name for layer in layers].index(f"{prefix}.block")]


def test_bottlenecks_are_those_of_all_blocks(network):
    found = bottlenecks(as_architecture(network, SIZE))
    assert found[:5] == [("p2", 0), ("p3", 0), ("p3", 1), ("p4", 0), ("p4", 1)] and len(found) == 13
    assert found.count(("pan_n4", 2)) == 1 and len(set(found)) == 13
    without_neck = SPACE.preset("afpn-p3-p5", image_size=SIZE)
    assert {prefix for prefix, _ in bottlenecks(without_neck)} == {"p2", "p3", "p4", "p5"}


@pytest.mark.parametrize(
    ("prefix", "number", "is_passed_on"),
    [
        ("p2", 0, True),  # its only one
        ("p3", 0, True),
        ("p4", 1, True),
        ("p5", 0, True),
        ("pan_p4", 1, False),
        ("pan_n4", 1, False),
    ],
)
def test_what_is_gone_passes_on_what_it_reads(network, prefix, number, is_passed_on):
    before = outputs(network)
    found = without(network, as_architecture(network, SIZE), prefix, number)
    reference = copy.deepcopy(network)
    block = block_of(reference, prefix)
    block.m[number] = nn.Identity()
    if not is_passed_on:  # a bottleneck without a shortcut gives nothing of what it reads
        with torch.no_grad():
            block.cv2.conv.weight[:, (2 + number) * block.c : (3 + number) * block.c] = 0
    assert torch.allclose(outputs(found.network), outputs(reference), rtol=1e-4, atol=1e-3)
    assert not torch.allclose(outputs(found.network), before, rtol=1e-4, atol=1e-3)
    assert torch.equal(outputs(network), before)
    costs, had = (complexity([each], CLASSES) for each in (found.architecture, found.before))
    assert sum(p.numel() for p in found.network.parameters()) == costs.params[0] < had.params[0]
    assert costs.macs[0] < had.macs[0]
    assert found.architecture[f"{prefix}_depth"] == found.before[f"{prefix}_depth"] - 1


@pytest.mark.slow
def test_those_that_do_nothing_go_first(small_data, tmp_path, monkeypatch):
    network = network_of()
    with torch.no_grad():
        for prefix, number in (("p4", 0), ("p2", 0)):
            norm = block_of(network, prefix).m[number].cv2.bn
            norm.weight.zero_()
            norm.bias.zero_()
    wanted = outputs(network)  # an untrained one, whose true loss may as well fall
    monkeypatch.setattr(module, "mean_loss", lambda found, batches: float((outputs(found) - wanted).abs().mean()))
    found = prune_depth(network, SIZE, load_dataset(small_data), 2, images=8)
    assert (found.architecture["p4_depth"], found.architecture["p2_depth"]) == (1, 0)
    assert len(bottlenecks(found.architecture)) == 11
    assert torch.allclose(outputs(found.network), wanted, rtol=1e-4, atol=1e-3)
    save_checkpoint(tmp_path / "a.pt", found.network, SIZE)  # a block without any is a model like any other
    assert checkpoint_architecture(tmp_path / "a.pt")["p2_depth"] == 0
    assert as_architecture(load_checkpoint(tmp_path / "a.pt"), SIZE) == found.architecture


@pytest.mark.slow
def test_more_than_there_are(network, small_data):
    with pytest.raises(
        InputError, match="depth 14: must be the number of bottlenecks that go, 0 to 13, as many as a.pt"
    ):
        prune_depth(network, SIZE, load_dataset(small_data), 14, what="a.pt")
    assert not bottlenecks(prune_depth(network, SIZE, load_dataset(small_data), 13, images=8).architecture)


@pytest.mark.slow
def test_the_step(network, small_data, tmp_path, monkeypatch):
    given = tmp_path / "given.pt"
    save_checkpoint(given, copy.deepcopy(network), SIZE)
    before = checkpoint_architecture(given)
    piece = Workpiece(before, tmp_path, Bench(load_dataset(small_data), 1), artefacts={"weights": given})
    found = Prune(depth=2).run(piece)
    shallow = as_architecture(load_checkpoint(tmp_path / "pruned.pt"), SIZE)
    assert len(bottlenecks(shallow)) == 11 and found["params"] == complexity([shallow], CLASSES).params[0]
    assert all(shallow[name] == before[name] for name in before if not name.endswith("_depth") and name in shallow)
    monkeypatch.setattr("evaluators.compression.depth.prune_depth", lambda *a, **o: pytest.fail("looked at again"))
    piece.artefacts["weights"] = given
    assert Prune(depth=2).run(piece) == found
    monkeypatch.undo()
    piece.artefacts["weights"] = given
    narrower = Prune(depth=2, ratio=0.1, multiple=2).run(piece)
    both = as_architecture(load_checkpoint(tmp_path / "pruned.pt"), SIZE)
    assert narrower["params"] < found["params"] and len(bottlenecks(both)) == 11
    assert "depth" in Prune(depth=2).options() and "depth" not in Prune(ratio=0.1).options()
