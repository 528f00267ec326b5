"""The layers of many networks with their costs: each different one once, and of every network which they are."""

from __future__ import annotations

from typing import Any

import numpy as np

from search_spaces import InputError
from search_spaces.graph import Layer, lower_many
from search_spaces.trace import trace

from ...storage.run import Run

Row = tuple[str, str, str, int, int]


def layers(run: Run) -> dict[str, Any] | None:
    """The layers of a run's networks; None where its space makes no networks.

    Returns:
        `table`: (name, module, CxHxW of its output, parameters, MACs); `of`: of every evaluation the layers' places in it.
    """
    architectures = [e.architecture for e in run.all_evaluations]
    if not architectures:
        return None
    size = (run.settings.get("config") or {}).get("image_size")
    table: dict[Row, int] = {}
    networks: list[list[int]] = [[] for _ in architectures]
    try:
        for rows, graph in lower_many(architectures, run.settings.get("num_classes") or 80, size):
            for layer in graph.layers:
                for part, variant in layer.variants(len(rows)):
                    for row, index in zip(rows[part].tolist(), _places(variant, len(part), table)):
                        networks[row].append(index)
    except InputError:  # a space of the user's own, or an image size of which there is no network
        return None
    return {"table": [list(row) for row in table], "of": networks}


def _places(layer: Layer, count: int, table: dict[Row, int]) -> list[int]:
    """Where a layer of `count` networks is in the table, which grows by those that are new."""
    costs = [step.cost for step in trace(layer)[0]]
    figures = [*layer.out_shapes[0], sum(params for params, _ in costs), sum(macs for _, macs in costs)]
    columns = [np.broadcast_to(np.asarray(figure, np.int64), count) for figure in figures]
    different, which = np.unique(np.stack(columns, 1), axis=0, return_inverse=True)
    places = []
    for channels, height, width, params, macs in different.tolist():
        row = (layer.name, str(layer.module), f"{channels}x{height}x{width}", params, macs)
        places.append(table.setdefault(row, len(table)))
    return [places[i] for i in which.reshape(-1).tolist()]
