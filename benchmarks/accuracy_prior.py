"""The accuracy prior: how well it ranks architectures of a data set that it has not seen; fitted on all, it is written.

    python benchmarks/accuracy_prior.py results/ground-truth/digits.csv results/ground-truth/bccd.csv \\
        --output evaluators/priors/yolov8.json

Of every table: Kendall tau with the mean mAP of its architectures, of the prior that was fitted on the others alone, of costs,
and, as the ceiling, of single trainings with the mean of all others of the same architectures.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from machine import describe

from evaluators.ground_truth.simulated import estimate_noise
from evaluators.ground_truth.table import Table, read_table
from evaluators.prior import AccuracyPrior, kendall_tau
from search_spaces.writing import write_text

SHOWN = 16  # features


def ceiling(table: Table) -> str:
    """Tau of the first trainings with the means of the others, over the architectures that have several."""
    rows = [table.rows_of(a.key) for a, count in zip(table.architectures, table.counts) if count > 1]
    if len(rows) < 5:
        return "-"
    accuracy = table.column("map50_95")
    tau = kendall_tau([accuracy[r[0]] for r in rows], [accuracy[r[1:]].mean() for r in rows])
    return f"{tau:.2f} (of {len(rows)})"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("tables", nargs="+", type=Path)
    parser.add_argument("--output", type=Path)
    args = parser.parse_args()
    print(describe())
    tables = {path.stem: read_table(path) for path in args.tables}
    prior = AccuracyPrior.fit(tables)
    print(
        f"{'':<14}{'models':>8}{'epochs':>8}{'mAP, mean':>11}{'deviation':>11}{'noise':>8}{'tau of: MACs':>14}{'params':>8}"
        f"{'prior of others':>17}{'correlation':>13}{'prior of all':>14}{'one seed of others':>20}"
    )
    for name, table in tables.items():
        measured, seen = table.mean("map50_95"), prior.data_sets[name]
        said = prior.predict(table.architectures, table.about.num_classes)
        unseen = ["-" if value is None else f"{value:.2f}" for value in (seen.kendall_tau, seen.correlation)]
        costs = [kendall_tau(table.mean(cost), measured) for cost in ("macs", "params")]
        print(
            f"{name:<14}{len(measured):>8}{table.about.epochs:>8}{measured.mean():>11.3f}{measured.std():>11.3f}"
            f"{estimate_noise(table).around(measured).mean():>8.3f}{costs[0]:>14.2f}{costs[1]:>8.2f}"
            f"{unseen[0]:>17}{unseen[1]:>13}{kendall_tau(said, measured):>14.2f}{ceiling(table):>20}"
        )
    print(f"ridge strength {prior.strength:.3g}; error of a score {prior.deviation:.2f} deviations")
    print("what it has learnt (score for one deviation of the feature):")
    order = np.argsort(-np.abs(prior.coefficients))[:SHOWN]
    for i in order:
        print(f"  {prior.features[i]:<28}{prior.coefficients[i]:>8.3f}")
    if args.output:
        write_text(args.output, prior.to_json())
        print(f"written: {args.output}")


if __name__ == "__main__":
    main()
