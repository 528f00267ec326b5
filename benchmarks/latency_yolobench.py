"""Latency predictors from 20, 50 and 100 measurements of YOLOBench's detectors, judged on the others.

yolobench.py says what the table is.

    python benchmarks/latency_yolobench.py ../shared/data/yolobench/yolobench_voc_scratch.csv
"""

from __future__ import annotations

import argparse
import warnings

import numpy as np
from machine import describe
from scipy.stats import spearmanr
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel
from sklearn.linear_model import RidgeCV
from sklearn.preprocessing import PolynomialFeatures, StandardScaler
from yolobench import NAMES, make_space, read

from evaluators.latency import LatencyPredictor
from evaluators.latency.design import select

COUNTS = (20, 50, 100)
POOL = 0.7  # share of the table that the most telling are chosen among, another one in every draw


def quadratic_ridge(plain, latency_ms, fit, rest):
    x = StandardScaler().fit_transform(PolynomialFeatures(2, include_bias=False).fit_transform(plain))
    return np.exp(RidgeCV(np.logspace(-4, 2, 25)).fit(x[fit], np.log(latency_ms[fit])).predict(x[rest]))


def plain_process(plain, latency_ms, fit, rest):
    x, target = StandardScaler().fit_transform(plain), np.log(latency_ms[fit])
    kernel = ConstantKernel() * Matern(np.ones(x.shape[1]), (1e-2, 1e3), nu=2.5) + WhiteKernel(1e-3)
    model = GaussianProcessRegressor(kernel, normalize_y=True).fit(x[fit], target)
    return np.exp(model.predict(x[rest]))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("table")
    parser.add_argument("--draws", type=int, default=10)
    args = parser.parse_args()
    warnings.simplefilter("ignore")  # of length scales at their bounds
    table, devices = read(args.table)
    keys, space = list(table), make_space(table)
    architectures = [space.architecture(**dict(zip(NAMES, key))) for key in keys]
    families = sorted({key[0] for key in keys})
    plain = np.array([[*(key[0] == f for f in families), *np.log(np.array(key[1:]))] for key in keys], float)
    everything = np.arange(len(keys))

    def ours(latency_ms, fit, rest):
        predictor = LatencyPredictor.fit([architectures[i] for i in fit], latency_ms[fit])
        return predictor.predict([architectures[i] for i in rest])

    def at_random(count, draw):
        return np.random.default_rng(draw).permutation(everything)[:count]

    def most_telling(count, draw):
        pool = np.random.default_rng(draw).permutation(everything)[: int(POOL * len(keys))]
        return pool[select([architectures[i] for i in pool], count)]

    methods = {
        "quadratic ridge": (lambda *a: quadratic_ridge(plain, *a), at_random),
        "Gaussian process, one Matern kernel": (lambda *a: plain_process(plain, *a), at_random),
        "ours, measured at random": (ours, at_random),
        "ours, the most telling measured": (ours, most_telling),
    }
    print(describe())
    print(f"{len(keys)} detectors, {len(devices)} devices, {args.draws} draws; means over devices and draws")
    print(f"{'':<40}{'measured':>9}{'within 10%':>12}{'Spearman':>10}{'in interval':>13}   within 10% on each device")
    for label, (method, choose) in methods.items():
        for count in COUNTS:
            rows = []
            for draw in range(args.draws):
                fit = choose(count, draw)
                rest = np.setdiff1d(everything, fit)
                for device in devices:
                    latency_ms = np.array([float(row[device]) for row in table.values()])
                    value, truth, inside = method(latency_ms, fit, rest), latency_ms[rest], np.nan
                    if isinstance(value, tuple):
                        value, low, high = value
                        inside = ((low <= truth) & (truth <= high)).mean()
                    rows.append(((np.abs(value / truth - 1) <= 0.1).mean(), spearmanr(value, truth)[0], inside))
            within, rank, inside = np.mean(rows, axis=0)
            each = np.array(rows)[:, 0].reshape(args.draws, len(devices)).mean(0)
            shown = ", ".join(f"{d.removeprefix('latency_ms_')} {100 * e:.0f}%" for d, e in zip(devices, each))
            covered = "-" if np.isnan(inside) else f"{100 * inside:.0f}%"
            print(f"{label:<40}{count:>9}{100 * within:>11.1f}%{rank:>10.4f}{covered:>13}   {shown}", flush=True)


if __name__ == "__main__":
    main()
