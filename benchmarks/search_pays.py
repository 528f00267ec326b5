"""Does a search pay? Equal time of real trainings on this machine: plain scaling by hand, the search as it was, the search as it is.

    python benchmarks/search_pays.py digits RUNS --minutes 25 --seeds 0 1
    python benchmarks/search_pays.py DATA RUNS --image-size 96 128 160 --epochs 12 [--prior FILE]

Two trainings at a time, the same data, schedule and device profile for all; runs are kept in RUNS and go on where they were stopped. "As
it was" needs `--before`, a checkout of da31609, whose command it runs, with its networks as they began then. By hand: YOLOv8 at other widths, depths and image sizes, first six that are spread over the
latencies up to yolov8n's at the smallest image size, then whatever fills the gaps between them.

Printed is the hypervolume (mAP50-95 x ms up to that latency) after parts of the time, with the trainings that had ended; drawn are the
fronts. mAP is of one training each, its noise included.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from machine import describe

from evaluators.data import load_dataset
from evaluators.detector import DetectorEvaluator
from evaluators.latency.profile import DeviceProfile
from evaluators.prior import AccuracyPrior, shipped_prior
from nas import Objective, load_run, search
from nas.devices.quick import quick_profile
from nas.executors import Cluster
from nas.launch.priors import believed
from nas.launch.region import first_scalings, region_of
from nas.objectives import hypervolume
from search_spaces import YoloSpace
from search_spaces.families import family_of

OBJECTIVES = [Objective("map50_95", "max"), Objective("latency_ms", "min")]
METHODS = ("by hand", "as it was", "as it is")
BY_HAND, SCALINGS = 6, 5
PARTS = (0.2, 0.4, 0.6, 0.8, 1.0)


class Bench:
    """What all runs share."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args, dataset = args, load_dataset(args.data)
        self.space = YoloSpace().restrict({"image_size": args.image_size})
        args.runs.mkdir(parents=True, exist_ok=True)
        kept = args.runs / "profile.json"
        if not kept.exists():
            profile = quick_profile(self.space, dataset.num_classes, lambda *line: print(*line), count=args.models)
            profile.save(kept)
        self.evaluators = {
            seed: DetectorEvaluator(
                dataset, args.epochs, batch=args.batch, seed=seed, threads=1, profiles=[DeviceProfile.load(kept)]
            )
            for seed in args.seeds
        }
        estimate = next(iter(self.evaluators.values())).estimate
        family = family_of(self.space)
        self.usual = family.preset("yolov8n", YoloSpace(), image_size=min(args.image_size))
        self.bounds = region_of(self.usual, OBJECTIVES, estimate)
        self.bound_ms = float(self.bounds[0].upper or 0)
        prior = AccuracyPrior.load(args.prior) if args.prior else shipped_prior(self.space.family)
        self.prior = believed(prior, dataset.num_classes)
        scalings = family.scalings(self.space)

        def spread(count: int, always=()):
            return first_scalings(scalings, count, OBJECTIVES, self.bounds, estimate, prior=None, always=always)

        self.begin = first_scalings(
            scalings, SCALINGS, OBJECTIVES, self.bounds, estimate, prior=self.prior, always={self.usual}
        )
        self.hand = spread(BY_HAND, {self.usual})
        for count in range(BY_HAND + 1, len(scalings) + 1):
            self.hand += [a for a in spread(count, set(self.hand)) if a not in self.hand]

    def run(self, method: str, seed: int, directory: Path, minutes: float) -> None:
        exists = (directory / "store.sqlite").exists()
        if method == "as it was":
            if not exists and self.args.before:
                self.run_before(seed, directory, minutes)
            return
        options = {
            "by hand": {"first": self.hand, "max_evaluations": len(self.hand), "algorithm": "random"},
            "as it is": {"first": self.begin, "constraints": self.bounds, "prior": self.prior},
        }[method]
        search(
            self.space,
            self.evaluators[seed],
            OBJECTIVES,
            **{"max_evaluations": None, "repeats": 0, **options},
            seed=seed,
            directory=directory,
            budget_seconds=60 * minutes,
            executor=Cluster(),
            resume=exists,
        )

    def run_before(self, seed: int, directory: Path, minutes: float) -> None:
        args = self.args
        settings = {
            "restrict": {"image_size": args.image_size},
            "data": str(Path(args.data).resolve()) if Path(args.data).exists() else args.data,
            "epochs": args.epochs,
            "batch": args.batch,
            "seed": seed,
            "device": [str((args.runs / "profile.json").resolve())],
            "max_minutes": minutes,
            "max_evaluations": 1000,
        }
        file = directory.with_name(f"{directory.name}.yaml")
        file.write_text(json.dumps(settings))  # which is YAML too
        command = [
            sys.executable,
            "-m",
            "nas.cli",
            "search",
            str(file.resolve()),
            "--directory",
            str(directory.resolve()),
        ]
        subprocess.run(
            command, cwd=args.before, env={**os.environ, "PYTHONPATH": str(args.before.resolve())}, check=True
        )


def trace(directory: Path, bound_ms: float) -> tuple[np.ndarray, list[dict[str, float]]]:
    """(seconds since the run began, metrics) of what ended within the bound, in order."""
    evaluations = sorted(load_run(directory).evaluations, key=lambda e: e.ended_at or 0)
    begun = min(e.asked_at for e in load_run(directory).all_evaluations)
    kept = [e for e in evaluations if e.metrics["latency_ms"] <= bound_ms]
    return np.array([(e.ended_at or 0) - begun for e in kept]), [e.metrics for e in kept]


def report(bench: Bench, runs: Path, seeds: list[int], minutes: float, plot: Path | None) -> None:
    print(describe())
    print(f"hypervolume up to {bench.bound_ms:.2f} ms, and trainings within it, after minutes:")
    print(f"{'':22s}" + "".join(f"{part * minutes:>14.0f}" for part in PARTS))
    traces = {}
    for method, seed in itertools.product(METHODS, seeds):
        directory = runs / f"{method.replace(' ', '-')}-{seed}"
        if not (directory / "store.sqlite").exists():
            continue
        ended, metrics = traces[method, seed] = trace(directory, bench.bound_ms)
        cells = []
        for part in PARTS:
            count = int((ended <= part * minutes * 60).sum())
            volume = hypervolume(metrics[:count], OBJECTIVES, {"map50_95": 0.0, "latency_ms": bench.bound_ms})
            cells.append(f"{volume:8.3f} ({count:3d})")
        print(f"{method + ', seed ' + str(seed):22s}" + " ".join(cells))
    if plot:
        draw(traces, bench.bound_ms, plot)


def draw(traces: dict, bound_ms: float, plot: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4.5), layout="constrained")
    for (method, seed), (_, metrics) in traces.items():
        best, steps = 0.0, []
        for each in sorted(metrics, key=lambda m: m["latency_ms"]):
            if each["map50_95"] > best:
                best = each["map50_95"]
                steps.append((each["latency_ms"], best))
        colour = f"C{METHODS.index(method)}"
        axes.step(
            *zip(*[*steps, (bound_ms, best)]), where="post", color=colour, alpha=0.8, label=f"{method}, seed {seed}"
        )
    axes.set(xlabel="predicted latency, ms", ylabel="mAP50-95", title="fronts after equal time")
    axes.grid(alpha=0.25)
    axes.legend(frameon=False)
    figure.savefig(plot, dpi=130)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("runs", type=Path)
    parser.add_argument("--minutes", type=float, default=25)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS)
    parser.add_argument("--image-size", type=int, nargs="+", default=[96, 128])
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--models", type=int, default=18, help="models that the device profile measures")
    parser.add_argument("--prior", help="a file of accuracy_prior.py that has not seen the data; the one that ships")
    parser.add_argument("--before", type=Path, help="a checkout of da31609")
    parser.add_argument("--report", action="store_true", help="only print what there is")
    parser.add_argument("--plot", type=Path)
    args = parser.parse_args()
    bench = Bench(args)
    if not args.report:
        for seed, method in itertools.product(args.seeds, args.methods):
            bench.run(method, seed, args.runs / f"{method.replace(' ', '-')}-{seed}", args.minutes)
    report(bench, args.runs, args.seeds, args.minutes, args.plot)


if __name__ == "__main__":
    main()
