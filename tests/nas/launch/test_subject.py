"""One dataset per run: it is resumed on what it was begun with, from any folder, and on nothing else."""

import json
import shutil
from pathlib import Path

import pytest

from nas import Objective, search
from nas.cli.main import main
from nas.storage.run import Run
from search_spaces import Choice, InputError, SearchSpace

SPACE = SearchSpace("small", [Choice("a", (1, 2, 3, 4))])


@pytest.fixture
def measured_on():
    """The function (subject) that makes an evaluator which is measured on it."""
    from evaluators import Evaluator

    class Measured(Evaluator):
        metrics = ("cost",)

        def __init__(self, on):
            self.on = on

        def subject(self):
            return self.on

        def evaluate(self, architecture, directory, fidelity=None):
            return {"cost": architecture["a"]}

    return Measured


def test_another_subject_is_refused_and_nothing_is_evaluated(tmp_path, measured_on):
    def go(on, budget, resume):
        objectives = [Objective("cost", "min")]
        return search(
            SPACE, measured_on(on), objectives, max_evaluations=budget, directory=tmp_path / "run", resume=resume
        )

    go({"images": [1]}, 1, False)
    with pytest.raises(InputError, match="measured on has changed"):
        go({"images": [2]}, 3, True)
    assert len(Run(tmp_path / "run").all_evaluations) == 1
    assert len(go({"images": [1]}, 3, True).evaluations) == 3


def test_a_subject_is_compared_as_it_comes_back_from_the_run(tmp_path, measured_on):
    def go(on, budget=1, resume=False):
        objectives = [Objective("cost", "min")]
        return search(
            SPACE, measured_on(on), objectives, max_evaluations=budget, directory=tmp_path / "run", resume=resume
        )

    for nothing in (tmp_path, float("nan")):
        with pytest.raises(InputError):
            go(nothing)
    go({"images": (1, 2), 3: "x"})
    assert len(go({"images": (1, 2), 3: "x"}, 2, True).evaluations) == 2


@pytest.mark.slow
def test_a_run_goes_on_elsewhere_with_its_own_dataset(tmp_path, monkeypatch, capsys, small_data, board):
    """Begun with a relative path: a dataset of that name elsewhere is not taken, its own is found, and may move."""
    here, there = tmp_path / "here", tmp_path / "there"
    for folder in (here, there):
        shutil.copytree(small_data.parent, folder / "data")
    board.save(tmp_path / "board.json")
    label = next((there / "data" / "labels" / "train").iterdir())
    label.write_text(label.read_text().replace(label.read_text().split()[1], "0.51", 1))
    monkeypatch.chdir(here)
    small = ["--epochs", "1", "--batch", "8", "--references", "yolov8-w1/16", "--executor", "here", "--max-evaluations"]
    fixed = [
        "--restrict",
        "{image_size: [96]}",
        "--device",
        str(tmp_path / "board.json"),
        "--directory",
        str(tmp_path / "run"),
    ]
    assert main(["search", "--data", f"data/{small_data.name}", *fixed, *small, "1"]) == 0
    run = tmp_path / "run"
    assert str(here / "data" / small_data.name) in (run / "search.yaml").read_text()
    monkeypatch.chdir(there)
    assert main(["resume", str(run), "--max-evaluations", "2"]) == 0  # the one that it was begun with
    capsys.readouterr()
    assert main(["resume", str(run), "--max-evaluations", "3", "--data", f"data/{small_data.name}"]) == 1
    said = capsys.readouterr().err
    assert "1 images of train have other labels now, such as " in said and said.count("\n") == 1
    shutil.rmtree(there / "data")
    shutil.move(here / "data", there / "data")
    assert main(["resume", str(run), "--max-evaluations", "3", "--data", f"data/{small_data.name}"]) == 0
    assert len(Run(run).evaluations) == 3


def test_of_a_run_that_does_not_know_its_dataset_the_path_may_not_change(tmp_path, capsys, small_data):
    old = shutil.copytree(Path(__file__).parents[2] / "data" / "run-0.1.0", tmp_path / "run")
    assert main(["resume", str(old), "--data", str(small_data)]) == 1
    assert "field data: is" in capsys.readouterr().err


def test_what_a_store_keeps_of_a_dataset_may_be_nonsense(small_data, tmp_path):
    from evaluators.detector import DetectorEvaluator

    evaluator = DetectorEvaluator(str(small_data), 1)
    for nonsense in (3, "x", {}, {"names": 1, "train": 2, "val": 3}, json.loads("[[]]")):
        with pytest.raises(InputError, match="not the dataset that this run was made with"):
            evaluator.check_subject(nonsense)
    evaluator.check_subject(json.loads(json.dumps(evaluator.subject())))
