"""Models that were trained out, in tables and a picture; and how far trainings are, in lines."""

import csv
import io
import json
from types import SimpleNamespace

import pytest
from rich.console import Console

from evaluators.epochs import Epochs
from nas import Objective, search
from nas.report.epochs import EpochProgress
from nas.report.how_far import how_far
from nas.report.status import describe_status
from nas.report.trained import agreement, print_trained, rows_of, what_was_trained, write_trained
from nas.storage.folder import RunFolder
from nas.storage.store import Store
from nas.storage.written import Written
from search_spaces import Choice, SearchSpace

SPACE = SearchSpace("toy", [Choice("depth", [1, 2, 3, 4]), Choice("train_out.seed", [0, 1])])
NETWORKS = SearchSpace("toy", [Choice("depth", [1, 2, 3, 4])])
OBJECTIVES = [Objective("map50_95", "max"), Objective("latency_ms", "min")]
AFTER = {1: 0.3, 2: 0.5, 3: 0.4, 4: 0.7}  # of the first seed; the second has .1 more
BEFORE = {1: 0.1, 2: 0.2, 3: 0.3}


def evaluate(architecture):
    accuracy = AFTER[architecture["depth"]] + 0.1 * architecture["train_out.seed"]
    figures = {"map50_95": accuracy, "map50": accuracy, "latency_ms": float(architecture["depth"])}
    return {**figures, "train_seconds": 60.0, "params": 1000 * architecture["depth"]}


def model(depth):
    metrics = {"map50_95": BEFORE[depth], "map50": 2 * BEFORE[depth]} if depth in BEFORE else {}
    network = NETWORKS.architecture(depth=depth)
    return SimpleNamespace(
        name=f"=model {depth}",
        compared=depth == 4,
        run="x",
        key="y",
        metrics=metrics,
        weights=None,
        network=lambda: network,
    )


MODELS = [model(depth) for depth in (1, 2, 3, 4)]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return search(
        SPACE,
        evaluate,
        OBJECTIVES,
        max_evaluations=8,
        algorithm="random",
        directory=tmp_path_factory.mktemp("t") / "run",
    )


def test_models_are_ranked_by_the_mean_of_their_seeds_beside_their_rank_in_the_search(run):
    rows = rows_of(run, MODELS)
    assert [(row.model.name, row.rank, row.rank_in_search) for row in rows] == [
        ("=model 4", 1, None),
        ("=model 2", 2, 2),
        ("=model 3", 3, 1),
        ("=model 1", 4, 3),
    ]
    assert rows[0].mean("map50_95") == pytest.approx(0.75) and rows[0].deviation("map50_95") == pytest.approx(
        0.0707, abs=1e-4
    )
    assert [e.architecture["train_out.seed"] for e in rows[0].trainings] == [1, 0]
    assert agreement(rows) == pytest.approx(1 / 3)  # two pairs of three agree
    assert agreement(rows[:2]) is None


def test_the_table_and_what_follows_it(run):
    rows, said = rows_of(run, MODELS), io.StringIO()
    print_trained(run, rows, Console(file=said, width=200))
    lines = [line for line in said.getvalue().splitlines() if "=model" in line]
    assert "=model 4 (compared)" in lines[0] and "0.750 ± 0.071" in lines[0] and "0.450 ± 0.071" in lines[2]
    assert [cell.strip() for cell in lines[1].split("│")][1:3] == ["2", "2"]
    text = "\n".join(what_was_trained(run, rows, {}, [], 10))
    assert "8 trainings, 0 failed; 8 min 00 s of training" in text and "Kendall's tau +0.33" in text
    assert f"evoyolo pick {run.directory} --max-latency-ms 4.02" in text


def test_the_files_hold_every_training_and_no_formula(run):
    Written(run.folder).begin()  # as a command does
    rows = rows_of(run, MODELS)
    written = write_trained(run, rows, {})
    assert [path.name for path in written] == ["trained.csv", "trained.json", "trained.png"]
    records = json.loads(run.folder.trained_json.read_text())["models"]
    assert len(records) == 8 and records[0]["model"] == "=model 4" and records[0]["search"]["metrics"] == {}
    with open(run.folder.trained_csv) as file:
        table = list(csv.DictReader(file))
    assert [row["key"] for row in table] == [record["key"] for record in records]
    assert (
        table[0]["model"] == "'=model 4" and table[2]["search_map50_95"] == "0.2" and table[0]["search_map50_95"] == ""
    )
    assert run.folder.trained_png.read_bytes().startswith(b"\x89PNG")
    run.folder.trained_csv.write_text("mine")
    refused = []
    assert len(write_trained(run, rows, {}, refused.append)) == 2 and "trained.csv" in refused[0]
    assert run.folder.trained_csv.read_text() == "mine"


def far(folder, key, epoch):
    trial = folder.trial(key).path
    trial.mkdir(parents=True, exist_ok=True)
    told = Epochs(
        epoch=epoch, epochs=100, seconds=10.0 * epoch, epoch_seconds=10, map50_95=0.2, best=0.25, best_epoch=epoch - 1
    )
    told.write(trial)
    return trial


def test_how_far_a_training_is_in_words(tmp_path):
    trial = far(RunFolder(tmp_path), "a", 40)
    assert how_far(trial) == "epoch 40 of 100, mAP50-95 0.200, best 0.250, about 10 min 00 s left"
    assert how_far(tmp_path) is None
    (tmp_path / "progress.json").symlink_to(trial / "progress.json")
    assert how_far(tmp_path) is None  # what a link leads to is nobody's business


def test_a_log_has_a_line_for_every_tenth_of_a_training(tmp_path):
    folder, said = RunFolder(tmp_path), io.StringIO()
    progress = EpochProgress(
        OBJECTIVES, 2, Console(file=said, width=200), folder=folder, names={"a": "mine", "b": "other"}
    )
    for epoch in range(1, 41):
        far(folder, "a", epoch)
        progress.tell()
    lines = said.getvalue().splitlines()
    assert len(lines) == 4 and lines[-1].startswith("mine  epoch 40 of 100, ")
    progress.pending = 1
    assert progress._left() == pytest.approx(600 + 1000)  # the rest of this one, and all of the other


def test_status_says_how_far_what_runs_is(tmp_path, run):
    space = SPACE
    with Store.create(tmp_path / "store.sqlite", space=space, settings={"objectives": [["map50_95", "max"]]}) as store:
        architecture = space.architecture(**{"depth": 1, "train_out.seed": 0})
        store.asked(architecture, {})
        store.running(architecture, node="here")
        far(RunFolder(tmp_path), architecture.key, 40)
        lines, alive = describe_status(tmp_path)
    assert alive and any("; epoch 40 of 100, mAP50-95 0.200" in line for line in lines)
