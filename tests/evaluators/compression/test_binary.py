"""Binary weights: what they are, that they learn, and that what is validated and saved are those of the averaged weights."""

import pytest
import torch
from torch import nn

from evaluators.compression.binary import Binarisation, _StraightThrough, binarised, binary, binary_bytes
from evaluators.compression.sparsity import convolutions
from evaluators.data import load_dataset
from evaluators.formats.onnx import export_onnx, stirred
from evaluators.recipe import Candidate, Recipe, run_steps
from evaluators.steps import Bench, Workpiece
from evaluators.training import Fidelity, load_checkpoint, train_long
from evaluators.training.yolov8 import DetectorTraining
from search_spaces import InputError, build_model


@pytest.fixture(scope="module")
def dataset(small_data):
    return load_dataset(small_data)


def values_of(weight):
    """Distinct values of every filter."""
    return [filter.unique().tolist() for filter in weight.detach()]


def is_binary(weight):
    return all(len(values) <= 2 and abs(values[0]) == abs(values[-1]) for values in values_of(weight))


def test_no_other_scale_is_nearer():
    weight = torch.randn(6, 4, 3, 3, generator=torch.Generator().manual_seed(0))
    found = binary(weight)
    assert torch.equal(found.sign(), weight.sign())
    for scale in (0.99, 1.01):
        assert ((weight - found).square().flatten(1).sum(1) < (weight - scale * found).square().flatten(1).sum(1)).all()
    assert is_binary(found) and values_of(binary(torch.tensor([[0.0, 2.0]]))) == [[1.0]]


def test_a_gradient_goes_straight_through():
    weight = torch.randn(3, 2, 1, 1, requires_grad=True)
    factor = torch.randn(3, 2, 1, 1)
    (_StraightThrough.apply(weight) * factor).sum().backward()
    assert torch.equal(weight.grad, factor)


def test_the_first_convolution_and_the_last_of_the_head_stay(tiny):
    network = build_model(tiny, 3)
    head = [name for name, each in network.model[-1].named_modules(prefix="model.22") if type(each) is nn.Conv2d]
    last = {name for name in head if name.count(".") == 4 and name.endswith(".2")}
    assert len(last) == 6
    assert convolutions(network).keys() - binarised(network).keys() == {"model.0.conv", *last}


def test_bytes_are_those_of_bits(tiny):
    network = build_model(tiny, 3)
    found = binarised(network).values()
    bits, filters = sum(each.weight.numel() for each in found), sum(each.out_channels for each in found)
    tensors = {n: t for n, t in network.state_dict().items() if not n.endswith("num_batches_tracked")}
    assert binary_bytes(network) == -(-(bits + 16 * (filters + sum(t.numel() for t in tensors.values()) - bits)) // 8)
    assert bits / 8 < binary_bytes(network) < 2 * sum(t.numel() for t in tensors.values())


def trained(tiny, dataset, directory, epochs=2, **options):
    extensions = [Binarisation()]
    return train_long(tiny, dataset, Fidelity(epochs), directory, batch=4, threads=1, extensions=extensions, **options)


@pytest.mark.slow
def test_what_is_validated_and_saved_are_the_binary_averaged_weights(tiny, dataset, checkpoint, tmp_path, monkeypatch):
    averaged, answers, save = {}, {}, DetectorTraining.save_model
    image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))

    def answer(network):
        with torch.no_grad():
            return network(image)[0]

    def saving(trainer):
        averaged[trainer.epoch + 1] = {n: t.clone() for n, t in trainer.ema.ema.state_dict().items()}
        answers[trainer.epoch + 1] = answer(trainer.ema.ema)  # which is what was validated
        return save(trainer)

    monkeypatch.setattr(DetectorTraining, "save_model", saving)
    result = trained(tiny, dataset, tmp_path, weights=checkpoint)
    found, given = load_checkpoint(result.checkpoint), load_checkpoint(checkpoint)
    latent, validated = (each[result.metrics["best_epoch"]] for each in (averaged, answers))
    assert {n: t.shape for n, t in found.state_dict().items()} == {n: t.shape for n, t in given.state_dict().items()}
    for name, convolution in convolutions(found).items():
        if name in binarised(found):
            weight = latent[f"{name}.weight"]
            assert type(convolution) is nn.Conv2d and is_binary(convolution.weight), name
            assert torch.equal(convolution.weight, binary(weight).half().float())
            assert not torch.equal(weight, given.get_parameter(f"{name}.weight"))  # it has learnt
        else:
            assert not is_binary(convolution.weight), name
    given.load_state_dict(latent)
    assert not torch.allclose(answer(given), validated, atol=1e-3)
    for convolution in binarised(given).values():
        convolution.weight.data = binary(convolution.weight.data)
    assert torch.allclose(answer(given), validated, atol=1e-4)


@pytest.mark.slow
def test_one_that_is_killed_ends_like_one_that_was_not(tiny, dataset, checkpoint, tmp_path, monkeypatch):
    def run(directory):
        result = trained(tiny, dataset, directory, epochs=4, weights=checkpoint)
        return load_checkpoint(result.checkpoint).state_dict()

    whole, save = run(tmp_path / "whole"), DetectorTraining.save_state

    def saving(trainer, *args, **kwargs):
        save(trainer, *args, **kwargs)
        if trainer.epoch == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(DetectorTraining, "save_state", saving)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "cut")
    monkeypatch.undo()
    again = run(tmp_path / "cut")
    assert whole.keys() == again.keys() and all(torch.equal(whole[name], again[name]) for name in whole)


@pytest.mark.slow
def test_the_step(tiny, dataset, checkpoint, tmp_path):
    piece = Workpiece(tiny, tmp_path, Bench(dataset, 1, batch=8))
    recipe = Recipe.read([{"given": {"path": str(checkpoint)}}, {"binarise": {"epochs": 1}}, "export"])
    metrics = run_steps(Candidate(tiny, recipe), piece)
    found = load_checkpoint(piece.artefact("weights"))
    assert all(is_binary(each.weight) for each in binarised(found).values())
    assert metrics["binary_bytes"] == binary_bytes(found) < checkpoint.stat().st_size
    assert piece.artefact("onnx").exists() and not list(tmp_path.rglob("paused-*.pt"))
    with pytest.raises(InputError, match="recipe: binarise: field epochs: 0: "):
        Recipe.read([{"given": {"path": "best.pt"}}, {"binarise": {"epochs": 0}}])


def test_a_binary_network_is_exported_as_it_is(tiny, tmp_path):
    import onnx
    from onnx import numpy_helper

    torch.manual_seed(0)
    network = stirred(build_model(tiny, 3))
    for convolution in binarised(network).values():
        convolution.weight.data = binary(convolution.weight.data)
    graph = onnx.load(export_onnx(network, tmp_path / "model.onnx", 64)).graph
    filters = [torch.tensor(numpy_helper.to_array(each)) for each in graph.initializer if len(each.dims) == 4]
    assert sum(is_binary(each) for each in filters) >= len(binarised(network))
