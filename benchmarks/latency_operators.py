"""Operator tables: latencies of single convolutions on a V100 from a tenth of the table, judged on the rest.

The table is that of alibaba/lightweight-neural-architecture-search on GitHub (conv_data.out.fp16; TensorRT FP16; lines
`{type,batch,in,H,W,out,kernel,stride,fused} ms`, -1 for a failed measurement).

    python benchmarks/latency_operators.py ../shared/data/v100_conv/conv_data.out.fp16
"""

from __future__ import annotations

import argparse
import re
import time

import numpy as np
from machine import describe
from scipy.optimize import nnls
from scipy.spatial import cKDTree
from scipy.stats import spearmanr
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import LinearRegression

from evaluators.latency import LatencyPredictor
from search_spaces import Choice, SearchSpace

NAMES = ("type", "batch", "in", "size", "out", "kernel", "stride", "fused")
PROCESS = 2000  # rows that the Gaussian process is given: its cost grows with their cube
TREES = {"max_iter": 1500, "learning_rate": 0.05, "min_samples_leaf": 5, "max_features": 0.5}


def read(path) -> tuple[np.ndarray, np.ndarray, int]:
    """(columns of `NAMES`, ms, failed measurements); of a row that is there twice the last one counts."""
    rows, failed = {}, 0
    with open(path) as stream:
        for line in stream:
            kind, numbers, ms = re.match(r"\{(\w+),(.*)\}\s+(\S+)", line).groups()
            batch, channels, height, _, out, kernel, stride, fused = map(int, numbers.split(","))
            if float(ms) <= 0:
                failed += 1
                continue
            rows[(kind == "Depthwise", batch, channels, height, out, kernel, stride, fused)] = float(ms)
    return np.array(list(rows), float), np.array(list(rows.values())), failed


def amounts(x):
    """(MACs, values moved, weights) of every row."""
    depthwise, batch, channels, size, out, kernel, stride, _ = x.T
    pixels = batch * np.ceil(size / stride) ** 2
    weights = out * np.where(depthwise, 1, channels) * kernel**2
    return pixels * weights, batch * channels * size**2 + pixels * out, weights, pixels


def roofline(x, y, fit):
    """log ms of every row as a sum of a fixed part, MACs and values moved, each at a positive fitted price."""
    macs, moved, weights, _ = amounts(x)
    depthwise = x[:, 0]
    parts = np.stack([np.ones(len(x)), macs * (1 - depthwise), macs * depthwise, moved, weights], axis=1)
    prices, _ = nnls(parts[fit] / y[fit, None], np.ones(len(fit)))  # least squares of the relative error
    return np.log(parts @ prices)


def linear(x, y, fit, rest):
    macs, moved, weights, _ = amounts(x)
    parts = np.stack([macs, moved, weights], axis=1)
    return LinearRegression().fit(parts[fit], y[fit]).predict(parts[rest])


def places(x):
    """Rows as points: logarithms of what is a size; another type or fusion is far away."""
    return np.concatenate([np.log(x[:, 1:7]), 10 * x[:, [0]], 3 * x[:, [7]]], axis=1)


def nearest_entry(x, y, fit, rest):
    return y[fit][cKDTree(places(x)[fit]).query(places(x)[rest])[1]]


def interpolated_table(x, y, fit, rest):
    """The eight nearest entries, weighted by inverse distance, as multiples of what the roofline says of them."""
    base = roofline(x, y, fit)
    distance, index = cKDTree(places(x)[fit]).query(places(x)[rest], k=8)
    weights = 1 / np.maximum(distance, 1e-9) ** 2
    ratio = (np.log(y[fit]) - base[fit])[index]
    return np.exp(base[rest] + (weights * ratio).sum(1) / weights.sum(1))


def gaussian_process(x, y, fit, rest):
    space = SearchSpace("operators", [
        Choice(name, sorted(map(str, set(x[:, i]))) if name in ("type", "fused") else sorted(set(x[:, i])))
        for i, name in enumerate(NAMES)
    ])  # fmt: skip

    def architecture(row):
        values = {name: str(v) if name in ("type", "fused") else v for name, v in zip(NAMES, row)}
        return space.architecture(**values)

    fit = fit[:PROCESS]
    predictor = LatencyPredictor.fit([architecture(row) for row in x[fit]], y[fit])
    return predictor.predict([architecture(row) for row in x[rest]])[0]


def features(x):
    macs, moved, weights, pixels = amounts(x)
    # tensor cores take channels and pixels in tiles
    filled = [np.ceil(x[:, c] / tile) * tile / x[:, c] for c in (2, 4) for tile in (8, 32, 64, 128)]
    tiles = [np.log(np.ceil(pixels / 128) * np.ceil(x[:, 4] / tile)) for tile in (64, 128)]
    logs = [np.log(v) for v in (macs, moved, weights, pixels, macs / (moved + weights))]
    return np.stack([*x.T, *logs, *filled, *tiles], axis=1)


def boosted_trees(x, y, fit, rest):
    model = HistGradientBoostingRegressor(random_state=0, **TREES).fit(features(x)[fit], np.log(y[fit]))
    return np.exp(model.predict(features(x)[rest]))


def roofline_and_trees(x, y, fit, rest):
    base, seen = roofline(x, y, fit), features(x)
    seen = np.concatenate([seen, base[:, None]], axis=1)
    model = HistGradientBoostingRegressor(random_state=0, **TREES).fit(seen[fit], np.log(y[fit]) - base[fit])
    return np.exp(base[rest] + model.predict(seen[rest]))


METHODS = {
    "linear in MACs, values moved, weights": linear,
    "nearest entry": nearest_entry,
    "roofline alone": lambda x, y, fit, rest: np.exp(roofline(x, y, fit)[rest]),
    "roofline x 8 nearest entries": interpolated_table,
    f"Gaussian process ({PROCESS} entries)": gaussian_process,
    "boosted trees": boosted_trees,
    "roofline x boosted trees": roofline_and_trees,
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("table")
    parser.add_argument("--draws", type=int, default=3)
    args = parser.parse_args()
    x, y, failed = read(args.table)
    print(describe())
    print(
        f"{len(y)} convolutions from {y.min():.4f} to {y.max():.1f} ms ({failed} failed measurements left out); a tenth is "
        f"learnt from, the rest is judged; means of {args.draws} draws"
    )
    print(f"{'':<40}{'within 10%':>12}{'median error':>14}{'Spearman':>10}{'s':>7}")
    for name, method in METHODS.items():
        rows = []
        for draw in range(args.draws):
            order = np.random.default_rng(draw).permutation(len(y))
            fit, rest = order[: len(y) // 10], order[len(y) // 10 :]
            start = time.perf_counter()
            value = method(x, y, fit, rest)
            error = np.abs(value / y[rest] - 1)
            rows.append(
                ((error <= 0.1).mean(), np.median(error), spearmanr(value, y[rest])[0], time.perf_counter() - start)
            )
        within, median, rank, seconds = np.mean(rows, axis=0)
        print(f"{name:<40}{100 * within:>11.1f}%{100 * median:>13.1f}%{rank:>10.4f}{seconds:>7.1f}", flush=True)


if __name__ == "__main__":
    main()
