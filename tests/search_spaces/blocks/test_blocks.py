"""Every block alone: its trace, its module and its row in a model file say the same; nothing lists the blocks."""

import sys
import types

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from ultralytics.nn.tasks import parse_model

from search_spaces.blocks import Block, block, blocks
from search_spaces.graph import IMAGE, LayerGraph, Shape
from search_spaces.trace import trace

# name -> how far it goes down
SINGLE = {"Conv": 2, "ADown": 2, "HWD": 2, "C2f": 1, "C3k2": 1, "CSPPC": 1, "SPPF": 1, "C2PSA": 1}
FORMS = [  # of a block, by its arguments
    *((name, {}) for name in SINGLE),
    ("C3k2", {"c3k": True}),
    ("C3k2", {"c3k": True, "shortcut": False, "hidden": 6}),
    ("SPPF", {"activated": True}),
    ("C2PSA", {"hidden": 10}),
    ("C2PSA", {"hidden": 192}),
]


def layer_of(name, channels=24, **changes):
    graph = LayerGraph(Shape(channels if name == "C2PSA" else 16, 32, 32), 3)
    graph.add(name, IMAGE, channels, down=SINGLE[name], **{"repeats": 2, "shortcut": True, "kernel": 5, **changes})
    return graph.layers[0]


def operations(module, shape):
    """Floating point operations of a forward pass as torch counts them: of convolutions and products of matrices."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module.eval()(torch.zeros(1, *shape))
    return counter.get_total_flops()


def test_all_are_found_by_their_files():
    assert set(blocks()) == {*SINGLE, "Upsample", "Concat", "Detect", "AFPNDetect"}
    assert [name for name, each in blocks().items() if each.is_head] == ["AFPNDetect", "Detect"]
    ours = {name for name, each in blocks().items() if not each.ships_with_ultralytics}
    assert ours == {"CSPPC", "HWD", "AFPNDetect"}
    with pytest.raises(KeyError, match="no block 'C9'; there are ADown"):
        block("C9")


def test_a_file_with_a_block_is_all_that_a_block_needs(monkeypatch):
    class Twice(Block):
        name, module = "Twice", torch.nn.Identity

    import search_spaces.blocks as room

    extra = types.ModuleType("search_spaces.blocks.twice")
    extra.BLOCK = Twice()
    monkeypatch.setitem(sys.modules, extra.__name__, extra)
    found = [types.SimpleNamespace(name=n) for n in ("conv", "twice", "axes")]
    monkeypatch.setattr(room.pkgutil, "iter_modules", lambda path: found)
    room.blocks.cache_clear()
    try:
        assert set(blocks()) == {"Conv", "Twice"} and block("Twice").ships_with_ultralytics
    finally:
        monkeypatch.undo()
        room.blocks.cache_clear()


@pytest.mark.parametrize(("name", "changes"), FORMS)
@pytest.mark.parametrize("channels", [8, 24, 64])
def test_trace_and_module_agree(name, changes, channels):
    layer = layer_of(name, channels, **changes)
    module = block(name).build(layer)
    steps, _, (output,) = trace(layer)
    with torch.no_grad():
        shape = module(torch.zeros(1, *layer.in_shapes[0])).shape
    assert shape[1:] == tuple(output.shape) == tuple(layer.out_shapes[0])
    assert sum(step.cost[0] for step in steps) == sum(p.numel() for p in module.parameters())
    if name != "HWD":  # which makes its weights anew, out of others
        assert 2 * sum(step.cost[1] for step in steps) == operations(module, layer.in_shapes[0])


@pytest.mark.parametrize(("name", "changes"), [form for form in FORMS if form[0] not in ("CSPPC", "HWD")])
def test_rows_are_read_by_ultralytics_own_parser(name, changes):
    layer = layer_of(name, 32, **changes)
    content = {"nc": 3, "backbone": [[-1, *block(name).row(layer)]], "head": [], "scale": "", "scales": {}}
    parsed, _ = parse_model(content, ch=layer.in_shapes[0].channels, verbose=False)
    ours = block(name).build(layer)
    assert {k: v.shape for k, v in parsed[0].state_dict().items()} == {k: v.shape for k, v in ours.state_dict().items()}


def test_layers_of_one_graph_have_names_of_their_own():
    graph = LayerGraph(Shape(3, 32, 32), 1)
    graph.add("Conv", IMAGE, 8, down=2, name="stem")
    with pytest.raises(ValueError, match="two layers named 'stem'"):
        graph.add("Conv", 0, 8, down=2, name="stem")
