"""A made-up ground-truth table whose truth is known."""

import csv
import json

import numpy as np
import pytest

from evaluators import complexity
from search_spaces import YoloSpace
from search_spaces.space import generator

EPOCHS, RUNGS, NOISE = 8, (2, 4), 0.02


def made_up_accuracy(architectures):
    """mAP by log MACs, with a price on AFPN and CSPPC."""
    macs = np.log(complexity(architectures, 3).macs / 1e8)
    price = np.array([0.8 * (a["neck"] == "AFPN") + 0.2 * (a["p4_block"] == "CSPPC") for a in architectures])
    return 1 / (1 + np.exp(0.5 + price - 0.5 * macs))


def made_up_seconds(architectures):
    return 10 + 40 * complexity(architectures, 3).macs / 1e8


def write_table(path, architectures, *, repeated=6, seed=0, accuracy=made_up_accuracy):
    """A table of trainings of the architectures, the first `repeated` with three seeds."""
    rng = generator(seed)
    costs = complexity(architectures, 3)
    columns = [
        "key",
        "name",
        "seed",
        "architecture",
        "map50_95",
        "map50",
        "train_seconds",
        "params",
        "macs",
        "peak_activation_bytes",
    ]
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow([*columns, *(f"map50_95@{epoch}" for epoch in RUNGS)])
        for i, (a, truth, seconds) in enumerate(
            zip(architectures, accuracy(architectures), made_up_seconds(architectures))
        ):
            for repeat in range(3 if i < repeated else 1):
                value = float(np.clip(truth + NOISE * rng.standard_normal(), 0.001, 0.999))
                known = (costs.params[i], costs.macs[i], costs.peak_activation_bytes[i])
                early = [round(value * epoch / EPOCHS, 5) for epoch in RUNGS]
                row = (
                    a.key,
                    f"random-{i}",
                    repeat,
                    json.dumps(a.to_dict()),
                    value,
                    min(1.5 * value, 1),
                    seconds,
                    *known,
                )
                writer.writerow([*row, *early])
    about = {"data": "made-up", "num_classes": 3, "epochs": EPOCHS, "rungs": [*RUNGS, EPOCHS], "machine": "none"}
    path.with_suffix(".json").write_text(json.dumps(about))
    return path


@pytest.fixture(scope="session")
def architectures():
    """70 of the space at small image sizes."""
    space, rng = YoloSpace().restrict({"image_size": [96, 128, 160]}), np.random.default_rng(3)
    return [YoloSpace().adopt(space.sample(rng)) for _ in range(70)]


@pytest.fixture(scope="session")
def table_file(architectures, tmp_path_factory):
    return write_table(tmp_path_factory.mktemp("truth") / "made-up.csv", architectures)
