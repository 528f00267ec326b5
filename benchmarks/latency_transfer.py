"""A latency predictor for a new device from ten measurements and the predictors of other devices.

The table is HELP's (HayeonLee/HELP on GitHub: FBNet architectures with their latency on 27 device settings, as one CSV with
the columns op0 to op21 and one per device). A device is held out with all its batch sizes.

    python benchmarks/latency_transfer.py ../shared/data/fbnet/fbnet_latency_27devices.csv
"""

from __future__ import annotations

import argparse
import csv
import re
import time
import warnings

import numpy as np
from machine import describe
from scipy.stats import spearmanr
from sklearn.linear_model import RidgeCV

from evaluators.latency import LatencyPredictor
from evaluators.latency.design import select
from search_spaces import Choice, SearchSpace

HELD_OUT = ("fpga", "raspi4", "eyeriss", "gold_6226", "pixel3", "titan_rtx_64")  # one of each kind
FEW = 10
MEASURED_ELSEWHERE = 400
POOL, JUDGED = 1500, 1500


def hardware(device: str) -> str:
    """The device without its batch size."""
    return re.sub(r"_(1|32|64)$", "", device)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("table")
    parser.add_argument("--draws", type=int, default=10)
    parser.add_argument("--held-out", nargs="+", default=HELD_OUT, help="devices; `all` takes every one in turn")
    args = parser.parse_args()
    warnings.simplefilter("ignore")  # of ill-conditioned ridges
    with open(args.table, newline="") as stream:
        table = list(csv.DictReader(stream))
    operators = [name for name in table[0] if name.startswith("op")]
    devices = [name for name in table[0] if not name.startswith("op")]
    kinds = sorted({row[name] for row in table for name in operators})
    space = SearchSpace("fbnet", [Choice(name, kinds) for name in operators])
    architectures = [space.architecture(**{name: row[name] for name in operators}) for row in table]
    latency_ms = {device: np.array([float(row[device]) for row in table]) for device in devices}
    order = np.random.default_rng(0).permutation(len(table))
    elsewhere, rest = order[:MEASURED_ELSEWHERE], order[MEASURED_ELSEWHERE:]
    print(describe())
    start = time.time()
    known = {
        d: LatencyPredictor.fit([architectures[i] for i in elsewhere], latency_ms[d][elsewhere], num_classes=1)
        for d in devices
    }
    print(
        f"{len(table)} architectures, {len(devices)} device settings; {len(devices)} predictors from {MEASURED_ELSEWHERE} "
        f"measurements each in {time.time() - start:.0f} s; {FEW} measurements of the new device, {args.draws} draws, "
        f"judged on {JUDGED} architectures that no predictor saw"
    )
    columns = ("ridge, random", "ridge, chosen", "ours, random", "ours, chosen")
    print(
        f"{'Spearman':<16}"
        + "".join(f"{c:>15}" for c in columns)
        + f"{'ridge, 3,000':>15}   ours, chosen: within 10%, in interval"
    )
    means = []
    for device in devices if list(args.held_out) == ["all"] else args.held_out:
        others = [d for d in devices if hardware(d) != hardware(device)]
        # the baseline is given what the others really measured, of all architectures
        logs = np.log(np.stack([latency_ms[d] for d in others], axis=1))
        logs = (logs - logs.mean(0)) / logs.std(0)
        y = latency_ms[device]

        def ridge(fit, at, logs=logs, y=y):
            return RidgeCV(np.logspace(-3, 3, 25)).fit(logs[fit], np.log(y[fit])).predict(logs[at])

        rows = []
        for draw in range(args.draws):
            shuffled = np.random.default_rng(draw).permutation(rest)
            pool, at = shuffled[:POOL], shuffled[POOL : POOL + JUDGED]
            prior = [known[d] for d in others]
            chosen = pool[select([architectures[i] for i in pool], FEW, 1, prior)]
            row = [spearmanr(ridge(fit, at), y[at])[0] for fit in (pool[:FEW], chosen)]
            for fit in (pool[:FEW], chosen):
                predictor = LatencyPredictor.fit(
                    [architectures[i] for i in fit], y[fit], num_classes=1, adapt_from=prior
                )
                value, low, high = predictor.predict([architectures[i] for i in at])
                row.append(spearmanr(value, y[at])[0])
            inside = ((low <= y[at]) & (y[at] <= high)).mean()
            rows.append(
                [
                    *row,
                    spearmanr(ridge(pool.tolist() + shuffled[-1500:].tolist(), at), y[at])[0],
                    (np.abs(value / y[at] - 1) <= 0.1).mean(),
                    inside,
                ]
            )
        means.append(np.mean(rows, axis=0))
        *ranks, within, inside = means[-1]
        print(
            f"{device:<16}" + "".join(f"{v:>15.4f}" for v in ranks) + f"   {100 * within:.0f}%, {100 * inside:.0f}%",
            flush=True,
        )
    print(f"{'mean':<16}" + "".join(f"{v:>15.4f}" for v in np.mean(means, axis=0)[:5]))


if __name__ == "__main__":
    main()
