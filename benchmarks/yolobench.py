"""YOLOBench's table of trained detectors as a search space: its choices, and a search on it.

The table is YOLOBench's (Deeplite, results/yolobench of deeplite-torch-zoo on GitHub, as one CSV with the columns family,
depth_multiple, width_multiple, image_size, map50_95 and latency_ms_*).
"""

from __future__ import annotations

import csv
import math
import time
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from nas import Objective, make_algorithm
from nas.objectives import hypervolume
from search_spaces import Choice, SearchSpace

NAMES = ("family", "depth_multiple", "width_multiple", "image_size")
OBJECTIVES = [Objective("map50_95", "max"), Objective("log_latency", "min")]
EVALUATIONS = 100


@lru_cache
def read(path: str):
    """(values of `NAMES` -> row, names of the latency columns)."""
    with open(path, newline="") as stream:
        rows = list(csv.DictReader(stream))
    table = {tuple(row[name] if name == "family" else float(row[name]) for name in NAMES): row for row in rows}
    return table, [name for name in rows[0] if name.startswith("latency_ms_")]


def make_space(table) -> SearchSpace:
    choices = [Choice(name, sorted({key[i] for key in table})) for i, name in enumerate(NAMES)]
    return SearchSpace("yolobench", choices, valid=lambda values: tuple(values[name] for name in NAMES) in table)


class Searched(NamedTuple):
    """A search: share of the table's hypervolume, and what training has cost (1 is the table's mean), after every evaluation; seconds
    spent in ask and tell."""

    shares: list[float]
    costs: list[float]
    seconds: float


def run(
    path: str,
    algorithm: str,
    device: str,
    seed: int,
    latency_known: bool = False,
    costs_known: bool = False,
    **options: object,
) -> Searched:
    """Log latency against map50_95, reference point at the largest latency and mAP 0.

    Args:
        latency_known: the algorithm may estimate the latency; otherwise it counts as expensive.
        costs_known: the algorithm is told what each training took and may estimate MACs. The table has neither: the latency on the
            next device stands in for both.
        options: of the algorithm.
    """
    import torch

    torch.set_num_threads(1)  # runs share the machine
    table, devices = read(path)
    elsewhere = devices[(devices.index(device) + 1) % len(devices)]

    def metrics(row):
        return {"map50_95": float(row["map50_95"]), "log_latency": math.log(float(row[device]))}

    def row(architecture):
        return table[tuple(architecture[name] for name in NAMES)]

    def estimate(architectures):
        rows = [row(a) for a in architectures]
        known = {}
        if latency_known:
            known["log_latency"] = np.array([metrics(r)["log_latency"] for r in rows])
        if costs_known:
            known["macs"] = np.array([float(r[elsewhere]) for r in rows])
        return known

    everything = [metrics(r) for r in table.values()]
    mean_cost = np.mean([float(r[elsewhere]) for r in table.values()])
    reference = {"map50_95": 0.0, "log_latency": max(m["log_latency"] for m in everything)}
    whole = hypervolume(everything, OBJECTIVES, reference)
    if latency_known or costs_known:
        options["estimate"] = estimate
    search = make_algorithm(algorithm, make_space(table), OBJECTIVES, seed=seed, **options)
    told, shares, costs, spent = [], [], [], 0.0
    for _ in range(EVALUATIONS):
        start = time.perf_counter()
        architecture = search.ask()
        told.append(metrics(row(architecture)))
        cost = float(row(architecture)[elsewhere]) / mean_cost
        search.tell(architecture, {**told[-1], "train_seconds": cost} if costs_known else told[-1])
        spent += time.perf_counter() - start
        shares.append(hypervolume(told, OBJECTIVES, reference) / whole)
        costs.append(cost + (costs[-1] if costs else 0.0))
    return Searched(shares, costs, spent)
