"""Complexity against the built network and thop, and its bookkeeping."""

import sys

import numpy as np
import pytest
import thop
import torch
from torch import nn

from evaluators import complexity
from search_spaces import InputError, YoloSpace, build_model

pytestmark = pytest.mark.slow

SPACE = YoloSpace()

# FLOPs (2 x MACs) at 640 px with one class, as published with the search space
GFLOPS = {"yolov8n": 8.08, "csppc": 5.87, "csppc-adown": 5.02, "csppc-adown-afpn": 5.33, "light-recipe": 12.99}


def thop_macs(model, size):
    """thop's count without normalisation (folded away at inference) and resizing, which are no multiply-accumulates."""
    free = {nn.BatchNorm2d: lambda m, x, y: None, nn.Upsample: lambda m, x, y: None}
    return thop.profile(model.eval(), [torch.zeros(1, 3, size, size)], custom_ops=free, verbose=False)[0]


def test_random_architectures_equal_the_built_network_and_thop():
    rng = np.random.default_rng(11)
    chosen = [SPACE.sample(rng) for _ in range(25)]
    costs = complexity(chosen, 3, 64)
    for i, architecture in enumerate(chosen):
        model = build_model(architecture, 3)
        assert costs.params[i] == sum(p.numel() for p in model.parameters())
        assert costs.macs[i] == thop_macs(model, 64)


@pytest.mark.parametrize("name", GFLOPS)
def test_published_flops(name):
    assert 2e-9 * complexity([SPACE.preset(name)], 1, 640).macs[0] == pytest.approx(GFLOPS[name], rel=0.01)


def test_many_at_once_equal_one_by_one():
    rng = np.random.default_rng(4)
    chosen = [SPACE.sample(rng) for _ in range(50)]
    together = complexity(chosen)
    for i, architecture in enumerate(chosen):
        alone = complexity([architecture])
        assert (alone.params[0], alone.macs[0], alone.peak_activation_bytes[0]) == (
            together.params[i],
            together.macs[i],
            together.peak_activation_bytes[i],
        )


def test_image_size_overrides_the_architectures_own():
    a = SPACE.preset("yolov8n", image_size=320)
    assert complexity([a]).macs[0] == complexity([SPACE.preset("yolov8n")], image_size=320).macs[0]
    assert complexity([a], image_size=640).macs[0] == complexity([SPACE.preset("yolov8n")]).macs[0]
    assert complexity([a], image_size=(320, 640)).macs[0] > complexity([a]).macs[0]
    with pytest.raises(InputError, match="multiple of 32"):
        complexity([a], image_size=300)


def test_nothing_in_nothing_out():
    assert complexity([]).params.shape == (0,)


def test_a_layer_without_operators_costs_nothing(monkeypatch):
    """One that only passes on what it reads, such as an identity; a resize has no parameters and no MACs either."""
    module = sys.modules["evaluators.complexity"]
    traced = module.trace

    def without_resizing(layer):
        steps, inputs, outputs = traced(layer)
        return ([], inputs, inputs) if layer.module == "Upsample" else (steps, inputs, outputs)

    architectures = [SPACE.preset("yolov8n"), SPACE.preset("yolov8n", image_size=320)]
    before = complexity(architectures)
    monkeypatch.setattr(module, "trace", without_resizing)
    after = complexity(architectures)
    assert np.array_equal(before.params, after.params) and np.array_equal(before.macs, after.macs)
    assert (after.peak_activation_bytes <= before.peak_activation_bytes).all()
