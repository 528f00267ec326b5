"""YOLOBench's table of trained detectors as a search space: its choices, and a search on it.

The table is YOLOBench's (Deeplite, results/yolobench of deeplite-torch-zoo on GitHub, as one CSV with the columns family,
depth_multiple, width_multiple, image_size, map50_95 and latency_ms_*).
"""

from __future__ import annotations

import csv
import math
import time
from functools import lru_cache

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


def run(path: str, algorithm: str, device: str, seed: int, latency_known: bool = False) -> tuple[list[float], float]:
    """(share of the table's hypervolume after every evaluation, seconds spent in ask and tell).

    Log latency against map50_95, reference point at the largest latency and mAP 0. Latency counts as expensive unless
    `latency_known`: then it is what the algorithm may estimate.
    """
    import torch

    torch.set_num_threads(1)  # runs share the machine
    table, _ = read(path)

    def metrics(row):
        return {"map50_95": float(row["map50_95"]), "log_latency": math.log(float(row[device]))}

    def measure(architecture):
        return metrics(table[tuple(architecture[name] for name in NAMES)])

    def estimate(architectures):
        return {"log_latency": np.array([measure(a)["log_latency"] for a in architectures])}

    everything = [metrics(row) for row in table.values()]
    reference = {"map50_95": 0.0, "log_latency": max(m["log_latency"] for m in everything)}
    whole = hypervolume(everything, OBJECTIVES, reference)
    options = {"estimate": estimate} if latency_known else {}
    search = make_algorithm(algorithm, make_space(table), OBJECTIVES, seed=seed, **options)
    told, shares, spent = [], [], 0.0
    for _ in range(EVALUATIONS):
        start = time.perf_counter()
        architecture = search.ask()
        told.append(measure(architecture))
        search.tell(architecture, told[-1])
        spent += time.perf_counter() - start
        shares.append(hypervolume(told, OBJECTIVES, reference) / whole)
    return shares, spent
