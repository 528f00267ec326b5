"""Do training-free scores tell more of accuracy than the MAC count? Kendall's tau of each on a table of trained architectures.

    python benchmarks/proxies.py results/ground-truth/digits.csv [--data digits]

TABLE.csv and TABLE.json are those that ground_truth.py writes. Scores are kept in TABLE.scores.csv as they are computed, and not
computed twice: stop it and start it as you like. With --data networks are shown its training images, else noise.

What is printed of each score: tau with the mean accuracy of an architecture's trainings; the same counting only pairs of
architectures of the same quarter by MACs; that of what log MACs leaves unexplained of both (residuals of straight lines); each
with a 90% interval by bootstrap over the architectures; how often in the bootstrap its tau is above that of MACs; and processor
seconds for one architecture, of the score alone with the building of its network.
"""

from __future__ import annotations

import argparse
import csv
import io
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from machine import describe

from evaluators import complexity
from evaluators.data import load_dataset
from evaluators.proxies import PROXIES, dataset_images, proxy_scores
from search_spaces import Architecture, InputError
from search_spaces.definition import space_named
from search_spaces.files import read_json, read_text
from search_spaces.graph import check_num_classes
from search_spaces.json_text import parse_json
from search_spaces.writing import write_text

BANDS = 4
RESAMPLES = 1000
TIMED = 5  # architectures, spread over the MACs
SETTINGS = ("images", "seed", "batch_size")
COLUMNS = ("key", *SETTINGS, *PROXIES)


class Truth(NamedTuple):
    """n architectures and the mean map50_95 of each one's trainings, (n,); how many trainings; classes of the dataset."""

    architectures: list[Architecture]
    map50_95: np.ndarray
    trainings: int
    num_classes: int


def read_table(path: Path) -> Truth:
    """A table of ground truth. Raises InputError naming file, row and column."""
    rows = list(csv.DictReader(io.StringIO(read_text(path))))
    about_path = path.with_suffix(".json")
    about = read_json(about_path)
    if not isinstance(about, dict) or "num_classes" not in about:
        raise InputError(f"{about_path}: field num_classes is missing")
    num_classes = check_num_classes(about["num_classes"], f"{about_path}: field num_classes")
    found: dict[str, tuple[dict[str, Any], list[float]]] = {}
    for number, row in enumerate(rows, start=2):
        where = f"{path}: row {number}"
        for column in ("key", "map50_95", "architecture"):
            if not row.get(column):
                raise InputError(f"{where}: column {column} is missing")
        try:
            accuracy = float(row["map50_95"])
        except ValueError:
            accuracy = -1.0
        if not 0 <= accuracy <= 1:
            raise InputError(f"{where}: column map50_95: {row['map50_95']!r} is not a number from 0 to 1")
        values = parse_json(row["architecture"], f"{where}: column architecture")
        if not isinstance(values, dict):
            raise InputError(f"{where}: column architecture: must be the values of choices")
        found.setdefault(row["key"], (values, []))[1].append(accuracy)
    if len(found) < 2 * BANDS:
        raise InputError(f"{path}: has {len(found)} architectures; at least {2 * BANDS} are needed")
    space = space_named("yolo", [values for values, _ in found.values()])
    architectures = []
    for key, (values, _) in found.items():
        try:
            architectures.append(space.architecture(**values))
        except InputError as error:
            raise InputError(f"{path}: architecture {key}: {error}") from None
    accuracies = np.array([np.mean(each) for _, each in found.values()])
    return Truth(architectures, accuracies, len(rows), num_classes)


class Scores:
    """TABLE.scores.csv: what has been computed, by architecture and settings. Raises InputError where it is another file."""

    def __init__(self, path: Path, settings: dict[str, str]) -> None:
        self.path, self.settings = path, settings
        self.rows: list[dict[str, str]] = []
        if path.exists():
            reader = csv.DictReader(io.StringIO(read_text(path)))
            if not {"key", *SETTINGS} <= set(reader.fieldnames or ()):
                raise InputError(f"{path}: is not a file of scores; move it away")
            self.rows = list(reader)
        self.by_key = {row["key"]: row for row in self.rows if all(row[n] == settings[n] for n in SETTINGS)}

    def get(self, key: str, name: str) -> float | None:
        """A score, or None where it is not known."""
        text = self.by_key.get(key, {}).get(name)
        try:
            return float(text) if text else None
        except ValueError:
            raise InputError(f"{self.path}: architecture {key}: column {name}: {text!r} is not a number") from None

    def put(self, key: str, scores: dict[str, float]) -> None:
        """Keep scores of an architecture, and write the file."""
        if key not in self.by_key:
            self.by_key[key] = {"key": key, **self.settings}
            self.rows.append(self.by_key[key])
        self.by_key[key].update({name: repr(float(value)) for name, value in scores.items()})
        text = io.StringIO()
        writer = csv.DictWriter(text, COLUMNS, restval="", extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        write_text(self.path, text.getvalue())


def score_all(
    truth: Truth, names: Sequence[str], kept: Scores, options: dict[str, Any], again: bool
) -> dict[str, np.ndarray]:
    """Name -> (n,) scores, from the file where they are there."""
    for number, architecture in enumerate(truth.architectures, start=1):
        missing = [name for name in names if again or kept.get(architecture.key, name) is None]
        if missing:
            found = proxy_scores([architecture], truth.num_classes, scores=missing, **options)
            kept.put(architecture.key, {name: values[0] for name, values in found.items()})
            print(f"\r{number}/{len(truth.architectures)} scored", end="", file=sys.stderr, flush=True)
    return {name: np.array([kept.get(a.key, name) for a in truth.architectures]) for name in names}


def kendall(x: np.ndarray, y: np.ndarray, counted: np.ndarray | None = None) -> float:
    """Kendall's tau-b of two (n,) arrays, over the pairs that are `counted` (n, n), by default all; NaN where all are ties."""
    first, second = (np.sign(each[:, None] - each[None]) for each in (x, y))
    if counted is not None:
        first, second = first * counted, second * counted
    scale = np.sqrt((first**2).sum() * (second**2).sum())  # pairs without a tie
    return float((first * second).sum() / scale) if scale > 0 else float("nan")


def residual(values: np.ndarray, log_macs: np.ndarray) -> np.ndarray:
    """What a straight line in log MACs leaves of the values, in their standard deviations."""
    values = (values - values.mean()) / (values.std() or 1.0)
    left = values - np.polyval(np.polyfit(log_macs, values, 1), log_macs)
    return np.where(np.abs(left) < 1e-9, 0.0, left)  # of MACs themselves rounding is left


def taus(scores: dict[str, np.ndarray], truth: np.ndarray, macs: np.ndarray) -> dict[str, np.ndarray]:
    """Name -> tau, tau within bands of MACs, tau of the residuals."""
    band = np.searchsorted(np.quantile(macs, np.linspace(0, 1, BANDS + 1)[1:-1]), macs, side="right")
    same = band[:, None] == band[None]
    log_macs = np.log(macs)
    left = residual(truth, log_macs)
    found = {}
    for name, values in scores.items():
        scaled = np.log(values) if (values > 0).all() else values  # MACs, parameters, norms
        found[name] = np.array(
            [kendall(values, truth), kendall(values, truth, same), kendall(residual(scaled, log_macs), left)]
        )
    return found


def report(truth: Truth, by_seed: Sequence[dict[str, np.ndarray]], seconds: dict[str, float]) -> None:
    """Print the table, the best tau first."""
    scores = {name: np.mean([found[name] for found in by_seed], axis=0) for name in by_seed[0]}
    macs = complexity(truth.architectures, truth.num_classes).macs.astype(float)
    scores = {"macs": macs, **scores}
    point = taus(scores, truth.map50_95, macs)
    rng = np.random.default_rng(0)
    resampled: dict[str, list[np.ndarray]] = {name: [] for name in scores}
    for _ in range(RESAMPLES):
        rows = rng.integers(len(macs), size=len(macs))
        drawn = taus({name: values[rows] for name, values in scores.items()}, truth.map50_95[rows], macs[rows])
        for name, found in drawn.items():
            resampled[name].append(found)
    draws = {name: np.array(found) for name, found in resampled.items()}
    heads = ("tau", "within quarters of MACs", "residuals of log MACs")
    print(
        f"{'score':<11}" + "".join(f"{head:>26}" for head in heads) + f"{'above MACs':>12}{'itself':>8}{'seconds':>9}"
    )
    for name in sorted(scores, key=lambda each: -point[each][0]):
        cells = "".join(_cell(point[name][i], draws[name][:, i]) for i in range(3))
        above = "" if name == "macs" else f"{100 * (draws[name][:, 0] > draws['macs'][:, 0]).mean():.0f}%"
        itself = (
            f"{kendall(*(found[name] for found in by_seed[:2])):.2f}" if len(by_seed) > 1 and name in seconds else ""
        )
        print(f"{name:<11}{cells}{above:>12}{itself:>8}{seconds.get(name, 0.0):>9.2f}")


def _cell(tau: float, draws: np.ndarray) -> str:
    if np.isnan(tau):
        return f"{'-':>26}"
    low, high = np.nanquantile(draws, (0.05, 0.95))
    return f"{f'{tau:.2f} ({low:.2f} to {high:.2f})':>26}"


def time_each(truth: Truth, names: Sequence[str], options: dict[str, Any]) -> dict[str, float]:
    """Name -> median processor seconds of one architecture, the score computed alone."""
    order = np.argsort(complexity(truth.architectures, truth.num_classes).macs)
    chosen = [truth.architectures[i] for i in order[np.linspace(0, len(order) - 1, TIMED).astype(int)]]
    proxy_scores(chosen[:1], truth.num_classes, scores=names, **options)  # what is loaded once
    spent: dict[str, list[float]] = {name: [] for name in names}
    for architecture in chosen:
        for name in names:
            started = time.process_time()
            proxy_scores([architecture], truth.num_classes, scores=[name], **options)
            spent[name].append(time.process_time() - started)
    return {name: float(np.median(each)) for name, each in spent.items()}


def run(arguments: argparse.Namespace) -> None:
    table, batch_size = Path(arguments.table), arguments.batch_size
    truth = read_table(table)
    dataset = load_dataset(arguments.data) if arguments.data else None
    if dataset and dataset.num_classes != truth.num_classes:
        raise InputError(f"--data: has {dataset.num_classes} classes, and {table} is of {truth.num_classes}")
    largest = max(architecture["image_size"] for architecture in truth.architectures)
    by_seed = []
    for seed in arguments.seeds:
        batch = dataset_images(dataset, 2 * batch_size, largest, seed) if dataset else None
        options = {"batch": batch, "seed": seed, "batch_size": batch_size}
        settings = {"images": "dataset" if dataset else "noise", "seed": str(seed), "batch_size": str(batch_size)}
        kept = Scores(table.with_suffix(".scores.csv"), settings)
        by_seed.append(score_all(truth, arguments.scores, kept, options, arguments.again))
    print(describe())
    print(
        f"{table.name}: {len(truth.architectures)} architectures, {truth.trainings} trainings, map50_95 "
        f"{truth.map50_95.min():.3f} to {truth.map50_95.max():.3f}; {batch_size} images of "
        f"{'the dataset' if dataset else 'noise'} at a time, seeds {', '.join(map(str, arguments.seeds))}"
    )
    report(truth, by_seed, time_each(truth, arguments.scores, options))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", help="TABLE.csv, with TABLE.json beside it")
    parser.add_argument("--data", help="the dataset whose training images the networks are shown")
    parser.add_argument("--scores", nargs="+", choices=PROXIES, default=list(PROXIES))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--again", action="store_true", help="compute what is known, too: blocks have changed")
    try:
        run(parser.parse_args())
    except InputError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
