"""What choosing among offspring by their known costs is worth: hypervolume on a table of trained detectors.

The table is YOLOBench's (Deeplite, results/yolobench of deeplite-torch-zoo on GitHub, as one CSV with the columns family,
depth_multiple, width_multiple, image_size, map50_95 and latency_ms_*).

    python benchmarks/preselection.py ../shared/data/yolobench/yolobench_voc_scratch.csv
"""

from __future__ import annotations

import argparse
import csv
import math

import numpy as np

from nas import Objective, make_algorithm
from nas.objectives import hypervolume
from search_spaces import Choice, SearchSpace

NAMES = ("family", "depth_multiple", "width_multiple", "image_size")
OBJECTIVES = [Objective("map50_95", "max"), Objective("log_latency", "min")]
AFTER = (40, 60, 100)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("table")
    parser.add_argument("--seeds", type=int, default=20)
    args = parser.parse_args()
    with open(args.table, newline="") as stream:
        rows = list(csv.DictReader(stream))
    devices = [name for name in rows[0] if name.startswith("latency_ms_")]
    table = {tuple(row[name] if name == "family" else float(row[name]) for name in NAMES): row for row in rows}
    choices = [Choice(name, sorted({key[i] for key in table})) for i, name in enumerate(NAMES)]
    space = SearchSpace("yolobench", choices, valid=lambda values: tuple(values[name] for name in NAMES) in table)

    def metrics(row, device):
        return {"map50_95": float(row["map50_95"]), "log_latency": math.log(float(row[device]))}

    def share(algorithm, device, seed, known):
        def measure(architecture):
            return metrics(table[tuple(architecture[name] for name in NAMES)], device)

        def estimate(architectures):
            return {"latency": np.array([math.exp(measure(a)["log_latency"]) for a in architectures])}

        everything = [metrics(row, device) for row in rows]
        reference = {"map50_95": 0.0, "log_latency": max(m["log_latency"] for m in everything)}
        whole = hypervolume(everything, OBJECTIVES, reference)
        search = make_algorithm(algorithm, space, OBJECTIVES, seed=seed, estimate=estimate if known else None)
        told = []
        for _ in range(max(AFTER)):
            architecture = search.ask()
            told.append(measure(architecture))
            search.tell(architecture, told[-1])
        return [hypervolume(told[:n], OBJECTIVES, reference) / whole for n in AFTER]

    print(
        f"{len(table)} trained detectors, {len(devices)} devices, {args.seeds} seeds; share of the table's hypervolume after"
    )
    print(f"{'algorithm':<34}" + "".join(f"{n:>8}" for n in AFTER))
    for label, algorithm, known in (
        ("random", "random", False),
        ("evolution, costs unknown", "evolution", False),
        ("evolution, latency known in advance", "evolution", True),
    ):
        found = np.mean([share(algorithm, d, s, known) for d in devices for s in range(args.seeds)], axis=0)
        print(f"{label:<36}" + "".join(f"{v:>8.3f}" for v in found))


if __name__ == "__main__":
    main()
