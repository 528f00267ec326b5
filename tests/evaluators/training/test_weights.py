"""Weights taken over: as much as fits is, the rest stays, and it is said how much."""

import pytest
import torch

from evaluators.training import load_checkpoint, take_over
from search_spaces import InputError, YoloSpace, build_model

NAMES = {0: "zero", 1: "one"}


def network(names=NAMES, **changes):
    return build_model(YoloSpace().preset("yolov8-w1/16", image_size=64, **changes), len(names), names)


def filled(model, value):
    for parameter in model.parameters():
        parameter.data.fill_(value)
    return model


def test_all_of_the_same_network():
    model, source = network(), filled(network(), 2.0)
    taken = take_over(model, source, "x")
    assert taken.tensors == taken.all_tensors and taken.params == taken.all_params and not taken.other_classes
    assert taken.all_params == sum(parameter.numel() for parameter in model.parameters())
    assert all((parameter == 2.0).all() for parameter in model.parameters())
    assert str(taken) == f"{taken.tensors} of {taken.tensors} tensors, {taken.params:,} of {taken.params:,} parameters"


@pytest.mark.parametrize("names", [{0: "a", 1: "b"}, {0: "a", 1: "b", 2: "c"}], ids=["as many", "more"])
def test_what_tells_other_classes_apart_is_made_anew(names):
    model, source = network(), filled(network(names), 2.0)
    taken = take_over(model, source, "x")
    assert taken.other_classes and "the last layers of the head are made anew" in str(taken)
    kept = [name for name, parameter in model.named_parameters() if not (parameter == 2.0).all()]
    assert len(kept) == 6 and all(
        name.startswith("model.22.cv3.") and ".2." in name for name in kept
    )  # weight and bias, 3 levels


def test_of_another_width_only_what_fits():
    model, source = network(), filled(network(p5_width=128), 2.0)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    taken = take_over(model, source, "x")
    assert 0 < taken.tensors < taken.all_tensors and 0 < taken.params < taken.all_params
    theirs = source.state_dict()
    for name, tensor in model.state_dict().items():
        fits = name in theirs and theirs[name].shape == tensor.shape and not name.endswith("num_batches_tracked")
        assert torch.equal(tensor, theirs[name] if fits else before[name])


def test_where_nothing_fits_it_is_said():
    model, source = network(), network()
    renamed = {f"other.{name}": tensor for name, tensor in source.state_dict().items()}
    source.state_dict = lambda: renamed
    with pytest.raises(InputError, match="none of the .* tensors of my.pt has the name and the shape .* from scratch"):
        take_over(model, source, "my.pt")


@pytest.mark.slow
def test_a_checkpoint_of_training_fits_its_own_architecture(checkpoint, tiny):
    names = load_checkpoint(checkpoint).names
    taken = take_over(build_model(tiny, len(names), names), load_checkpoint(checkpoint), "x")
    assert taken.tensors == taken.all_tensors and not taken.other_classes
