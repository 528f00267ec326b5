"""Attention: whole heads alone, and the memory of the running block."""

import numpy as np
import pytest
import torch

from search_spaces import InputError
from search_spaces.blocks import block
from search_spaces.blocks.c2psa import heads
from search_spaces.graph import IMAGE, LayerGraph, Shape
from search_spaces.trace import peak_bytes, trace
from tests.search_spaces.test_graph import MemoryTrace


def layer_of(channels, edge, **changes):
    graph = LayerGraph(Shape(channels, edge, edge), 3)
    graph.add("C2PSA", IMAGE, channels, **{"repeats": 1, **changes})
    return graph.layers[0]


@pytest.mark.parametrize(
    ("hidden", "found"), [(32, (1, 32, 16)), (96, (1, 96, 48)), (128, (2, 64, 32)), (160, (2, 80, 40))]
)
def test_heads_are_those_of_the_module(hidden, found):
    attention = block("C2PSA").build(layer_of(2 * hidden, 4)).m[0].attn
    assert heads(hidden) == found == (attention.num_heads, attention.head_dim, attention.key_dim)
    assert np.array_equal(heads(np.array([hidden, 64])), np.transpose([found, (1, 64, 32)]))


def test_heads_of_unequal_size_are_refused_before_the_network_runs():
    with pytest.raises(InputError, match="attention of 200 channels: must be the same number for each of 3 heads"):
        trace(layer_of(400, 4))
    with pytest.raises(InputError, match="must be the same number for each of"):
        heads(np.array([128, 200]))


@pytest.mark.parametrize("hidden", [64, 128, 192])
@pytest.mark.parametrize("edge", [2, 5, 8, 10, 20])
def test_peak_memory_is_that_of_the_running_block(hidden, edge):
    layer = layer_of(2 * hidden, edge, repeats=2)
    steps, inputs, outputs = trace(layer)
    module, image = block("C2PSA").build(layer).eval(), torch.rand(1, 2 * hidden, edge, edge)
    with torch.no_grad(), MemoryTrace(image) as recorded:
        output = module(image)
    assert recorded.peak([output]) == peak_bytes(steps, inputs, outputs, [False])


def test_what_is_inside_keeps_its_places():
    """Queries and keys of a channel belong together, head by head, as the module takes them apart."""
    layer = layer_of(256, 2)
    axes = block("C2PSA").axes(layer)
    assert axes.segments["m.0.values"] == (64, 64) and axes.segments["m.0.keys"] == (32, 32)
    names = np.full(256, "", "<U8")
    for name, place in axes.by_tensor()["m.0.attn.qkv.conv.weight", 0]:
        names[place.start : place.start + place.count] = name.removeprefix("m.0.")
        if name == "m.0.keys":
            assert place.start == place.first * 4 + (place.start % 128)
    assert names.tolist() == (["keys"] * 64 + ["values"] * 64) * 2
