"""Quantisation-aware training: what is rounded, that it teaches, and that nothing of it is left in the network."""

import numpy as np
import pytest
import torch
from torch import nn

from evaluators.compression.quantisation_aware import (
    QuantisationAware,
    _Quantised,
    rounded_activations,
    rounded_modules,
    rounded_weights,
)
from evaluators.data import load_dataset
from evaluators.steps.finetune import FineTune
from evaluators.training import Fidelity, load_checkpoint, train_long
from evaluators.training.yolov8 import DetectorTraining
from search_spaces import YoloSpace, build_model


def test_weights_are_whole_multiples_of_a_scale_per_channel():
    weights = torch.randn(6, 3, 3, 3)
    weights[2] *= 100
    found = rounded_weights(weights, 127)
    scale = weights.abs().amax((1, 2, 3), keepdim=True) / 127
    assert torch.allclose(found, (weights / scale).round() * scale, rtol=1e-5)
    assert (found - weights).abs().max() <= scale.max() / 2 * 1.001
    assert len(rounded_weights(weights, 63)[0].unique()) <= 127
    assert torch.equal(rounded_weights(torch.zeros(2, 1, 1, 1), 127), torch.zeros(2, 1, 1, 1))


@pytest.mark.parametrize("signed", [False, True])
def test_activations_keep_zero_and_have_256_steps(signed):
    values = torch.linspace(-0.3, 6, 5000)
    found = rounded_activations(values, torch.tensor(-0.3), torch.tensor(6.0), signed)
    step = (6.0 / 127) if signed else 6.3 / 255
    assert (found - values).abs().max() <= step * 0.501
    assert len(found.unique()) <= 256 and 0.0 in found
    assert torch.isfinite(rounded_activations(torch.zeros(3), torch.tensor(0.0), torch.tensor(0.0), signed)).all()


def test_every_learnt_convolution_is_rounded_once():
    network = build_model(YoloSpace().preset("light-recipe", image_size=64), 3)
    rounded = dict(rounded_modules(network))
    learnt = {n for n, m in network.named_modules() if isinstance(m, nn.Conv2d) and m.weight.requires_grad}
    dfl = {n for n in learnt if ".dfl." in n}
    for name in learnt - dfl:
        owners = [n for n in rounded if name == n or name == f"{n}.conv"]
        assert len(owners) == 1, (name, owners)
    assert not any(isinstance(m, nn.Conv2d) and f"{n.rpartition('.')[0]}" in rounded for n, m in rounded.items())


def test_gradients_reach_what_was_rounded_and_no_hook_is_left(tiny):
    network = build_model(tiny, 3)
    network.args = type("Args", (), {"box": 7.5, "cls": 0.5, "dfl": 1.5, "overlap_mask": True})()
    wrapped = _Quantised(network, QuantisationAware("unsigned")).train()
    batch = {
        "img": torch.rand(2, 3, 64, 64), "batch_idx": torch.zeros(1), "cls": torch.zeros(1, 1),
        "bboxes": torch.tensor([[0.5, 0.5, 0.4, 0.4]]),
    }  # fmt: skip
    loss, _ = wrapped(batch)
    plain, _ = network(batch)
    assert not torch.equal(loss, plain)
    loss.sum().backward()
    reached = {name for name, value in network.named_parameters() if value.grad is not None and value.grad.any()}
    network.zero_grad()
    plain.sum().backward()
    assert reached == {
        name for name, value in network.named_parameters() if value.grad is not None and value.grad.any()
    }
    assert len(reached) > 100 and not any(module._forward_hooks for module in network.modules())


@pytest.fixture(scope="module")
def dataset(small_data):
    return load_dataset(small_data)


@pytest.mark.slow
def test_one_that_is_killed_ends_like_one_that_was_not(tiny, dataset, tmp_path, monkeypatch):
    def trained(directory):
        options = {"batch": 8, "threads": 1, "extensions": [QuantisationAware("unsigned")]}
        return load_checkpoint(train_long(tiny, dataset, Fidelity(3), directory, **options).checkpoint)

    whole, save = trained(tmp_path / "whole"), DetectorTraining.save_state
    assert whole.state_dict().keys() == build_model(tiny, dataset.num_classes).state_dict().keys()

    def saving(trainer, *args, **kwargs):
        save(trainer, *args, **kwargs)
        if trainer.epoch == 0:
            raise KeyboardInterrupt

    monkeypatch.setattr(DetectorTraining, "save_state", saving)
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "cut")
    monkeypatch.undo()
    again = trained(tmp_path / "cut").state_dict()
    assert all(torch.equal(tensor, again[name]) for name, tensor in whole.state_dict().items())


def test_a_step_of_before_is_the_same_step():
    """What was fine-tuned before there was a choice is not done again."""
    assert FineTune(epochs=3).options() == {"epochs": 3, "mirrored": True}
    aware = FineTune(epochs=3, quantisation_aware=True)
    assert aware.options() != FineTune(epochs=3).options()
    assert [type(each).__name__ for each in aware.extensions()] == ["QuantisationAware"]
    assert np.isclose(FineTune(teacher="t.pt").options()["temperature"], 2.0)
