"""Pruning in rounds: the same share goes in each, of what then matters least, and a kill costs no round that is done."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from evaluators.complexity import complexity
from evaluators.compression.iterative import Goal, prune_iteratively
from evaluators.compression.pruning import Target, as_architecture, macs_target, prune, spelt_out
from evaluators.data import load_dataset
from evaluators.formats.onnx import stirred
from evaluators.steps import Bench, Workpiece
from evaluators.steps.prune import Prune
from evaluators.training.checkpoint import load_checkpoint, save_checkpoint
from search_spaces import InputError, YoloSpace, build_model

ROOT = Path(__file__).parents[3]
SIZE, CLASSES = 64, 3


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("given") / "given.pt"
    save_checkpoint(path, stirred(build_model(YoloSpace().preset("yolov8n", image_size=SIZE), CLASSES)), SIZE)
    return path


def macs(network):
    return float(complexity([as_architecture(network, SIZE)], CLASSES).macs[0])


def turned_over(weights, folder):
    """What a training might do to the stem: the channels that mattered least matter most."""
    network = load_checkpoint(weights)
    stem = network.model[0].conv.weight.data
    norms = stem.flatten(1).norm(dim=1)
    stem *= (norms.flip(0).sort().values[norms.argsort(descending=True).argsort()] / norms).view(-1, 1, 1, 1)
    folder.mkdir()
    save_checkpoint(folder / "best.pt", network, SIZE)
    return folder / "best.pt"


def test_every_round_leaves_the_same_share():
    whole = spelt_out(YoloSpace().preset("yolov8n", image_size=SIZE), CLASSES)
    costly = Target(lambda found: np.full(len(found), 80.0), 10.0, "ms")
    steps = [Goal(target=costly).on_the_way(done / 3, whole) for done in range(4)]
    assert [step.target.most for step in steps] == pytest.approx([80, 40, 20, 10])
    assert Goal(ratio=0.75).on_the_way(0.5, whole).ratio == pytest.approx(0.5)
    assert Goal(ratio=0.3).on_the_way(1.0, whole) == Goal(ratio=0.3)
    met = Goal(target=Target(costly.cost, 100.0, "ms"))  # what costs little enough is not let grow
    assert met.on_the_way(0.5, whole).target.most == 100


@pytest.mark.slow
def test_rounds_come_to_the_target_step_by_step(weights, tmp_path):
    before = macs(load_checkpoint(weights))
    goal = Goal(target=macs_target(0.4 * before, CLASSES))
    shares = []

    def cut(network, share, whole):
        shares.append(share)
        wanted = goal if whole is None else goal.on_the_way(share, whole)
        return prune(network, SIZE, target=wanted.target, whole=whole, criterion="l1")

    found = prune_iteratively(weights, cut, turned_over, 3, tmp_path / "rounds", SIZE)
    assert shares == pytest.approx([1, 1 / 3, 2 / 3, 1])  # the first says whether the target can be met
    left = [macs(load_checkpoint(tmp_path / "rounds" / f"round-{number}.pt")) / before for number in (1, 2)]
    left.append(macs(found.network) / before)
    for number, share in enumerate(left, 1):
        assert 0.97 * 0.4 ** (number / 3) < share <= 0.4 ** (number / 3)
    assert found.before == spelt_out(as_architecture(load_checkpoint(weights), SIZE), CLASSES)
    assert complexity([found.architecture], CLASSES).macs[0] == macs(found.network)


@pytest.mark.slow
def test_every_round_goes_by_the_weights_that_it_finds(weights, tmp_path):
    def cut(network, share, whole):
        ratio = Goal(ratio=0.5).on_the_way(share, whole or network).ratio
        return prune(network, SIZE, ratio=ratio, whole=whole, per_layer=True, multiple=2)

    found = prune_iteratively(weights, cut, turned_over, 2, tmp_path / "rounds", SIZE)
    stems = [load_checkpoint(path).model[0] for path in (tmp_path / "rounds" / "round-1.pt", weights)]
    matter = [stem.conv.weight.flatten(1).norm(dim=1) for stem in stems]
    width = found.architecture["stem_width"]
    assert (len(matter[1]), len(matter[0]), width) == (16, 12, 8)
    stays = matter[0].argsort(descending=True)[:width].sort().values
    assert torch.allclose(found.network.model[0].conv.weight, stems[0].conv.weight[stays])
    at_once = prune(load_checkpoint(weights), SIZE, ratio=0.5, per_layer=True, multiple=2)
    assert at_once.architecture == found.architecture  # the ratio is of the first network's channels, to the last round
    signs = [pruned.network.model[0].conv.weight.sign() for pruned in (found, at_once)]
    assert not torch.equal(*signs)  # other channels: what was trained has only scaled them


@pytest.mark.slow
def test_rounds_that_are_done_are_not_done_again(weights, tmp_path):
    trained, dies = [], True

    def train(checkpoint, folder):
        trained.append(checkpoint.name)
        if dies and checkpoint.name == "pruned-2.pt":
            folder.mkdir()
            raise KeyboardInterrupt
        folder.mkdir(exist_ok=True)
        save_checkpoint(folder / "best.pt", load_checkpoint(checkpoint), SIZE)
        return folder / "best.pt"

    def cut(network, share, whole):
        return prune(network, SIZE, ratio=0.3 * share, whole=whole)

    folder = tmp_path / "rounds"
    with pytest.raises(KeyboardInterrupt):
        prune_iteratively(weights, cut, train, 3, folder, SIZE)
    written = {name: (folder / name).stat().st_mtime_ns for name in ("pruned-1.pt", "round-1.pt", "pruned-2.pt")}
    dies = False
    prune_iteratively(weights, cut, train, 3, folder, SIZE)
    assert trained == ["pruned-1.pt", "pruned-2.pt", "pruned-2.pt"]
    assert {name: (folder / name).stat().st_mtime_ns for name in written} == written


@pytest.fixture
def piece(tiny, checkpoint, small_data, tmp_path):
    bench = Bench(load_dataset(small_data), 1, batch=8)
    return Workpiece(tiny, tmp_path, bench, artefacts={"weights": checkpoint})


@pytest.mark.slow
def test_what_is_out_of_reach_is_said_before_anything_is_trained(piece, monkeypatch):
    monkeypatch.setattr(Prune, "train_on", lambda *args: pytest.fail("trained"))
    with pytest.raises(InputError, match="MACs: 10 cannot be reached by taking channels out"):
        Prune(to_macs=10, rounds=3).run(piece)
    assert not list(piece.directory.iterdir())


@pytest.mark.slow
def test_other_options_have_rounds_of_their_own(piece, checkpoint, monkeypatch):
    def train(step, piece, weights, epochs, folder):
        folder.mkdir(parents=True)
        save_checkpoint(folder / "best.pt", load_checkpoint(weights), SIZE)
        return type("Result", (), {"checkpoint": folder / "best.pt"})

    monkeypatch.setattr(Prune, "train_on", train)
    folders = set()
    for options in ({}, {"epochs_between": 2}, {"ratio": 0.2}, {"rounds": 3}, {}):
        Prune(**{"ratio": 0.3, "multiple": 2, "rounds": 2, **options}).run(piece)
        folders.add(frozenset(piece.directory.glob("prune-*")))
        piece.artefacts["weights"] = checkpoint
    assert sorted(map(len, folders)) == [1, 2, 3, 4]


def test_what_has_no_effect_is_no_option():
    """So that records of steps that were done before there were rounds still hold."""
    alone = Prune(ratio=0.3)
    assert alone.options().keys() == {
        *("ratio", "to_macs", "to_params", "to_latency_ms", "device", "criterion", "per_layer", "multiple")
    }
    assert alone.options() == Prune(ratio=0.3, epochs_between=9, teacher="t.pt", mirrored=False).options()
    assert alone.digest(None) is None
    more = Prune(ratio=0.3, rounds=2).options()
    assert more["rounds"] == 2 and more["epochs_between"] == 5 and "teacher" not in more


@pytest.mark.slow
def test_one_that_is_killed_in_a_training_ends_like_one_that_was_not(checkpoint, small_data, tiny, tmp_path):
    code = f"""
import os, signal, sys
from pathlib import Path
from evaluators.data import load_dataset
from evaluators.steps import Bench, Workpiece
from evaluators.steps.prune import Prune
from evaluators.training import DetectorTraining, load_checkpoint
from evaluators.training.checkpoint import checkpoint_architecture
step = DetectorTraining.optimizer_step
def dying(self):
    if self.epoch == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    step(self)
folder, dies = Path(sys.argv[1]), sys.argv[2] == "dies"
if dies:
    DetectorTraining.optimizer_step = dying
given = Path({str(checkpoint)!r})
bench = Bench(load_dataset({str(small_data)!r}), 1, batch=8)
piece = Workpiece(checkpoint_architecture(given), folder, bench, artefacts={{"weights": given}})
Prune(ratio=0.3, multiple=2, rounds=2, epochs_between=2, criterion="taylor").run(piece)
"""

    def run(folder, how):
        folder.mkdir(exist_ok=True)
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-c", code, str(folder), how]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    assert run(tmp_path / "killed", "dies").returncode == -signal.SIGKILL
    (rounds,) = (tmp_path / "killed").glob("prune-*")
    first = (rounds / "pruned-1.pt").stat().st_mtime_ns
    assert (rounds / "round-1" / "paused-1.pt").exists() and not (tmp_path / "killed" / "pruned.pt").exists()
    for folder, how in ((tmp_path / "killed", "goes on"), (tmp_path / "whole", "undisturbed")):
        done = run(folder, how)
        assert done.returncode == 0, done.stderr
    assert (rounds / "pruned-1.pt").stat().st_mtime_ns == first
    ours, theirs = (load_checkpoint(tmp_path / name / "pruned.pt").state_dict() for name in ("killed", "whole"))
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert {path.name for path in rounds.iterdir()} == {"pruned-1.pt", "round-1", "round-1.pt"}
    assert not list(rounds.rglob("paused-*.pt"))
