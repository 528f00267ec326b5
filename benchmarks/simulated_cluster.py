"""Scheduling on a simulated clock: asynchronous against a generation barrier, preemption, and a thousand workers.

    python benchmarks/simulated_cluster.py            (about 7 minutes)

The session, store and algorithms are the real ones; trainings are look-ups that take simulated time. What an ask with its tell
takes is measured here and charged to the simulated clock, one after another, as the one driver of a search would.
"""

from __future__ import annotations

import argparse
import time
from functools import cache

import numpy as np
from machine import describe

from evaluators import Evaluator
from evaluators.complexity import complexity
from nas import Objective, make_algorithm
from nas.simulation import SimulatedWorker, simulate
from search_spaces import YoloSpace

SPACE = YoloSpace().restrict({"image_size": [320]})
OBJECTIVES = [Objective("score", "max"), Objective("macs", "min")]
MINUTES = 60.0
TRAINING = 30 * MINUTES  # of the mean architecture, on a worker of speed 1


@cache
def costs(architecture) -> tuple[float, float]:
    """(parameters, MACs)."""
    known = complexity([architecture], 80)
    return float(known.params[0]), float(known.macs[0])


class Costs(Evaluator):
    """Parameters against MACs: exact, deterministic, and quick; the score is not known in advance."""

    def estimate(self, architectures):
        if len(architectures) == 1:
            return {"macs": np.array([costs(architectures[0])[1]])}
        return {"macs": complexity(architectures, 80).macs.astype(float)}

    def evaluate(self, architecture, directory):
        return {"score": np.log(costs(architecture)[0]).item()}


def seconds(job) -> float:
    """Training takes longer where there is more to compute; the mean over the space is `TRAINING`."""
    return TRAINING * 0.5 * (1 + costs(job.architecture)[1] / MEAN_MACS)


rng = np.random.default_rng(0)
MEAN_MACS = complexity([SPACE.sample(rng) for _ in range(500)], 80).macs.mean()


def show(name: str, report, evaluations: int) -> None:
    states = [event.state for event in report.events]
    assert states.count("finished") + states.count("failed") == evaluations
    print(
        f"{name:<58}{report.utilisation:>9.0%}{report.wasted / report.offered:>9.0%}{report.seconds / 3600:>9.1f}"
        f"{states.count('finished'):>10}{states.count('failed'):>8}{states.count('retried'):>9}"
        f"{report.driver_seconds / report.seconds:>9.0%}{report.real_seconds:>9.0f}",
        flush=True,
    )


def ask_seconds(algorithm: str, count: int) -> float:
    """What an ask and a tell take with `count` results, mean of 20."""
    evaluator, rng = Costs(), np.random.default_rng(1)
    search = make_algorithm(algorithm, SPACE, OBJECTIVES, seed=0, estimate=evaluator.estimate)

    def result(architecture):
        return {**evaluator.evaluate(architecture, None), "macs": float(evaluator.estimate([architecture])["macs"][0])}

    for _ in range(count):
        architecture = SPACE.sample(rng)
        search.tell(architecture, result(architecture))
    search.ask()  # finds hyperparameters, once for many results
    started = time.perf_counter()
    for _ in range(20):
        architecture = search.ask()
        search.tell(architecture, result(architecture))
    return (time.perf_counter() - started) / 20


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--evaluations", type=int, default=1280)
    args = parser.parse_args()
    print(describe())
    print(
        f"trainings of {TRAINING / 60:g} minutes on average (0.5 of it fixed, 0.5 with the MACs) on a worker of speed 1; "
        "used: time in jobs that ended"
    )
    print(
        f"{'':<58}{'used':>9}{'wasted':>9}{'hours':>9}{'finished':>10}{'failed':>8}{'retried':>9}{'driver':>9}{'real s':>9}"
    )
    n = args.evaluations
    equal = [SimulatedWorker()] * 64
    tenfold = [SimulatedWorker(s) for s in np.geomspace(0.1, 1, 64)]
    for name, workers in (("64 equal workers", equal), ("64 workers, speeds differ tenfold", tenfold)):
        for how, generation in (("asynchronous", None), ("generations of 64", 64)):
            report = simulate(
                SPACE, Costs(), OBJECTIVES, workers=workers, seconds=seconds, max_evaluations=n, generation=generation
            )
            show(f"{name}, {how}", report, n)
    report = simulate(
        SPACE,
        Costs(),
        OBJECTIVES,
        workers=tenfold,
        seconds=seconds,
        max_evaluations=n,
        death_rate=0.02,
        preempted_every=4 * 3600,
        outage=600,
    )
    show("the same, each preempted every 4 h, 2% of the jobs die", report, n)
    for algorithm in ("random", "evolution", "surrogate"):
        takes = ask_seconds(algorithm, 500)
        report = simulate(
            SPACE,
            Costs(),
            OBJECTIVES,
            workers=[SimulatedWorker()] * 1000,
            seconds=seconds,
            max_evaluations=3000,
            driver_seconds=takes,  # what asks and tells of `algorithm` take; which ones they are matters little here
        )
        show(f"1,000 equal workers, {1000 * takes:.0f} ms an ask ({algorithm})", report, 3000)


if __name__ == "__main__":
    main()
