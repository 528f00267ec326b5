"""Successive halving on a table of real trainings: epochs spent for the hypervolume of training everything to the end.

    python benchmarks/rungs.py results/running/rungs.csv --plot results/running/rungs.png

The table is what benchmarks/rungs_train.py measured: mAP at every rung of trainings that paused there and went on, so a replay
spends exactly what a search would. Searches draw at random from the table's architectures (so what is compared is the use of
rungs alone), one worker, on the simulated clock; latency is predicted (epyc-onnxruntime). A model counts once it is trained to
the end.
"""

from __future__ import annotations

import argparse
import csv
from collections import defaultdict
from pathlib import Path

import numpy as np
from machine import describe
from scipy.stats import spearmanr

from evaluators import Evaluator
from nas import Objective
from nas.objectives import front, hypervolume
from nas.simulation import SimulatedWorker, simulate
from search_spaces import Choice, SearchSpace

OBJECTIVES = [Objective("map50_95", "max"), Objective("latency_ms", "min")]
SHARES = (0.9, 0.95, 0.99, 1.0)


class Table(Evaluator):
    metrics = ("map50_95", "latency_ms")

    def __init__(self, rows: dict[int, dict[float, dict]], fidelities):
        self.rows, self.fidelities = rows, tuple(fidelities)

    def evaluate(self, architecture, directory, fidelity=None):
        return self.rows[architecture["index"]][fidelity]


def read(path: Path):
    by_key = defaultdict(dict)
    with open(path, newline="") as stream:
        for row in csv.DictReader(stream):
            by_key[row["key"]][float(row["epochs"])] = {m: float(row[m]) for m in Table.metrics}
    return {f"m{i:03}": by_key[key] for i, key in enumerate(sorted(by_key))}


def curve(rows, fidelities, seed: int, reference, whole: float):
    """(epochs spent, share of the hypervolume) after every model that was trained to the end."""
    space = SearchSpace("table", [Choice("index", list(rows))])
    last = fidelities[-1]

    def epochs(job):
        before = [f for f in (0, *fidelities) if f < job.fidelity][-1]
        return job.fidelity - before

    report = simulate(
        space,
        Table(rows, fidelities),
        OBJECTIVES,
        workers=[SimulatedWorker()],
        seconds=epochs,
        max_evaluations=len(rows),
        seed=seed,
    )
    told, points = [], [(0.0, 0.0)]
    for event in report.events:
        if event.state == "finished" and event.fidelity == last:
            told.append(event.metrics)
            points.append((event.at, hypervolume(told, OBJECTIVES, reference) / whole))
    return np.array(points)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("table", type=Path)
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--plot", type=Path)
    args = parser.parse_args()
    rows = read(args.table)
    rungs = sorted(next(iter(rows.values())))
    everything = [r[rungs[-1]] for r in rows.values()]
    reference = {"map50_95": 0.0, "latency_ms": max(m["latency_ms"] for m in everything)}
    whole, total = hypervolume(everything, OBJECTIVES, reference), len(rows) * rungs[-1]
    print(describe())
    print(
        f"{len(rows)} random architectures on BCCD at 160 px, {rungs[-1]:g} epochs: {total:g} epochs train everything; "
        f"{len(front(everything, OBJECTIVES))} on the front; {args.seeds} orders"
    )
    last = [m["map50_95"] for m in everything]
    for rung in rungs[:-1]:
        early = [r[rung]["map50_95"] for r in rows.values()]
        print(f"mAP after {rung:g} epochs against {rungs[-1]:g}: Spearman {spearmanr(early, last)[0]:.2f}")
    print("\nepochs spent until a share of the hypervolume of everything; mean (and 90% of the orders need at most)")
    print(f"{'rungs':<16}" + "".join(f"{f'{share:.0%}':>18}" for share in SHARES) + f"{'of all epochs, to 99%':>24}")
    curves = {}
    for fidelities in ([rungs[-1]], rungs, rungs[1:]):
        name = ", ".join(f"{f:g}" for f in fidelities)
        curves[name] = [curve(rows, fidelities, seed, reference, whole) for seed in range(args.seeds)]
        spent = {share: np.array([c[np.argmax(c[:, 1] >= share - 1e-9), 0] for c in curves[name]]) for share in SHARES}
        cells = "".join(f"{f'{e.mean():.0f} ({np.quantile(e, 0.9):.0f})':>18}" for e in spent.values())
        print(f"{name:<16}{cells}{spent[0.99].mean() / total:>24.0%}")
    if args.plot:
        draw(curves, total, args.seeds, args.plot)


def draw(curves, total: float, seeds: int, path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7.5, 5), layout="constrained")
    grid = np.arange(0, total + 1)
    for name, some in curves.items():
        steps = np.array([c[np.searchsorted(c[:, 0], grid, side="right") - 1, 1] for c in some])
        label = f"judged at {name} epochs" if "," in name else f"{name} epochs each, no rungs"
        (line,) = axes.plot(grid, steps.mean(0), lw=2, label=label)
        axes.fill_between(grid, *np.quantile(steps, (0.1, 0.9), axis=0), color=line.get_color(), alpha=0.12, lw=0)
    axes.set(
        xlabel="epochs spent",
        ylabel="share of the hypervolume of training everything",
        xlim=(0, total),
        ylim=(0.5, 1.005),
    )
    axes.set_title(f"BCCD, 160 px: {seeds} random orders (shaded: the middle 80%)", fontsize=10)
    axes.grid(alpha=0.25)
    axes.legend(frameon=False, loc="lower right")
    figure.savefig(path, dpi=130)


if __name__ == "__main__":
    main()
