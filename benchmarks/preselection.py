"""What choosing among offspring by their known costs is worth: hypervolume on a table of trained detectors (yolobench.py).

python benchmarks/preselection.py ../shared/data/yolobench/yolobench_voc_scratch.csv
"""

from __future__ import annotations

import argparse

import numpy as np
from machine import describe
from yolobench import read, run

AFTER = (40, 60, 100)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("table")
    parser.add_argument("--seeds", type=int, default=20)
    args = parser.parse_args()
    table, devices = read(args.table)
    print(describe())
    print(
        f"{len(table)} trained detectors, {len(devices)} devices, {args.seeds} seeds; share of the table's hypervolume after"
    )
    print(f"{'algorithm':<36}" + "".join(f"{n:>8}" for n in AFTER))
    for label, algorithm, known in (
        ("random", "random", False),
        ("evolution, costs unknown", "evolution", False),
        ("evolution, latency known in advance", "evolution", True),
    ):
        found = [run(args.table, algorithm, device, seed, known)[0] for device in devices for seed in range(args.seeds)]
        means = np.mean(found, axis=0)
        print(f"{label:<36}" + "".join(f"{means[n - 1]:>8.3f}" for n in AFTER), flush=True)


if __name__ == "__main__":
    main()
