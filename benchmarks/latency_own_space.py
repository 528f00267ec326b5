"""Latency predictors from 30 and from 100 measured architectures of the YOLO space, judged on the others.

Reads what latency_measure.py measured:

    python benchmarks/latency_own_space.py FOLDER
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from machine import describe
from scipy.stats import spearmanr
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import LinearRegression, RidgeCV

from evaluators import complexity
from evaluators.gaussian_process import GaussianProcess
from evaluators.inputs import choice_inputs
from evaluators.latency import LatencyPredictor
from evaluators.latency.agent import protocol
from evaluators.latency.design import select
from evaluators.latency.features import operator_work
from evaluators.latency.results import read_results
from evaluators.latency.work_model import WorkModel
from search_spaces import YoloSpace

COUNTS = (30, 100)


class Measured:
    """What one runtime took for every architecture, and what baselines see of them."""

    def __init__(self, path: Path):
        self.results = read_results(path)
        space = YoloSpace()
        known = {m.name: space.architecture(**m.architecture) for m in self.results.models}
        figures = self.results.figures
        self.reference_ms = float(np.median([f.reference_ms for f in figures]))
        self.architectures = [known[f.name] for f in figures]
        self.latency_ms = np.array([f.ratio * self.reference_ms for f in figures])
        self.by_name = dict(zip((f.name for f in figures), self.latency_ms))
        self.macs = complexity(self.architectures).macs[:, None].astype(float)
        self.work = operator_work(self.architectures).table
        genotype = space.encode(self.architectures)
        # the choices as they are, the ridge's size and widths as logarithms, and all products of two of them
        numeric = [c.name for c in space.choices if c.is_numeric]
        columns = space.columns(self.architectures)
        logs = np.log(np.stack([columns[name] for name in numeric], axis=1).astype(float))
        self.genotype = np.concatenate([genotype, logs], axis=1)
        self.choices = choice_inputs(self.architectures)


def linear_in_macs(data, fit, rest):
    weights = 1 / data.latency_ms[fit]  # relative errors count, as they do in the judgement
    model = LinearRegression().fit(data.macs[fit], data.latency_ms[fit], weights**2)
    return np.maximum(model.predict(data.macs[rest]), 1e-3)


def ridge_on_genotype(data, fit, rest):
    scale = data.genotype[fit].std(0)
    x = (data.genotype - data.genotype[fit].mean(0)) / np.where(scale > 0, scale, 1)
    model = RidgeCV(np.logspace(-3, 3, 25)).fit(x[fit], np.log(data.latency_ms[fit]))
    return np.exp(model.predict(x[rest]))


def boosted_trees(data, fit, rest):
    x = np.log1p(data.work)
    model = HistGradientBoostingRegressor(min_samples_leaf=3, max_iter=300, learning_rate=0.05, random_state=0)
    return np.exp(model.fit(x[fit], np.log(data.latency_ms[fit])).predict(x[rest]))


def gaussian_process_on_genotype(data, fit, rest):
    process = GaussianProcess.fit(
        data.choices.rows(fit), np.log(data.latency_ms[fit]) - np.log(data.latency_ms[fit]).mean()
    )
    return np.exp(process.mean(data.choices.rows(rest)) + np.log(data.latency_ms[fit]).mean())


def work_model(data, fit, rest):
    return WorkModel.fit(data.work[fit], data.latency_ms[fit]).predict(data.work[rest])


def ours(data, fit, rest):
    predictor = LatencyPredictor.fit([data.architectures[i] for i in fit], data.latency_ms[fit])
    return predictor.predict([data.architectures[i] for i in rest])


METHODS = {
    "linear in MACs": linear_in_macs,
    "ridge on the genotype": ridge_on_genotype,
    "Gaussian process on the genotype": gaussian_process_on_genotype,
    "boosted trees on operator work": boosted_trees,
    "work model alone": work_model,
    "work model + Gaussian process (ours)": ours,
}


def judge(data: Measured, method, fit) -> tuple[float, float, float, float]:
    """(share within 10%, median error, Spearman, share inside the interval) on what was not fitted."""
    rest = np.setdiff1d(np.arange(len(data.latency_ms)), fit)
    truth = data.latency_ms[rest]
    value = method(data, fit, rest)
    inside = np.nan
    if isinstance(value, tuple):
        value, low, high = value
        inside = ((low <= truth) & (truth <= high)).mean()
    error = np.abs(value / truth - 1)
    return (error <= 0.1).mean(), np.median(error), spearmanr(value, truth)[0], inside


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path, help="what latency_measure.py wrote")
    parser.add_argument("--draws", type=int, default=10, help="random draws of what is measured")
    args = parser.parse_args()
    print(describe())
    for path in sorted(args.folder.glob("*.json")):
        if path.stem.endswith("-again"):
            continue
        data = Measured(path)
        results, latencies = data.results, data.latency_ms
        spread = np.median([(f.ratio_q75 - f.ratio_q25) / f.ratio for f in results.figures])
        print(
            f"\n{results.runtime} {results.version}, {results.precision}, {results.threads} threads, {results.machine}: "
            f"{len(latencies)} random architectures, {len(results.measurements) - len(latencies)} failed, "
            f"{latencies.min():.2f} to {latencies.max():.1f} ms; interquartile range {100 * spread:.1f}% of the median "
            f"(typical)"
        )
        again = path.with_name(f"{path.stem}-again.json")
        if again.exists():
            noise_floor(data, read_results(again).figures)
        print(f"{'predictor':<38}{'measured':>20}{'within 10%':>12}{'median':>8}{'Spearman':>10}{'in interval':>13}")
        for name, method in METHODS.items():
            for count in COUNTS:
                draws = [np.random.default_rng(s).permutation(len(latencies))[:count] for s in range(args.draws)]
                show(name, f"{count} at random", [judge(data, method, fit) for fit in draws])
            if method is ours:
                for count in COUNTS:
                    fit = np.array(select(data.architectures, count))
                    show(name, f"{count} most telling", [judge(data, method, fit)])


def noise_floor(data: Measured, second) -> None:
    """How far two measurements of one network are apart, in other processes and at other times."""
    by_state = {True: [], False: []}
    for f in second:
        if f.name in data.by_name:
            first = data.by_name[f.name]
            usual = abs(f.reference_ms / data.reference_ms - 1) <= protocol.USUAL
            by_state[usual].append((first, abs(f.ratio * data.reference_ms / first - 1)))
    for usual, label in ((True, "in the usual state"), (False, "the second time in a slower state")):
        if by_state[usual]:
            first, change = np.array(by_state[usual]).T
            small = 100 * np.median(change[first < 3]) if (first < 3).any() else np.nan
            print(
                f"noise floor, {len(change)} measured twice, {label}: {100 * (change <= 0.1).mean():.0f}% within 10% of each "
                f"other, median difference {100 * np.median(change):.1f}% (below 3 ms: {small:.1f}%)"
            )


def show(name, measured, rows) -> None:
    within, median, rank, inside = np.mean(rows, axis=0)
    covered = "-" if np.isnan(inside) else f"{100 * inside:.0f}%"
    print(f"{name:<38}{measured:>20}{100 * within:>11.1f}%{100 * median:>7.1f}%{rank:>10.4f}{covered:>13}", flush=True)


if __name__ == "__main__":
    main()
