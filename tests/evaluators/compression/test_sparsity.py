"""Unstructured pruning: which weights become zero, how many when, and that they are exactly zero after whatever trains on."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from evaluators.compression import sparsity as module
from evaluators.compression.sparsity import (
    LEAST,
    MEANT,
    FixedZeros,
    GrowingZeros,
    convolutions,
    growth,
    smallest,
    sparsify,
    sparsity,
)
from evaluators.data import load_dataset
from evaluators.file_metrics import evaluate_file
from evaluators.formats.network import network_in
from evaluators.formats.onnx import export_onnx, stirred
from evaluators.recipe import Candidate, Recipe, run_steps
from evaluators.steps import Bench, Workpiece
from evaluators.steps.sparsify import Sparsify
from evaluators.training import Fidelity, load_checkpoint, train_long
from evaluators.training import long as long_training
from evaluators.training.yolov8 import DetectorTraining
from search_spaces import InputError, build_model

ROOT = Path(__file__).parents[3]
CLASSES = 3


@pytest.fixture
def network(tiny):
    torch.manual_seed(0)
    return stirred(build_model(tiny, CLASSES))


@pytest.fixture(scope="module")
def dataset(small_data):
    return load_dataset(small_data)


@pytest.fixture(scope="module")
def sparse(checkpoint, tmp_path_factory):
    """A checkpoint of which 0.8 of the weights of every layer are zero."""
    model, path = load_checkpoint(checkpoint), tmp_path_factory.mktemp("sparse") / "sparse.pt"
    sparsify(model, 0.8, per_layer=True)
    torch.save({"model": model.half()}, path)
    return path


def weights(network):
    return {name: convolution.weight.detach() for name, convolution in convolutions(network).items()}


def zeros_of(network):
    return {name: weight == 0 for name, weight in weights(network).items()}


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_the_least_weights_of_all_go(network):
    before = {name: weight.clone() for name, weight in weights(network).items()}
    others = {n: v.clone() for n, v in network.state_dict().items() if n.removesuffix(".weight") not in before}
    sparsify(network, 0.7)
    gone = torch.cat([before[name][zero].abs() for name, zero in zeros_of(network).items()])
    left = torch.cat([before[name][~zero].abs() for name, zero in zeros_of(network).items()])
    assert gone.max() < left.min() and len(gone) == int(0.7 * (len(gone) + len(left)))
    assert all(torch.equal(weight[weight != 0], before[name][weight != 0]) for name, weight in weights(network).items())
    assert all(torch.equal(value, network.state_dict()[name]) for name, value in others.items())
    shares = [float(zero.float().mean()) for zero in zeros_of(network).values()]
    assert max(shares) - min(shares) > 0.2 and sparsity(network) == pytest.approx(0.7, abs=1e-4)


def test_the_least_of_every_layer_go(network):
    for name, zero in smallest(network, 0.7, per_layer=True).items():
        assert int(zero.sum()) == int(0.7 * zero.numel()), name
        magnitudes = weights(network)[name].abs()
        assert magnitudes[zero].max() < magnitudes[~zero].min()


def test_bins_and_wavelets_are_no_weights_that_may_go(network):
    names = {name for name, each in network.named_modules() if isinstance(each, nn.Conv2d)}
    assert names - convolutions(network).keys() == {"model.22.dfl.conv", "model.5.conv"}
    assert type(network.model[5]).__name__ == "HWD"


@pytest.mark.parametrize("share", [0, 0.05, 1, float("nan"), -1])
def test_shares_that_there_cannot_be(network, share):
    with pytest.raises(InputError, match=r"must be a share of the weights from 0.1 to below 1"):
        sparsify(network, share)


@pytest.mark.parametrize("options", [{"sparsity": 0.05}, {"sparsity": 1}, {"sparsity": True}, {"epochs": -1}])
def test_options_that_there_cannot_be(options):
    name = next(iter(options))
    with pytest.raises(InputError, match=f"recipe: sparsify: field {name}: "):
        Recipe.read([{"given": {"path": "best.pt"}}, {"sparsify": options}])


def test_the_step_asks_for_no_less_than_what_is_taken_to_be_meant():
    (field,) = [each.ge for each in Sparsify.model_fields["sparsity"].metadata if hasattr(each, "ge")]
    assert field == LEAST > MEANT


def test_options_of_a_training_do_not_matter_without_one():
    told = {"sparsity": 0.5, "per_layer": False, "epochs": 0}
    assert Sparsify(teacher="x.pt", mirrored=False).options() == told
    assert Sparsify(epochs=2, mirrored=False).options()["mirrored"] is False


def test_without_nni(network, monkeypatch):
    monkeypatch.setitem(sys.modules, "nni.compression.pruning", None)
    with pytest.raises(InputError, match="sparsify: needs nni, which is not installed"):
        sparsify(network, 0.5)


def test_growth_is_the_cubic_of_agp():
    assert [growth(x) for x in (0, 0.25, 0.5, 1, 2)] == pytest.approx([0, 1 - 0.75**3, 1 - 0.5**3, 1, 1])


def test_an_export_has_the_zeros(network, tmp_path):
    """Folding batch normalisation scales filters, and moves no zero."""

    def exported():
        found = network_in(export_onnx(network, tmp_path / "model.onnx", 64))
        return round(found.zeros * found.params)

    before = exported()  # biases that are zero
    sparsify(network, 0.8)
    assert exported() - before == sum(int(zero.sum()) for zero in zeros_of(network).values())


@pytest.mark.slow
def test_a_sparse_file_is_judged_with_its_zeros(sparse, dataset):
    network = load_checkpoint(sparse)
    found = evaluate_file(sparse, dataset, image_size=64, with_latency=False, threads=1)
    zeros = sum(int((p == 0).sum()) for p in network.parameters())
    assert found.zeros == pytest.approx(zeros / found.params) and 0.6 < found.zeros < 0.8


@pytest.mark.slow
def test_nni_leaves_nothing_and_says_nothing(tmp_path):
    code = """
import sys
from evaluators.compression.sparsity import smallest
from search_spaces import YoloSpace, build_model
network = build_model(YoloSpace().preset("yolov8-w1/16", image_size=64), 3)
done = []
def watch(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "subprocess.Popen", "os.mkdir"):
        done.append((event, str(arguments)))
    if event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+"):
        done.append((event, str(arguments)))
sys.addaudithook(watch)
print("begin")
smallest(network, 0.5)
import logging
logging.getLogger("nni.compression").info("said by nni")
print(done)
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HOME": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert run.stdout.endswith("begin\n[]\n") and not list(tmp_path.rglob("*"))


def test_gradients_of_zeros_are_zero(network):
    """So that the norm which gradients are clipped by is that of weights that can move."""

    class Trainer:
        model = network

        def add_callback(self, event, function):
            self.event, self.function = event, function

    sparsify(network, 0.5)
    trainer, extension = Trainer(), FixedZeros()
    extension.begin(trainer)
    network(torch.rand(1, 3, 64, 64))[0].sum().backward()
    for name, convolution in convolutions(network).items():
        assert not convolution.weight.grad[extension.zeros[name]].any()
    assert network.model[0].conv.weight.grad.any()
    trainer.optimizer = torch.optim.SGD(network.parameters(), 0.1)
    trainer.function(trainer)
    with torch.no_grad():
        network.model[0].conv.weight += 1
    trainer.optimizer.step()
    assert not network.model[0].conv.weight[extension.zeros["model.0.conv"]].any()


def trained(tiny, dataset, directory, epochs=3, **options):
    return train_long(tiny, dataset, Fidelity(epochs), directory, batch=4, threads=1, **options)


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [{}, {"optimizer": "MuSGD", "lr0": 0.01, "weight_decay": 0.0005}, {"optimizer": "SGD", "lr0": 0.01}],
    ids=lambda settings: settings.get("optimizer", "ours"),
)  # `auto` comes to the first or the second
def test_zeros_stay_zero_whatever_steps(tiny, dataset, sparse, tmp_path, settings):
    given, options = load_checkpoint(sparse), {"settings": settings, "weights": sparse, "epochs": 1}
    result = trained(tiny, dataset, tmp_path, extensions=[FixedZeros()], **options)
    found = load_checkpoint(result.checkpoint)
    for name, zero in zeros_of(given).items():
        assert not weights(found)[name][zero].any(), name
    moved = [name for name, weight in weights(found).items() if not torch.equal(weight, weights(given)[name])]
    assert len(moved) > 0.9 * len(weights(found)) and sparsity(found) == pytest.approx(sparsity(given), abs=1e-3)


@pytest.mark.slow
def test_a_fine_tuning_keeps_zeros_by_itself_where_they_are_meant(tiny, dataset, sparse, checkpoint, tmp_path):
    model = load_checkpoint(checkpoint)
    module.set_to_zero(model, smallest(model, 0.03))  # as if by chance
    few = tmp_path / "few.pt"
    torch.save({"model": model.half()}, few)
    for path, least, most in ((sparse, 0.795, 0.805), (few, 0.0, 0.015)):
        piece = Workpiece(tiny, tmp_path / path.stem, Bench(dataset, 1, batch=8))
        piece.directory.mkdir()
        recipe = Recipe.read([{"given": {"path": str(path)}}, {"finetune": {"epochs": 1}}])
        run_steps(Candidate(tiny, recipe), piece)
        assert least <= sparsity(load_checkpoint(piece.artefact("weights"))) < most


@pytest.mark.slow
@pytest.mark.parametrize("per_layer", [False, True])
def test_zeros_grow_in_training_and_what_is_kept_has_all_of_them(
    tiny, dataset, checkpoint, tmp_path, monkeypatch, per_layer
):
    """Though the accuracy of the epochs before was better."""
    seen = []

    def judged(trainer):
        seen.append((sparsity(trainer.ema.ema), sparsity(trainer.model), zeros_of(trainer.ema.ema)))
        return {"map50_95": 1 / (trainer.epoch + 1), "map50": 0.0}

    monkeypatch.setattr(long_training, "judged", judged)
    growing, options = GrowingZeros(0.8, per_layer), {"weights": checkpoint, "epochs": 6}
    watched = DetectorTraining.save_state

    def save_state(trainer, *args, **kwargs):
        judged(trainer)
        watched(trainer, *args, **kwargs)

    monkeypatch.setattr(DetectorTraining, "save_state", save_state)
    result = trained(tiny, dataset, tmp_path, extensions=[growing], **options)
    shares = [averaged for averaged, _, _ in seen]
    assert 0.3 < shares[0] < 0.79 and shares == sorted(shares) and shares[-1] == pytest.approx(0.8, abs=0.01)
    assert all(averaged == now for averaged, now, _ in seen)
    for (_, _, earlier), (_, _, later) in zip(seen, seen[1:]):
        assert all(bool(later[name][zero].all()) for name, zero in earlier.items())
    assert result.metrics["best_epoch"] == 3  # of 6, after which they are all there
    found = zeros_of(load_checkpoint(result.checkpoint))
    assert sparsity(load_checkpoint(result.checkpoint)) == pytest.approx(0.8, abs=0.01)
    each = [float(zero.float().mean()) for zero in found.values() if zero.numel() > 100]
    assert (max(each) - min(each) < 0.02) == per_layer


@pytest.mark.slow
@pytest.mark.parametrize(
    ("extension", "epoch"), [(FixedZeros, 1), (lambda: GrowingZeros(0.7), 0)], ids=["fixed", "growing"]
)
def test_one_that_is_killed_ends_like_one_that_was_not(
    tiny, dataset, sparse, checkpoint, tmp_path, monkeypatch, extension, epoch
):
    begun_with = sparse if extension is FixedZeros else checkpoint

    def run(directory):
        options = {"weights": begun_with, "epochs": 4, "extensions": [extension()]}
        return load_checkpoint(trained(tiny, dataset, directory, **options).checkpoint).state_dict()

    whole, save = run(tmp_path / "whole"), DetectorTraining.save_state

    def saving(trainer, *args, **kwargs):
        save(trainer, *args, **kwargs)
        if trainer.epoch == epoch:
            raise KeyboardInterrupt

    monkeypatch.setattr(DetectorTraining, "save_state", saving)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "cut")
    monkeypatch.undo()
    assert same(whole, run(tmp_path / "cut"))


@pytest.mark.slow
def test_the_step(tiny, dataset, checkpoint, tmp_path):
    """At once and in training, each once, and the file of one is not another's."""
    piece = Workpiece(tiny, tmp_path, Bench(dataset, 1, batch=8))
    steps = [{"finetune": {"epochs": 1}}, {"sparsify": {"sparsity": 0.6, "epochs": 2}}, "export"]
    recipe = Recipe.read([{"given": {"path": str(checkpoint)}}, *steps])
    metrics = run_steps(Candidate(tiny, recipe), piece)
    found = load_checkpoint(piece.artefact("weights"))
    assert metrics["sparsity"] == sparsity(found) == pytest.approx(0.6, abs=0.01) and metrics["train_seconds"] > 0
    assert not list(tmp_path.rglob("paused-*.pt"))
    made = piece.artefact("weights").stat().st_mtime_ns
    assert run_steps(Candidate(tiny, recipe), Workpiece(tiny, tmp_path, Bench(dataset, 1, batch=8))) == metrics
    assert piece.artefact("weights").stat().st_mtime_ns == made
    once = Recipe.read([{"given": {"path": str(checkpoint)}}, {"sparsify": {"sparsity": 0.6}}])
    assert run_steps(Candidate(tiny, once), piece)["train_seconds"] == 0
    assert sparsity(load_checkpoint(piece.artefact("weights"))) == pytest.approx(0.6, abs=0.01)
