"""Tables of trainings: what they answer, what is refused, and their space."""

import csv
import io
import json
import pickle
import shutil

import numpy as np
import pytest

from evaluators import EvaluationError, complexity
from evaluators.ground_truth.table import TableEvaluator, read_table
from nas import Objective, make_algorithm, search
from search_spaces import InputError, YoloSpace
from tests.fuzzing import Tally, fuzzed, mutated_bytes

from .conftest import EPOCHS, RUNGS


@pytest.fixture
def own(table_file, tmp_path):
    """A copy of the table that a test may change."""
    for suffix in (".csv", ".json"):
        shutil.copy(table_file.with_suffix(suffix), tmp_path / f"own{suffix}")
    return tmp_path / "own.csv"


def test_it_answers_means_and_single_trainings_at_every_epoch(table_file, architectures):
    evaluator = TableEvaluator(table_file)
    assert evaluator.fidelities == (*RUNGS, EPOCHS)
    first = architectures[0]
    single = [TableEvaluator(table_file, repeat=i).evaluate(first) for i in range(3)]
    assert len({s["map50_95"] for s in single}) == 3
    mean = evaluator.evaluate(first)
    assert mean["map50_95"] == pytest.approx(np.mean([s["map50_95"] for s in single]))
    assert mean["map50"] > mean["map50_95"]
    early = evaluator.evaluate(first, None, 2)
    assert early["map50_95"] == pytest.approx(mean["map50_95"] / 4, abs=1e-4)
    assert early["train_seconds"] == pytest.approx(mean["train_seconds"] / 4) and "map50" not in early
    assert evaluator.repeated(0) is not None and evaluator.repeated(1) is None  # most were trained once
    with pytest.raises(EvaluationError, match="3 training"):
        TableEvaluator(table_file, repeat=3).evaluate(first)
    with pytest.raises(EvaluationError, match="no architecture"):
        evaluator.evaluate(YoloSpace().preset("yolov8n"))
    assert (evaluator.estimate(architectures)["macs"] == complexity(architectures, 3).macs).all()


def test_its_space_holds_exactly_the_architectures(table_file, architectures):
    space = TableEvaluator(table_file).space
    assert space.size == len(architectures) and set(space.enumerate()) == set(architectures)
    rng = np.random.default_rng(0)
    drawn = [space.sample(rng) for _ in range(5)]
    moved = [space.mutate(a, rng) for a in drawn] + [space.crossover(drawn[0], drawn[1], rng)]
    assert {*drawn, *moved} <= set(architectures) and all(a != b for a, b in zip(drawn, moved))
    assert pickle.loads(pickle.dumps(drawn[0])) == drawn[0]
    small = space.restrict({"image_size": [96]})
    assert set(small.enumerate()) == {a for a in architectures if a["image_size"] == 96}
    with pytest.raises(InputError, match="does not allow"):
        space.architecture(**YoloSpace().preset("yolov8n").to_dict())


@pytest.mark.parametrize("algorithm", ["random", "evolution", "surrogate"])
def test_it_can_be_searched(table_file, tmp_path, algorithm):
    evaluator = TableEvaluator(table_file, fidelities=())
    objectives = [Objective("map50_95", "max"), Objective("macs", "min")]
    run = search(
        evaluator.space, evaluator, objectives, max_evaluations=14, algorithm=algorithm, directory=tmp_path / "run"
    )
    assert len(run.all_evaluations) == 14 and not run.repeats  # only some architectures were trained twice
    assert len({e.key for e in run.evaluations}) == 14
    asked = make_algorithm(algorithm, evaluator.space.restrict({"image_size": [96]}), objectives).ask()
    assert asked["image_size"] == 96


def change(path, line, column, value):
    rows = list(csv.reader(path.open(newline="")))
    rows[line - 1][rows[0].index(column)] = value
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    path.write_text(text.getvalue())


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("map50_95", "1.2", "a number from 0 to 1"),
        ("map50_95@2", "nan", "a number from 0 to 1"),
        ("train_seconds", "", "a number above 0"),
        ("train_seconds", "inf", "a number above 0"),
        ("seed", "1.5", "a whole number"),
        ("seed", "1", "is in line [23] already"),
        ("key", "0123456789ab", "is not that of the architecture"),
        ("architecture", "{}", "has no value"),
        ("architecture", "[]", "must be values of choices"),
        ("architecture", '{"image_size": 1', "cut off"),
        ("macs", "0", "at least 1"),
    ],
)
def test_a_wrong_cell_is_named(own, column, value, said):
    change(own, 2, column, value)
    with pytest.raises(InputError, match=rf"own\.csv, line [23], column {column}.*{said}"):
        read_table(own)


def test_a_wrong_file_is_named(own):
    text = own.read_text()
    for wrong, said in (
        (text.replace("map50_95@4", "map50_95@four"), "'map50_95@four' is not known"),
        (text.replace("map50_95@4", "map50_95@9"), "'map50_95@9': the trainings have 8 epochs"),
        (text.replace("train_seconds", "seconds"), "no column 'train_seconds'"),
        (text.replace("map50_95@4", "map50_95@2"), "each once"),
        (text + "a,b\n", "has 2 cells"),
        (text.splitlines()[0] + "\n", "no rows"),
        ("", "no column 'key'"),
    ):
        own.write_text(wrong)
        with pytest.raises(InputError, match=said):
            read_table(own)
    own.write_text(text)
    about = json.loads(own.with_suffix(".json").read_text())
    for changes, said in (
        ({"num_classes": 0}, "num_classes"),
        ({"epochs": None}, "epochs"),
        ({"space": "other"}, "not known"),
    ):
        own.with_suffix(".json").write_text(json.dumps({**about, **changes}))
        with pytest.raises(InputError, match=said):
            read_table(own)
    own.with_suffix(".json").unlink()
    with pytest.raises(InputError, match="own.json"):
        read_table(own)
    with pytest.raises(InputError, match=r"is a \.csv file"):
        read_table(own.with_suffix(".txt"))


def test_epochs_that_it_lacks_are_refused(table_file):
    assert TableEvaluator(table_file, fidelities=[2, EPOCHS]).fidelities == (2, EPOCHS)
    for wrong in ([3, EPOCHS], [4, 2, EPOCHS], [2]):
        with pytest.raises(InputError, match="fidelities"):
            TableEvaluator(table_file, fidelities=wrong)


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".csv", ".json"])
def test_mutated_tables(own, suffix):
    lines = own.read_bytes().splitlines(keepends=True)
    own.write_bytes(b"".join(lines[:8]))
    from hypothesis import given

    with Tally(f"ground truth, {suffix}") as tally:

        @fuzzed
        @given(mutated_bytes(own.with_suffix(suffix).read_bytes()))
        def check(content):
            own.with_suffix(suffix).write_bytes(content)
            tally.read(lambda _: read_table(own), own)

        check()
