"""How often the best of a front is not the best, and what N trainings that confirm it mend of that.

    python benchmarks/confirm.py TABLE.csv                      (a simulated evaluator over a table of trainings)
    python benchmarks/confirm.py                                (a stand-in: made-up accuracies, noise of 0.03)
    python benchmarks/confirm.py --rules --seeds 300 --confirm 0 4 8 16 24     (rules of what is trained again)

Each case is a search of `--evaluations` architectures, the first of which is trained twice, then N confirming trainings. The
true accuracies of all that was evaluated are known, so of the front that the search reports: how often the most accurate model
is not the most accurate one ("wrong best"), by how much mAP50-95 its pick stays below the best ("lost"), by how much the
accuracies that are reported for the front are too high on the mean ("too high"), members that are on it wrongly and models
that are missing ("misplaced"), and the hypervolume that the true figures of its members lack of that of the true front.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from machine import describe

from evaluators import Evaluator
from nas import Objective
from nas.noise import chance_dominated
from nas.objectives import front, hypervolume
from nas.simulation import SimulatedWorker, simulate
from nas.storage.judged import Judgement
from search_spaces import Architecture, Choice, SearchSpace, YoloSpace

ACCURACY = "map50_95"
MEASURES = ("wrong best", "lost", "too high", "misplaced", "hypervolume lost %")


class StandIn(Evaluator):
    """Made-up detectors: more cost, more accuracy, and what is left to the architecture; noise with a deviation of 0.03."""

    def __init__(self, seed: int = 0, repeat: int = 0):
        self.seed, self.repeat = seed, repeat

    def repeated(self, repeat: int) -> StandIn:
        return StandIn(self.seed, repeat)

    def truth(self, architectures: Sequence[Architecture]) -> np.ndarray:
        own = [np.random.default_rng([a["width"], a["kind"]]).standard_normal() for a in architectures]
        return 0.15 + 0.1 * np.log([a["width"] for a in architectures]) + 0.04 * np.array(own)

    def estimate(self, architectures: Sequence[Architecture]) -> dict[str, np.ndarray]:
        return {"macs": np.array([float(a["width"]) for a in architectures])}

    def evaluate(self, architecture: Architecture, directory: Path, fidelity: float | None = None) -> dict[str, float]:
        rng = np.random.default_rng([self.seed, architecture["width"], architecture["kind"], self.repeat])
        return {ACCURACY: float(self.truth([architecture])[0] + 0.03 * rng.standard_normal())}


def stand_in(seed: int) -> tuple[SearchSpace, Any]:
    choices = [Choice("width", list(range(4, 40))), Choice("kind", list(range(12)))]
    return SearchSpace("made up", choices), StandIn(seed)


@cache
def from_table(path: str) -> tuple[SearchSpace, Any]:
    """Fitted once: seeds of the search alone make its cases, of which each has other architectures, and so other noise."""
    from evaluators.ground_truth.simulated import SimulatedEvaluator

    return YoloSpace(), SimulatedEvaluator(path)


def measures(
    names: Sequence[str],
    truth: Sequence[dict[str, float]],
    judged: Sequence[dict[str, float]],
    objectives: list[Objective],
) -> list[float]:
    """`MEASURES` of the front that is reported, given true and reported metrics of everything evaluated, by the same order."""
    reported, true = front(judged, objectives), front(truth, objectives)
    accuracy = np.array([each[ACCURACY] for each in truth])
    best = max(reported, key=lambda i: judged[i][ACCURACY])
    worst = {o.metric: 0.0 if o.direction == "max" else max(t[o.metric] for t in truth) * 1.01 for o in objectives}
    whole = hypervolume(truth, objectives, worst)
    return [
        float(best != accuracy.argmax()),
        float(accuracy.max() - accuracy[best]),
        float(np.mean([judged[i][ACCURACY] - accuracy[i] for i in reported])),
        float(len(set(reported) ^ set(true))),
        100 * (1 - hypervolume([truth[i] for i in reported], objectives, worst) / whole),
    ]


def searched(
    make: Callable[[int], tuple[SearchSpace, Any]], seed: int, count: int, confirm: int, algorithm: str, cost: str
) -> list[float]:
    """The measures of one search."""
    space, evaluator = make(seed)
    objectives = [Objective(ACCURACY, "max"), Objective(cost, "min")]
    report = simulate(
        space,
        evaluator,
        objectives,
        workers=[SimulatedWorker()],
        seconds=lambda job: 1.0,
        max_evaluations=count,
        algorithm=algorithm,
        scheduler="fifo",
        seed=seed,
        repeats=1,
        confirm=confirm,
    )
    finished = [e for e in report.evaluations if e.status == "finished"]
    judgement = Judgement(finished, report.repeats, objectives, [], is_random=True)
    judged = [judgement.judged[e.key].metrics for e in finished]
    truth = [
        {cost: each[cost], ACCURACY: float(value)}
        for each, value in zip(judged, evaluator.truth([e.architecture for e in finished]))
    ]
    return measures([e.key for e in finished], truth, judged, objectives)


# -- rules of what is trained again, on made-up results ---------------------------------------------------------------------


def next_by(rule: str, means: np.ndarray, trainings: np.ndarray, deviation: float, rng: np.random.Generator) -> int:
    """The index of what is trained again, of (n, 2) means to be minimised, the first of them noisy."""
    objectives = [Objective("x", "min"), Objective("y", "min")]
    members = np.isin(np.arange(len(means)), front([{"x": x, "y": y} for x, y in means], objectives))
    errors = np.stack([deviation / np.sqrt(trainings), np.zeros(len(means))], axis=1)
    if rule == "any of the front in turn":
        return min(np.flatnonzero(members), key=lambda i: (trainings[i], means[i, 0]))
    if rule == "any at random":
        return int(rng.integers(len(means)))
    dominated = chance_dominated(means, errors)
    wrong = np.where(members, dominated, 1 - dominated)
    if rule == "most probably misplaced":
        return max(range(len(means)), key=lambda i: (round(wrong[i], 9), -trainings[i]))
    if rule == "on the front and unsure":
        return int(((1 - dominated) * errors[:, 0]).argmax())
    # as a search does
    return min(
        (i for i in range(len(means)) if members[i] or wrong[i] > 0.2),
        key=lambda i: (trainings[i] + (not members[i]), means[i, 0]),
    )


RULES = (
    "most probably misplaced",
    "any at random",
    "on the front and unsure",
    "any of the front in turn",
    "contenders, fewest first",
)


def by_rule(rule: str, confirm: int, seed: int, count: int = 20, deviation: float = 0.03) -> list[float]:
    rng = np.random.default_rng(seed)
    cost = rng.uniform(1, 6, count)
    truth = 0.2 + 0.1 * np.log(cost) + 0.04 * rng.standard_normal(count)
    told = [[value + deviation * rng.standard_normal()] for value in truth]
    for _ in range(confirm):
        means = np.stack([[-np.mean(each) for each in told], cost], axis=1)
        i = next_by(rule, means, np.array([len(each) for each in told]), deviation, rng)
        told[i].append(truth[i] + deviation * rng.standard_normal())
    rows = [
        [{ACCURACY: float(a), "macs": float(c)} for a, c in zip(accuracies, cost)]
        for accuracies in (truth, [np.mean(each) for each in told])
    ]
    return measures(range(count), *rows, [Objective(ACCURACY, "max"), Objective("macs", "min")])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("table", nargs="?")
    parser.add_argument("--evaluations", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--confirm", type=int, nargs="+", default=[0, 3, 6, 12, 24])
    parser.add_argument("--algorithm", default="random")
    parser.add_argument("--cost", default="macs", help="the other objective")
    parser.add_argument("--rules", action="store_true")
    args = parser.parse_args()
    print(describe())
    what = args.table or ("made-up results of 20 models" if args.rules else "the stand-in")
    print(f"{what}; {args.seeds} seeds" + ("" if args.rules else f"; {args.algorithm}, {args.evaluations} evaluations"))
    print(f"{'confirming':<12}{'':<26}" + "".join(f"{name:>20}" for name in MEASURES))

    def show(confirm: int, name: str, rows: list[list[float]]) -> None:
        means, spread = np.mean(rows, axis=0), np.std(rows, axis=0) / np.sqrt(len(rows))
        print(f"{confirm:<12}{name:<26}" + "".join(f"{m:>12.4f} ±{s:6.4f}" for m, s in zip(means, spread)), flush=True)

    def make(seed: int) -> tuple[SearchSpace, Any]:
        return from_table(args.table) if args.table else stand_in(seed)

    for confirm in args.confirm:
        if args.rules:
            for rule in RULES if confirm else RULES[:1]:
                show(confirm, rule if confirm else "", [by_rule(rule, confirm, seed) for seed in range(args.seeds)])
        else:
            options = (args.evaluations, confirm, args.algorithm, args.cost)
            show(confirm, "", [searched(make, seed, *options) for seed in range(args.seeds)])


if __name__ == "__main__":
    main()
