"""Sparsity training: what draws on which factors, that it has its effect, and that a kill changes nothing."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from evaluators.compression.slimming import Factors, NetworkSlimming, prunable, small_factors
from evaluators.data import load_dataset
from evaluators.steps import Bench, Workpiece
from evaluators.steps.sparsity_training import SparsityTraining
from evaluators.training import DetectorTraining, Fidelity, load_checkpoint, train_long
from search_spaces import YoloSpace, build_model
from search_spaces.families.yolov8 import PrunedYoloSpace

SPACE, SIZE, CLASSES = YoloSpace(), 64, 3
STRENGTH = 0.1


def normalisations(network):
    return {name: each for name, each in network.named_modules() if isinstance(each, nn.BatchNorm2d)}


def of_pruned(preset):
    return PrunedYoloSpace().of(SPACE.preset(preset, image_size=SIZE).to_dict())


def test_axes_that_pruning_narrows():
    found = prunable(of_pruned("yolov8n"), CLASSES)
    assert found["stem"] == {"out"} and found["p4.block"] == {"out", "hidden", "m.0.inner", "m.1.inner"}
    assert found["head"] == {f"{branch}.{level}.{i}" for branch in ("cv2", "cv3") for level in range(3) for i in (0, 1)}
    afpn = prunable(of_pruned("afpn-p3-p5"), CLASSES)["head"]
    assert {"level0", "level1", "level2"} <= afpn and not any(axis.startswith("out") for axis in afpn)
    least = prunable(of_pruned("yolov8-w1/16"), CLASSES)
    assert not least["stem"] and not least["p2.down"] and least["p5.block"]


@pytest.mark.parametrize(
    ("preset", "changes", "left_out"),
    [
        ("yolov8n", {}, ()),
        ("csppc-adown", {"head_class_branch": "depthwise"}, (".0.0.bn",)),  # of what the neck gives, which has its own
        ("afpn-p3-p5", {}, (".score.", "afpn.out.")),  # channels that no pruning takes
    ],
)
def test_factors_are_all_those_of_channels_that_may_go(preset, changes, left_out):
    network = build_model(SPACE.preset(preset, image_size=SIZE, **changes), CLASSES)
    factors = Factors(network, SIZE)
    meant = {id(factor): int(share.sum()) for factor, share in factors.shares}
    assert len(meant) == len(factors.shares)
    for name, each in normalisations(network).items():
        is_meant = not any(part in name for part in left_out) or ("cv3" not in name and ".0.0.bn" in left_out)
        assert meant.get(id(each.weight), 0) == (len(each.weight) if is_meant else 0), name
    assert len(factors.values()) == sum(meant.values())


def test_the_optimizer_takes_the_gradient_of_the_norm_beside_the_clipped_one_of_the_loss():
    network = build_model(SPACE.preset("afpn-p3-p5", image_size=SIZE), CLASSES)
    wrapped, events = nn.Module(), {}
    wrapped.module = network  # as a teacher's extension leaves it
    trainer = SimpleNamespace(model=wrapped, args=SimpleNamespace(imgsz=SIZE), add_callback=events.__setitem__)
    NetworkSlimming(STRENGTH).begin(trainer)
    trainer.optimizer = torch.optim.SGD(network.parameters(), lr=1.0)
    events["on_train_start"](trainer)
    stem, scoring = network.model[0].bn, network.model[-1].afpn.rounds[0].fuse[0].score[0].bn
    with torch.no_grad():
        stem.weight[:3] = torch.tensor([-0.5, 0.0, 2.0])
    before = [stem.weight.detach().clone(), scoring.weight.detach().clone()]
    for parameter in network.parameters():
        parameter.grad = torch.full_like(parameter, 1e6)
    stem.bias.grad = None
    norm = torch.nn.utils.clip_grad_norm_(network.parameters(), 10.0)
    trainer.optimizer.step()
    clipped = 1e7 / norm
    assert torch.allclose(stem.weight - before[0], -clipped - STRENGTH * before[0].sign())
    assert torch.allclose(scoring.weight - before[1], -clipped)
    assert clipped < 0.1 * STRENGTH


def trained(folder, checkpoint, tiny, dataset, strength):
    extensions = [NetworkSlimming(strength)] if strength else []
    train_long(tiny, dataset, Fidelity(3), folder, weights=checkpoint, extensions=extensions, batch=8, threads=1)
    return load_checkpoint(folder / "last.pt")


@pytest.fixture(scope="module")
def slimmed(checkpoint, tiny, small_data, tmp_path_factory):
    return trained(tmp_path_factory.mktemp("slimmed"), checkpoint, tiny, load_dataset(small_data), STRENGTH)


@pytest.mark.slow
def test_factors_become_smaller(slimmed, checkpoint, tiny, small_data, tmp_path):
    plain = trained(tmp_path, checkpoint, tiny, load_dataset(small_data), 0.0)
    ours, theirs = Factors(slimmed, SIZE).values(), Factors(plain, SIZE).values()
    assert ours.abs().mean() < theirs.abs().mean() - 1e-3 and (ours < theirs).float().mean() > 0.9


@pytest.mark.slow
def test_a_kill_changes_nothing(slimmed, checkpoint, tiny, small_data, tmp_path, monkeypatch):
    step = DetectorTraining.optimizer_step

    def dying(self):
        if self.epoch == 1:
            raise KeyboardInterrupt
        step(self)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(DetectorTraining, "optimizer_step", dying)
        trained(tmp_path, checkpoint, tiny, load_dataset(small_data), STRENGTH)
    assert (tmp_path / "paused-1.pt").exists()
    again = trained(tmp_path, checkpoint, tiny, load_dataset(small_data), STRENGTH).state_dict()
    assert all(torch.equal(again[name], value) for name, value in slimmed.state_dict().items())


@pytest.mark.slow
def test_the_step(checkpoint, tiny, small_data, tmp_path, monkeypatch):
    piece = Workpiece(tiny, tmp_path, Bench(load_dataset(small_data), 1, batch=8), artefacts={"weights": checkpoint})
    found = SparsityTraining(epochs=2, strength=STRENGTH).run(piece)
    assert piece.artefact("weights") == tmp_path / "slim.pt"
    assert found == {"small_factors": small_factors(load_checkpoint(tmp_path / "slim.pt"), SIZE)}
    (folder,) = tmp_path.glob("sparsity_training-*")
    assert (tmp_path / "slim.pt").read_bytes() == (folder / "last.pt").read_bytes()
    assert not list(folder.glob("paused-*.pt"))
    monkeypatch.setattr(SparsityTraining, "train_on", lambda *args: pytest.fail("trained"))
    piece.artefacts["weights"] = checkpoint
    assert SparsityTraining(epochs=2, strength=STRENGTH).run(piece) == found
    piece.artefacts["weights"] = checkpoint
    with pytest.raises(pytest.fail.Exception, match="trained"):
        SparsityTraining(epochs=2, strength=2 * STRENGTH).run(piece)


def test_small_factors_are_counted():
    network = build_model(SPACE.preset("yolov8n", image_size=SIZE), CLASSES)
    assert small_factors(network, SIZE) == 0
    with torch.no_grad():
        network.model[0].bn.weight[:4] = torch.tensor([0.009, -0.009, 0.011, -0.011])
    assert small_factors(network, SIZE) == pytest.approx(2 / len(Factors(network, SIZE).values()))
