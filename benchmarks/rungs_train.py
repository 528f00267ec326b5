"""Random detectors trained on BCCD, judged at 1, 3 and 9 epochs: the table that benchmarks/rungs.py plans with.

Every training pauses at a rung and goes on from its checkpoint, as it does in a search. Two trainings at a time.

    python benchmarks/rungs_train.py ../shared/data/bccd results/running/rungs.csv      (about 40 minutes on 2 cores)

A table that is there already is continued.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from evaluators.complexity import complexity
from evaluators.data import convert_voc
from evaluators.detector import DetectorEvaluator
from evaluators.latency.profile import DeviceProfile
from search_spaces import YoloSpace

RUNGS = (1, 3, 9)
FIELDS = ["key", "epochs", "map50_95", "train_seconds", "latency_ms", "params", "macs"]


def sample(count: int):
    """The first `count` random architectures of at most 200 million MACs at 160 px."""
    space, rng, found = YoloSpace().restrict({"image_size": [160]}), np.random.default_rng(0), {}
    while len(found) < count:
        architecture = space.sample(rng)
        if complexity([architecture], 3).macs[0] <= 200e6:
            found[architecture.key] = architecture
    return list(found.values())


def measure(data: str, architecture) -> list[dict]:
    profile = DeviceProfile.load("epyc-onnxruntime")
    evaluator = DetectorEvaluator(
        data, RUNGS[-1], batch=4, profiles=[profile], rungs=RUNGS, settings={"fliplr": 0.5, "flipud": 0.5}
    )
    known = {name: values[0] for name, values in evaluator.estimate([architecture]).items()}
    rows = []
    with tempfile.TemporaryDirectory() as directory:
        for epochs in RUNGS:
            metrics = evaluator.evaluate(architecture, Path(directory), epochs)
            row = {"key": architecture.key, "epochs": epochs, **known, **metrics}
            rows.append({name: row[name] for name in FIELDS})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("bccd", type=Path)
    parser.add_argument("table", type=Path)
    parser.add_argument("--count", type=int, default=45)
    args = parser.parse_args()
    done = set()
    if args.table.exists():
        with open(args.table, newline="") as stream:
            done = {row["key"] for row in csv.DictReader(stream)}
    with tempfile.TemporaryDirectory() as work, open(args.table, "a", newline="") as stream:
        convert_voc(args.bccd, Path(work) / "bccd")
        data = str(Path(work) / "bccd" / "data.yaml")
        writer = csv.DictWriter(stream, FIELDS)
        if not done:
            writer.writeheader()
        left = [a for a in sample(args.count) if a.key not in done]
        started = time.monotonic()
        with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
            for n, future in enumerate(as_completed([pool.submit(measure, data, a) for a in left]), 1):
                rows = future.result()
                writer.writerows(rows)
                stream.flush()
                print(f"{n}/{len(left)} in {time.monotonic() - started:.0f} s: {rows[-1]}", flush=True)


if __name__ == "__main__":
    main()
