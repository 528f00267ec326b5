"""How much each width bears: every one alone, at every ratio that there is, and no rise where channels do nothing."""

import dataclasses

import pytest
import torch

from evaluators.compression.pruning import as_architecture, axes_of, prune, spelt_out
from evaluators.compression.training_loss import mean_loss, shown_batches
from evaluators.compression.width_sensitivity import COLUMNS, width_sensitivity
from evaluators.data import load_dataset
from evaluators.formats.onnx import stirred
from search_spaces import InputError, build_model

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def dataset(small_data):
    return load_dataset(small_data)


@pytest.fixture(scope="module")
def network(dataset, tiny):
    torch.manual_seed(0)
    return stirred(build_model(tiny, dataset.num_classes))


@pytest.fixture(scope="module")
def found(network, dataset):
    """(rows, what the progress was) of a network of which half of the channels of p4's block do nothing."""
    with torch.no_grad():
        last = network.model[6].cv2
        for tensor in (last.conv.weight, last.bn.weight, last.bn.bias):
            tensor[:16] = 0
    before, told = {name: value.clone() for name, value in network.state_dict().items()}, []
    rows = width_sensitivity(network, 64, dataset, images=16, progress=lambda *done: told.append(done))
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    return rows, told


def test_every_width_is_looked_at_at_every_ratio(found, network, dataset):
    rows, told = found
    whole = spelt_out(as_architecture(network, 64), dataset.num_classes)
    widths = {name: whole[name] for name in axes_of(whole)}
    assert {row["width"] for row in rows} == {name for name, channels in widths.items() if channels > 8}
    assert all(tuple(row) == COLUMNS for row in rows) and told == [(i, len(rows)) for i in range(1, len(rows) + 1)]
    of = {(row["width"], row["ratio"]): row["channels"] for row in rows}
    assert [of["p5_width", ratio] for ratio in (0.25, 0.5, 0.75)] == [48, 32, 16]
    assert [of["p4_width", ratio] for ratio in (0.25, 0.5)] == [24, 16] and of["p4_width", 0.75] == 8
    assert ("p3_width", 0.5) in of and ("p3_width", 0.75) not in of  # 8 again, as at a half
    assert next(row["layer"] for row in rows if row["width"] == "p5_hidden") == "p5.block"


def test_the_loss_is_that_of_the_network_without_the_channels(found, network, dataset):
    rows, _ = found
    batches = shown_batches(dataset, 64, 16)
    untouched = mean_loss(network, batches)
    by = {(row["width"], row["ratio"]): row for row in rows}
    assert by["p4_width", 0.5]["rise"] == pytest.approx(0, abs=1e-5)
    assert abs(by["p4_width", 0.75]["rise"]) > 1e-4
    row = by["p4_width", 0.75]
    with torch.no_grad():  # silenced in place of cut out: the same
        last = network.model[6].cv2
        norms = last.conv.weight.flatten(1).norm(dim=1)
        kept = {name: tensor.clone() for name, tensor in last.state_dict().items()}
        for tensor in (last.conv.weight, last.bn.weight, last.bn.bias):
            tensor[norms.argsort()[: 32 - row["channels"]]] = 0
    silenced = mean_loss(network, batches)
    last.load_state_dict(kept)
    assert row["loss"] == pytest.approx(silenced, rel=1e-4)
    assert row["rise"] == pytest.approx(silenced / untouched - 1, abs=1e-4)


def test_what_cannot_be(network, dataset):
    with pytest.raises(InputError, match="ratio 1: must be a share of the channels above 0 and below 1"):
        width_sensitivity(network, 64, dataset, ratios=(0.5, 1.0))
    with pytest.raises(InputError, match="multiple 3: must be an even number"):
        width_sensitivity(network, 64, dataset, multiple=3)
    fewer = dataclasses.replace(dataset, names=dataset.names[:2])
    with pytest.raises(InputError, match="best.pt: detects 4 classes, and the dataset .* has 2"):
        width_sensitivity(network, 64, fewer, what="best.pt")
    pruned = prune(network, 64, ratio=0.0).network  # in a mode of its own, which the looking leaves
    assert width_sensitivity(pruned.train(), 64, dataset, ratios=(0.9,), images=8) and pruned.training
