"""Does a search pay? Equal training time, on trainings simulated from a table of real ones.

    python benchmarks/search_pays_simulated.py results/ground-truth/bccd.csv --prior results/ground-truth/digits.csv \\
        --plot results/ground-truth/bccd-simulated.png

Plain scaling by hand, random search, the search as it was before (`--before`), and as it is, without and with a prior that has
not seen the table. One worker, whose clock is simulated; every strategy pays with the training seconds of what it asks.
At every time the front is chosen by what was measured, noise included, and judged by what is true: hypervolume of mAP50-95
against latency, up to the latency of yolov8n at the smallest image size. `known` is that of the best front among what was asked,
had nobody been misled by noise.
"""

from __future__ import annotations

import argparse
import importlib
import subprocess
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from machine import describe

from evaluators.ground_truth.simulated import SimulatedEvaluator
from evaluators.ground_truth.table import read_table
from evaluators.latency.profile import DeviceProfile
from evaluators.prior import AccuracyPrior, kendall_tau
from nas import Objective, make_algorithm
from nas.objectives import Constraint, hypervolume, ranks
from nas.simulation import SimulatedWorker, simulate
from search_spaces import InputError
from search_spaces.families import family_of

STRATEGIES = ("by hand", "random", "before", "no prior", "prior")
NAMES = {
    "by hand": "plain scaling by hand",
    "random": "random search",
    "before": "the search before",
    "no prior": "the search, no prior",
    "prior": "the search",
}
OBJECTIVES = [Objective("map50_95", "max"), Objective("latency_ms", "min")]
REFERENCES = ("yolov8n", "light-recipe", "yolov8-w1/8", "csppc")  # what a search began with before
OLD = {  # of these files the search before was made
    "surrogate": "nas/algorithms/surrogate.py",
    "gaussian_process": "evaluators/gaussian_process.py",
    "hyperparameters": "evaluators/hyperparameters.py",
    "inputs": "evaluators/inputs.py",
}
SAMPLE = 1000  # random architectures that tell how far the simulation is from its table


class Setting(NamedTuple):
    """What all runs have in common."""

    table: Path
    profile: str
    prior: Path | None
    before: str
    hours: float
    scalings: int


class Trace(NamedTuple):
    """One run: when each evaluation ended (s), what was measured, what is true, and its latency (ms)."""

    ended: np.ndarray
    measured: np.ndarray
    truth: np.ndarray
    latency_ms: np.ndarray


class World:
    """The simulation, the space and the bound, made once in every process."""

    def __init__(self, setting: Setting) -> None:
        self.evaluator = SimulatedEvaluator(setting.table, profile=DeviceProfile.load(setting.profile))
        table = self.evaluator.table
        sizes = sorted({a["image_size"] for a in table.architectures})
        self.space = table.space.restrict({"image_size": sizes})
        self.family = family_of(self.space)
        self.reference = self.family.preset("yolov8n", table.space, image_size=sizes[0])
        self.bound_ms = float(self.evaluator.estimate([self.reference])["latency_ms"][0])
        self.constraints = [Constraint("latency_ms", upper=self.bound_ms)]
        self.prior = None if setting.prior is None else unseen_prior(setting.prior, table.about.data)
        self.scalings = [a for a, ms in zip(*self._scalings()) if ms <= self.bound_ms]

    def _scalings(self):
        found = self.family.scalings(self.space)
        return found, self.evaluator.estimate(found)["latency_ms"]

    def by_hand(self):
        """The plain scalings in the order of a sensible hand: YOLOv8n's depth first, from the middle of the latencies outwards
        to where the gaps are widest."""
        usual = [a for a in self.scalings if [a[f"p{i}_depth"] for i in range(2, 6)] == [1, 2, 2, 1]]
        others = [a for a in self.scalings if a not in usual]
        return [*self._spread(usual), *self._spread(others)]

    def _spread(self, architectures):
        latency = np.log(self.evaluator.estimate(architectures)["latency_ms"]) if architectures else np.zeros(0)
        order = list(np.argsort(latency))
        taken = order[len(order) // 2 : len(order) // 2 + 1]
        while len(taken) < len(order):
            gaps = np.abs(latency[:, None] - latency[taken]).min(1)
            gaps[taken] = -1
            taken.append(int(gaps.argmax()))
        return [architectures[i] for i in taken]

    def hypervolume(self, truth, latency_ms) -> float:
        """mAP x ms up to the bound."""
        front = [{"map50_95": m, "latency_ms": ms} for m, ms in zip(truth, latency_ms) if ms <= self.bound_ms]
        return hypervolume(front, OBJECTIVES, {"map50_95": 0.0, "latency_ms": self.bound_ms})

    def judged(self, trace: Trace, until: float) -> float:
        """Hypervolume, by the truth, of the front that is chosen by what was measured until then."""
        members = self.front(trace, until)
        return self.hypervolume(trace.truth[members], trace.latency_ms[members])

    def front(self, trace: Trace, until: float) -> np.ndarray:
        """Positions of the evaluations that are chosen."""
        known = np.flatnonzero((trace.ended <= until) & (trace.latency_ms <= self.bound_ms))
        if not len(known):
            return known
        points = [{"map50_95": trace.measured[i], "latency_ms": trace.latency_ms[i]} for i in known]
        return known[np.asarray(ranks(points, OBJECTIVES)) == 0]


def unseen_prior(path: Path, data: str) -> AccuracyPrior:
    """A prior from its file, or fitted on another table."""
    prior = AccuracyPrior.fit({path.stem: read_table(path)}) if path.suffix == ".csv" else AccuracyPrior.load(path)
    if data in {seen.data for seen in prior.data_sets.values()}:
        raise InputError(f"{path}: has seen {data}, which it is to be judged on; give another table or none")
    return prior


@lru_cache
def world(setting: Setting) -> World:
    import torch

    torch.set_num_threads(1)  # runs share the machine
    return World(setting)


@lru_cache
def surrogate_before(commit: str):
    """The surrogate search of an earlier commit, beside today's."""
    folder = Path(tempfile.mkdtemp())
    package = folder / f"surrogate_{commit}"
    package.mkdir()
    (package / "__init__.py").touch()
    for name, path in OLD.items():
        text = subprocess.run(["git", "show", f"{commit}:{path}"], capture_output=True, text=True, check=True).stdout
        text = text.replace("from evaluators.", "from .").replace("from ..objectives", "from nas.objectives")
        text = text.replace("from .algorithm ", "from nas.algorithms.algorithm ")
        (package / f"{name}.py").write_text(text)
    sys.path.insert(0, str(folder))
    return importlib.import_module(f"{package.name}.surrogate").Surrogate


def run(setting: Setting, strategy: str, seed: int) -> Trace:
    """One strategy with one seed, of its own random numbers and of the noise."""
    here = world(setting)
    evaluator = here.evaluator.repeated(seed)
    options = {"seed": seed, "constraints": here.constraints, "estimate": evaluator.estimate}
    hand = here.by_hand()
    first, most = hand[: setting.scalings], 100_000
    if strategy == "by hand":
        first, most = hand, len(hand)
        algorithm = make_algorithm("random", here.space, OBJECTIVES, **options)
    elif strategy == "random":
        first, algorithm = [], make_algorithm("random", here.space, OBJECTIVES, **options)
    elif strategy == "before":
        whole, size = here.evaluator.space, here.reference["image_size"]
        first = [here.family.preset(name, whole, image_size=size) for name in REFERENCES]
        algorithm = surrogate_before(setting.before)(here.space, OBJECTIVES, initial=8, **options)
    else:
        classes = evaluator.table.about.num_classes
        prior = partial(here.prior.predict, num_classes=classes) if strategy == "prior" else None
        algorithm = make_algorithm("surrogate", here.space, OBJECTIVES, prior=prior, **options)
    report = simulate(
        here.space,
        evaluator,
        OBJECTIVES,
        workers=[SimulatedWorker()],
        seconds=lambda job: evaluator.seconds(job.architecture),
        max_evaluations=most,
        max_seconds=setting.hours * 3600,
        references=first,
        algorithm=algorithm,
        scheduler="fifo",
        seed=seed,
    )
    done = [e for e in report.evaluations if e.status == "finished"]
    return Trace(
        np.array([e.ended_at for e in done]),
        np.array([e.metrics["map50_95"] for e in done]),
        evaluator.truth([here.space.unrestricted.adopt(e.architecture) for e in done]),
        np.array([e.metrics["latency_ms"] for e in done]),
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("table", type=Path)
    parser.add_argument("--prior", type=Path, help="its file, or another table that it is fitted on")
    parser.add_argument("--profile", default="epyc-onnxruntime", help="device profile that latency is of")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--hours", type=float, default=3.0)
    parser.add_argument("--scalings", type=int, default=8, help="plain scalings that the search begins with")
    parser.add_argument("--before", default="da31609", help="commit of the search before")
    parser.add_argument("--strategies", nargs="+", choices=STRATEGIES, default=STRATEGIES)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--plot", type=Path)
    args = parser.parse_args()
    setting = Setting(args.table, args.profile, args.prior, args.before, args.hours, args.scalings)
    strategies = [s for s in args.strategies if s != "prior" or args.prior is not None]
    here = world(setting)
    print(describe())
    describe_world(here, setting)
    shown = [t for t in (0.25, 0.5, 1, 2, 3, 6, 12) if t <= args.hours]
    print(f"hypervolume (mAP x ms), median of {args.seeds} seeds (10% and 90%), after so many hours of training")
    print(f"{'':<24}" + "".join(f"{f'{t:g} h':>22}" for t in shown) + f"{'known':>9}{'models':>8}{'asks outside':>14}")
    curves, traces, times = {}, {}, np.linspace(0, args.hours, 61)[1:]
    with ProcessPoolExecutor(args.jobs) as pool:
        for strategy in strategies:
            found = list(pool.map(partial(run, setting, strategy), range(args.seeds)))
            curves[strategy] = np.array([[here.judged(trace, 3600 * t) for t in times] for trace in found])
            traces[strategy] = found
            values = [np.array([here.judged(trace, 3600 * t) for trace in found]) for t in shown]
            cells = "".join(
                f"{f'{np.median(v):.3f} ({np.quantile(v, 0.1):.3f}, {np.quantile(v, 0.9):.3f})':>22}" for v in values
            )
            known = np.median([here.hypervolume(trace.truth, trace.latency_ms) for trace in found])
            slow = np.mean([(trace.latency_ms > here.bound_ms).mean() for trace in found])
            print(
                f"{NAMES[strategy]:<24}{cells}{known:>9.3f}{np.median([len(trace.ended) for trace in found]):>8.0f}{slow:>14.0%}",
                flush=True,
            )
    if args.plot:
        draw(here, curves, traces, times, args.plot)


def describe_world(here: World, setting: Setting) -> None:
    evaluator, table = here.evaluator, here.evaluator.table
    held, noise = evaluator.held_out, evaluator.noise
    print(
        f"{table.path.name}: {len(table.architectures)} architectures, {len(table.owner)} trainings of {table.about.epochs} epochs; "
        f"mAP {table.mean('map50_95').mean():.3f}, deviation {table.mean('map50_95').std():.3f}"
    )
    print(
        f"the simulation, of architectures it had not seen: Kendall tau {held.kendall_tau:.2f}, error {held.rmse:.3f} mAP (seeds "
        f"alone {held.noise:.3f}), {held.explained:.0%} of the variance; seconds within {held.seconds_error:.0%} (median)"
    )
    rng = np.random.default_rng(0)
    sample = [here.space.sample(rng) for _ in range(SAMPLE)]
    within = [a for a, ms in zip(sample, evaluator.estimate(sample)["latency_ms"]) if ms <= here.bound_ms]
    outside = [f"{evaluator.is_outside(some).mean():.0%}" if some else "-" for some in (sample, within)]
    print(
        f"noise {noise.deviation:.3f} {'(of logits)' if noise.is_logit else 'mAP'}, from {noise.freedom} further trainings; "
        f"outside of the table's features: {outside[0]} of random architectures, {outside[1]} of those within the bound"
    )
    seconds = [evaluator.seconds(a) for a in here.scalings]
    print(
        f"latency of {setting.profile} up to {here.bound_ms:.2f} ms ({here.reference['image_size']} px); {len(here.scalings)} plain "
        f"scalings within, of {min(seconds):.0f} to {max(seconds):.0f} s"
    )
    if here.prior is not None:
        classes = table.about.num_classes
        tau = kendall_tau(here.prior.predict(table.architectures, classes), table.mean("map50_95"))
        print(
            f"prior of {', '.join(here.prior.data_sets)}: Kendall tau with the table {tau:.2f}, with the simulation over random "
            f"architectures {_tau(here, sample):.2f}, over those within the bound {_tau(here, within):.2f}"
        )


def _tau(here: World, architectures) -> float:
    said = here.prior.predict(architectures, here.evaluator.table.about.num_classes)
    return kendall_tau(said, here.evaluator.truth(architectures)) if architectures else float("nan")


def draw(here: World, curves, traces, times, path: Path) -> None:
    """The hypervolume over time (median, middle 80%), and the true fronts of every first seed at the end."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (over_time, fronts) = pyplot.subplots(1, 2, figsize=(12, 5), layout="constrained")
    colours = dict(zip(STRATEGIES, ("tab:blue", "tab:gray", "tab:orange", "tab:green", "black")))
    for strategy, values in curves.items():
        low, middle, high = np.quantile(values, (0.1, 0.5, 0.9), axis=0)
        over_time.plot(times, middle, color=colours[strategy], lw=2, label=NAMES[strategy])
        over_time.fill_between(times, low, high, color=colours[strategy], alpha=0.13, lw=0)
        trace = traces[strategy][0]
        members = here.front(trace, times[-1] * 3600)
        members = members[np.argsort(trace.latency_ms[members])]
        fronts.plot(trace.latency_ms[members], trace.truth[members], "o-", color=colours[strategy], ms=4, lw=1.2)
    over_time.set(xlabel="hours of training", ylabel="hypervolume (mAP x ms)", xlim=(0, times[-1]))
    over_time.legend(frameon=False, loc="lower right")
    fronts.set(xlabel="latency (ms)", ylabel="true mAP50-95 of the front that was chosen")
    name = here.evaluator.table.path.stem
    seeds = len(next(iter(curves.values())))
    over_time.set_title(f"simulated from {name}: {seeds} seeds (shaded: the middle 80%)", fontsize=10)
    fronts.set_title(f"after {times[-1]:g} h, the first seed", fontsize=10)
    for axes in (over_time, fronts):
        axes.grid(alpha=0.25)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)


if __name__ == "__main__":
    main()
