"""Search algorithms on a table of trained detectors: share of the table's hypervolume after some evaluations.

The table and the search are those of yolobench.py; the algorithms, ours and those of other libraries, are given the
names and values of the choices and nothing else.

    python benchmarks/search_yolobench.py ../shared/data/yolobench/yolobench_voc_scratch.csv --plot yolobench.png

The Gaussian processes of Optuna and BoTorch take seconds an ask and therefore get `--slow-seeds`. Libraries that are not installed
are left out. With `--costs-known` the second table, of the share after as much training, is of searches that are told what each
training took; the table has neither MACs nor training times, and the latency on another device stands in for both.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from machine import describe
from yolobench import EVALUATIONS, Searched, read, run

from nas.algorithms import ALGORITHMS, Peer

SHOWN = (20, 40, 60, 100)
COSTS = (2, 5, 10, 20)
SLOW = ("optuna-gp", "botorch-qlognehvi")


def installed(name: str) -> bool:
    """Whether an algorithm is ours or its library is there."""
    algorithm = ALGORITHMS[name]
    return not isinstance(algorithm, Peer) or importlib.util.find_spec(algorithm.library.lower()) is not None


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("table")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--slow-seeds", type=int, default=5)
    parser.add_argument("--algorithms", nargs="+", default=[name for name in ALGORITHMS if installed(name)])
    parser.add_argument("--latency-known", action="store_true", help="the algorithms may estimate the latency")
    parser.add_argument("--costs-known", action="store_true", help="they may estimate what a training takes")
    parser.add_argument("--plot", type=Path)
    args = parser.parse_args()
    table, devices = read(args.table)
    print(describe())
    libraries = {ALGORITHMS[name].library: None for name in args.algorithms if isinstance(ALGORITHMS[name], Peer)}
    if libraries:
        print(", ".join(f"{library} {importlib.metadata.version(library.lower())}" for library in libraries))
    print(
        f"{len(table)} trained detectors, {len(devices)} devices, {args.seeds} seeds ({args.slow_seeds} of {', '.join(SLOW)}); "
        "mean share of the table's hypervolume "
        "(in brackets: 10% of the runs are below)"
        f"{'; latency known in advance' * args.latency_known}{'; costs of training known' * args.costs_known}"
    )
    print(f"{'evaluations':<16}" + "".join(f"{n:>18}" for n in SHOWN) + f"{'ms an ask and tell':>22}")
    curves, by_cost = {}, {}
    with ProcessPoolExecutor(2) as pool:
        for algorithm in args.algorithms:
            seeds = args.slow_seeds if algorithm in SLOW else args.seeds
            known = args.latency_known, args.costs_known
            jobs = [(args.table, algorithm, device, seed, *known) for device in devices for seed in range(seeds)]
            results = list(pool.map(run, *zip(*jobs)))
            curves[algorithm] = np.array([result.shares for result in results])
            by_cost[algorithm] = [np.array([after(result, cost) for result in results]) for cost in COSTS]
            cells = "".join(
                f"{f'{at.mean():.4f} ({np.quantile(at, 0.1):.4f})':>18}"
                for at in (curves[algorithm][:, n - 1] for n in SHOWN)
            )
            spent = 1000 * np.mean([result.seconds for result in results]) / EVALUATIONS
            print(f"{algorithm:<16}{cells}{spent:>22.1f}", flush=True)
    print(
        "\nshare of the hypervolume after as much training as of N mean architectures (mean, and 10% of the runs are below)"
    )
    print(f"{'trainings':<16}" + "".join(f"{cost:>18}" for cost in COSTS))
    for algorithm, shares in by_cost.items():
        print(f"{algorithm:<16}" + "".join(f"{f'{at.mean():.4f} ({np.quantile(at, 0.1):.4f})':>18}" for at in shares))
    if args.plot:
        draw(curves, args.plot)


def after(result: Searched, cost: float) -> float:
    """The share once trainings have cost so much; the one that is under way does not count yet."""
    ended = int(np.searchsorted(result.costs, cost, side="right"))
    return result.shares[ended - 1] if ended else 0.0


def draw(curves, path: Path) -> None:
    """What is still missing after every evaluation: the means, and the middle 80% of two."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8.5, 5.5), layout="constrained")
    x = np.arange(1, EVALUATIONS + 1)
    order = sorted(curves, key=lambda name: -curves[name][:, -1].mean())  # the legend's, best first
    peers = [name for name in order if isinstance(ALGORITHMS[name], Peer)]
    colours = {"surrogate": "black"}
    colours.update(zip((name for name in curves if name != "surrogate"), pyplot.get_cmap("tab10").colors))
    for algorithm in order:
        missing, ours = 1 - curves[algorithm], algorithm == "surrogate"
        axes.plot(
            x,
            missing.mean(0),
            color=colours[algorithm],
            lw=3 if ours else 1.6,
            ls=(0, (4, 1.5)) if algorithm in peers else "-",
            zorder=4 if ours else 3,
            label=algorithm,
        )
        if ours or algorithm in peers[:1]:
            axes.fill_between(
                x, *np.quantile(missing, (0.1, 0.9), axis=0), color=colours[algorithm], alpha=0.12, lw=0, zorder=2
            )
    axes.set(
        xlabel="evaluations",
        ylabel="hypervolume still missing (share of the table's)",
        yscale="log",
        xlim=(1, EVALUATIONS),
    )
    axes.yaxis.set_major_formatter(lambda tick, _: f"{tick:g}")
    runs = max(map(len, curves.values()))
    fewer = "".join(f", {len(shares)} of {name}" for name, shares in curves.items() if len(shares) < runs)
    axes.set_title(f"YOLOBench: {runs} runs each{fewer} (dashed: other libraries; shaded: the middle 80%)", fontsize=10)
    axes.grid(alpha=0.25, which="both")
    axes.legend(frameon=False, handlelength=3.2)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)


if __name__ == "__main__":
    main()
