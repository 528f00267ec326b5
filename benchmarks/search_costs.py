"""Search algorithms on the YOLO space itself: hypervolume on exact costs, and the time of an ask and a tell.

    python benchmarks/search_costs.py            (about 3 minutes on 2 cores)

What is searched for is made of exact costs, so that everything is deterministic and nothing has to be trained: many parameters
at a small peak of activations ("score", which the algorithm must learn) for few MACs (which it is told of every candidate).
"""

from __future__ import annotations

import argparse
import time
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache

import numpy as np
from machine import describe

from evaluators.complexity import complexity
from nas import Objective, make_algorithm
from nas.objectives import hypervolume
from search_spaces import YoloSpace

SPACE = YoloSpace()
OBJECTIVES = [Objective("score", "max"), Objective("log_macs", "min")]
SHOWN = (50, 100, 200)


def costs(architectures) -> tuple[np.ndarray, np.ndarray]:
    """(score, logarithm of the MACs)."""
    known = complexity(architectures, 80)
    return np.log(known.params) - 0.5 * np.log(known.peak_activation_bytes), np.log(known.macs)


def estimate(architectures):
    return {"log_macs": costs(architectures)[1]}


def evaluate(architecture):
    score, log_macs = costs([architecture])
    return {"score": float(score[0]), "log_macs": float(log_macs[0])}


@lru_cache
def reference() -> dict[str, float]:
    """The worst of 2,000 random architectures."""
    rng = np.random.default_rng(123)
    score, log_macs = costs([SPACE.sample(rng) for _ in range(2000)])
    return {"score": float(score.min()), "log_macs": float(log_macs.max())}


def run(algorithm: str, seed: int) -> list[float]:
    """Hypervolume after 50, 100 and 200 evaluations."""
    import torch

    torch.set_num_threads(1)
    search, told = make_algorithm(algorithm, SPACE, OBJECTIVES, seed=seed, estimate=estimate), []
    for _ in range(SHOWN[-1]):
        architecture = search.ask()
        told.append(evaluate(architecture))
        search.tell(architecture, told[-1])
    return [hypervolume(told[:n], OBJECTIVES, reference()) for n in SHOWN]


def timing(algorithm: str, count: int, asks: int) -> tuple[float, float, float]:
    """(median, largest, mean) seconds of an ask and a tell, from `count` random results on."""
    search, rng = make_algorithm(algorithm, SPACE, OBJECTIVES, seed=0, estimate=estimate), np.random.default_rng(0)
    for _ in range(count):
        architecture = SPACE.sample(rng)
        search.tell(architecture, evaluate(architecture))
    took = []
    for _ in range(asks):
        started = time.perf_counter()
        architecture = search.ask()
        between = time.perf_counter()
        metrics = evaluate(architecture)
        told = time.perf_counter()
        search.tell(architecture, metrics)
        took.append(between - started + time.perf_counter() - told)
    return float(np.median(took)), max(took), float(np.mean(took))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--algorithms", nargs="+", default=["random", "evolution", "regularized", "local", "surrogate"])
    args = parser.parse_args()
    print(describe())
    print(f"{SPACE.size:.3g} architectures; time of an ask and its tell, one process, 2 threads")
    print(f"{'algorithm':<14}{'results':>9}{'asks':>6}{'median ms':>11}{'largest ms':>12}{'mean ms':>9}")
    for algorithm in args.algorithms:
        for count, asks in ((200, 60), (2000, 40)):
            median, largest, mean = (1000 * s for s in timing(algorithm, count, asks))
            print(f"{algorithm:<14}{count:>9,}{asks:>6}{median:>11.0f}{largest:>12.0f}{mean:>9.0f}", flush=True)
    print(f"\nhypervolume, mean +- standard deviation of {args.seeds} seeds")
    print(f"{'algorithm':<14}" + "".join(f"{f'after {n}':>18}" for n in SHOWN))
    with ProcessPoolExecutor(2) as pool:
        for algorithm in args.algorithms:
            volumes = np.array(list(pool.map(run, [algorithm] * args.seeds, range(args.seeds))))
            cells = (f"{m:.3f} +- {s:.3f}" for m, s in zip(volumes.mean(0), volumes.std(0)))
            print(f"{algorithm:<14}" + "".join(f"{cell:>18}" for cell in cells), flush=True)


if __name__ == "__main__":
    main()
