"""Search algorithms on a table of trained detectors: share of the table's hypervolume after some evaluations.

The table and the search are those of yolobench.py; the algorithms are given the names and values of the choices and nothing
else.

    python benchmarks/search_yolobench.py ../shared/data/yolobench/yolobench_voc_scratch.csv --plot yolobench.png
"""

from __future__ import annotations

import argparse
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from machine import describe
from yolobench import EVALUATIONS, read, run

from nas.algorithms import ALGORITHMS

SHOWN = (20, 40, 60, 100)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("table")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--algorithms", nargs="+", default=list(ALGORITHMS))
    parser.add_argument("--plot", type=Path)
    args = parser.parse_args()
    table, devices = read(args.table)
    print(describe())
    print(
        f"{len(table)} trained detectors, {len(devices)} devices, {args.seeds} seeds; mean share of the table's hypervolume "
        "(in brackets: 10% of the runs are below)"
    )
    print(f"{'evaluations':<16}" + "".join(f"{n:>18}" for n in SHOWN) + f"{'ms an ask and tell':>22}")
    curves = {}
    with ProcessPoolExecutor(2) as pool:
        for algorithm in args.algorithms:
            jobs = [(args.table, algorithm, device, seed) for device in devices for seed in range(args.seeds)]
            results = list(pool.map(run, *zip(*jobs)))
            curves[algorithm] = np.array([shares for shares, _ in results])
            cells = "".join(
                f"{f'{at.mean():.4f} ({np.quantile(at, 0.1):.4f})':>18}"
                for at in (curves[algorithm][:, n - 1] for n in SHOWN)
            )
            spent = 1000 * np.mean([seconds for _, seconds in results]) / EVALUATIONS
            print(f"{algorithm:<16}{cells}{spent:>22.1f}", flush=True)
    if args.plot:
        draw(curves, len(devices) * args.seeds, args.plot)


def draw(curves, runs: int, path: Path) -> None:
    """What is still missing after every evaluation, mean and the middle 80% of the runs."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7.5, 5), layout="constrained")
    x = np.arange(1, EVALUATIONS + 1)
    for algorithm, shares in curves.items():
        missing = 1 - shares
        (line,) = axes.plot(x, missing.mean(0), lw=1.8, label=algorithm)
        axes.fill_between(x, *np.quantile(missing, (0.1, 0.9), axis=0), color=line.get_color(), alpha=0.12, lw=0)
    axes.set(
        xlabel="evaluations",
        ylabel="hypervolume still missing (share of the table's)",
        yscale="log",
        xlim=(1, EVALUATIONS),
    )
    axes.yaxis.set_major_formatter(lambda tick, _: f"{tick:g}")
    axes.set_title(f"YOLOBench: mAP against log latency, {runs} runs each (shaded: the middle 80%)", fontsize=10)
    axes.grid(alpha=0.25, which="both")
    axes.legend(frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)


if __name__ == "__main__":
    main()
