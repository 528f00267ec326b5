"""The layers of an ONNX graph: every convolution with what follows it, the head's raw outputs, and the decoding behind them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from onnx import GraphProto, NodeProto, TensorProto


def layers(graph: GraphProto) -> dict[str, frozenset[str]]:
    """Name of a convolution -> names of its layer's nodes, in the order they run; nodes must have names.

    A layer is a convolution with learnt weights and everything up to the next ones: its activation, and what adds, joins or pools
    what it gave. Where several layers come together it belongs to the one that runs last. The decoding belongs to none.
    """
    held, behind = _held(graph), decoding(graph)
    of: dict[str, int] = {}  # tensor -> number of the layer that gives it
    found: list[tuple[str, set[str]]] = []
    for node in graph.node:
        before = [of[name] for name in node.input if name in of]
        if node.name in behind or not (before or _is_learnt(node, held)):
            continue
        if _is_learnt(node, held):
            found.append((node.name, set()))
            before = [len(found) - 1]
        found[max(before)][1].add(node.name)
        of.update(dict.fromkeys(node.output, max(before)))
    return {name: frozenset(nodes) for name, nodes in found}


def decoding(graph: GraphProto) -> set[str]:
    """Names of the nodes that no convolution with learnt weights follows, but for such convolutions: boxes and scores are made of
    the head's raw outputs by them."""
    held = _held(graph)
    feeds: dict[str, list[NodeProto]] = {}  # tensor -> nodes that read it
    for node in graph.node:
        for name in node.input:
            feeds.setdefault(name, []).append(node)
    before: set[str] = set()
    for node in reversed(graph.node):
        following = [n for output in node.output for n in feeds.get(output, ())]
        if any(n.name in before or _is_learnt(n, held) for n in following):
            before.add(node.name)
    return {node.name for node in graph.node if node.name not in before and not _is_learnt(node, held)}


def raw_outputs(graph: GraphProto) -> list[tuple[str, int]]:
    """Where the decoding reads what the layers give: (name of the node, position among its inputs), in the order they run."""
    behind = decoding(graph)
    given = {name for node in graph.node if node.name not in behind for name in node.output}
    found: dict[str, tuple[str, int]] = {}  # each tensor once
    for node in graph.node:
        for position, name in enumerate(node.input if node.name in behind else ()):
            if name in given:
                found.setdefault(name, (node.name, position))
    return list(found.values())


def _held(graph: GraphProto) -> dict[str, TensorProto]:
    return {each.name: each for each in graph.initializer}


def _is_learnt(node: NodeProto, held: Mapping[str, TensorProto]) -> bool:
    """Whether it is a convolution; that of a distribution over bins (DFL), which weighs every bin with its number, is none."""
    from onnx import numpy_helper

    if node.op_type != "Conv" or node.input[1] not in held:
        return node.op_type == "Conv"
    weights = numpy_helper.to_array(held[node.input[1]])
    return weights.shape[0] != 1 or not np.array_equal(weights.ravel(), np.arange(weights.size))
