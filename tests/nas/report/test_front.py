"""The front for people: a table at any width, tables in files, a picture."""

import csv
import io
import json

import pytest
from rich.console import Console

from nas import Objective, search
from nas.report.front import print_front, write_front
from nas.storage.written import Written
from search_spaces import Choice, SearchSpace

DEVICES = ("pi", "a-board")


def evaluate(architecture):
    depth = architecture["depth"]
    figures = {"map50_95": depth / 9, "map50": depth / 8, "params": 1_234_567 * depth, "macs": 123_456_789 * depth}
    figures |= {"peak_activation_bytes": 9_876_543, "train_seconds": 71.25, "file_bytes": 12_345_678}
    for device in DEVICES:
        for name, factor in {"": 1, "low_": 0.875, "high_": 1.125, "measured_": 1.0625}.items():
            figures[f"latency_{name}ms@{device}"] = 1024.5 * depth * factor
        figures[f"latency_difference_percent@{device}"] = 6.25
    return figures


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    space = SearchSpace("toy", [Choice("depth", [1, 2, 3])])
    first = space.architecture(depth=1)
    return search(
        space,
        evaluate,
        [Objective("map50_95", "max"), *(Objective(f"latency_ms@{device}", "min") for device in DEVICES)],
        max_evaluations=3,
        algorithm="random",
        directory=tmp_path_factory.mktemp("front") / "mis [v2] $a$",
        references=[first],
        settings={"references": {"=cmd $b$ :smile: [red]": first.key}, "devices": dict.fromkeys(DEVICES, "a board")},
    )


def shown(run, width):
    out = io.StringIO()
    print_front(run, Console(file=out, width=width))
    return out.getvalue()


@pytest.mark.parametrize("width", [60, 80, 100, 120, 160, 300])
def test_every_figure_is_whole_at_any_width(run, width):
    text = shown(run, width)
    title, table, notes = text[: text.index("┏")], text[text.index("┏") : text.rindex("┘")], text[text.rindex("┘") :]
    assert title == f"front of {run.directory}: 3 of 3 evaluated models\n"
    assert all(len(line) <= width for line in table.splitlines()) and "…" not in text
    rows = [line.strip("│").split("│") for line in table.splitlines() if line.startswith("│")]
    cells = {cell.strip() for row in rows for cell in row[1:]}
    whole = {"0.333", "0.222", "0.111", "0.375", "0.250", "0.125", "+6", "71.25", "12,345,678", "9,876,543", ""}
    for depth in (1, 2, 3):
        ms = [1024.5 * depth * factor for factor in (1, 1.0625)]
        whole |= {f"{1_234_567 * depth:,}", f"{123_456_789 * depth:,}", *(f"{value:.2f}" for value in ms)}
        whole.add(f"{1024.5 * depth * 0.875:.2f} to {1024.5 * depth * 1.125:.2f}")
    assert cells <= whole and "0.333" in cells
    columns = len(rows[0]) - 1
    assert columns >= {60: 3, 80: 3, 100: 5, 120: 6, 160: 9, 300: 15}[width]
    assert ("are left out; COLUMNS=" in notes) == (columns < 15)


def test_the_width_that_is_named_shows_all(run):
    notes = shown(run, 80).splitlines()[-1]
    assert notes.startswith("at 80 columns, ") and "training s" in notes
    width = int(notes.partition("COLUMNS=")[2].split()[0])
    assert "left out" not in shown(run, width) and "training s is left out" in " ".join(shown(run, width - 1).split())


def test_names_are_shown_as_they_are(run):
    assert "=cmd $b$ :smile: [red]" in shown(run, 300)


def test_no_cell_of_the_table_in_a_file_is_a_formula(run):
    written = write_front(run)
    assert [path.name for path in written] == ["front.csv", "front.json", "front.png"]
    assert all(path.exists() for path in written)
    with open(run.folder.front_csv, encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    named = [row["name"] for row in rows if row["name"]]
    assert named == ["'=cmd $b$ :smile: [red]"] and rows[0]["latency_difference_percent@pi"] == "6.25"
    document = json.loads(run.folder.front_json.read_text())
    assert "=cmd $b$ :smile: [red]" in [model["name"] for model in document["front"]]
    assert f"{run.folder.front_csv} shows all" in " ".join(shown(run, 80).split())


def test_a_picture_shows_dollars_and_not_mathematics(run, monkeypatch, tmp_path):
    from matplotlib.text import Text

    drawn, original = set(), Text._preprocess_math
    monkeypatch.setattr(Text, "_preprocess_math", lambda self, s: (drawn.add(original(self, s)), original(self, s))[1])
    write_front(run)
    assert ("=cmd $b$ :smile: [red]", False) in drawn
    assert any(str(text).startswith("mis [v2] $a$: 3 models") and mathematics is False for text, mathematics in drawn)


def test_one_objective_has_no_picture(tmp_path):
    space = SearchSpace("toy", [Choice("depth", [1, 2, 3])])
    objectives = [Objective("map50_95", "max")]
    one = search(space, evaluate, objectives, max_evaluations=2, algorithm="random", directory=tmp_path / "one")
    assert [path.name for path in write_front(one)] == ["front.csv", "front.json"]
    assert not (tmp_path / "one" / "front.png").exists()


def noisy(architecture, repeat=0):
    accuracy = (0.2, 0.4, 0.41, 0.7)[architecture["depth"] - 1] + 0.02 * repeat
    return {"map50_95": accuracy, "params": 1e6 * architecture["depth"]}


@pytest.fixture
def noisy_run(tmp_path):
    space = SearchSpace("toy", [Choice("depth", [1, 2, 3, 4])])
    objectives = [Objective("map50_95", "max"), Objective("params", "min")]

    def make(**options):
        references = [space.architecture(depth=4)]
        options = {"max_evaluations": 5, "algorithm": "random", "references": references, "seed": 0, **options}
        return search(space, noisy, objectives, directory=tmp_path / "run", **options)

    return make


def test_figures_of_trainings_have_their_errors(noisy_run):
    run = noisy_run()
    text = " ".join(shown(run, 200).split())
    assert "0.710 ± 0.02" in text and "0.400 ± 0.03" in text and "│ 2 │" in text
    assert "(may be off)" in text and text.count("(may be off)") == 1  # depth 3, of which depth 2 may be better
    assert (
        "± is one standard error: from one training of a model to another map50_95 by 0.03 (by 2 trainings of one model"
        in text
    )
    assert (
        "1 of 4 models may be off the front: with a probability above 20% another one is better in everything" in text
    )
    assert "confirm=4 and resume=True" in text
    run.folder.config.touch()  # as of a command
    assert f"run `evoyolo resume {run.directory} --confirm 4`" in " ".join(shown(run, 200).split())


def test_files_of_the_front_have_errors_and_trainings(noisy_run):
    run = noisy_run(confirm=3)
    assert {path.name for path in write_front(run)} == {"front.csv", "front.json", "front.png"}
    with open(run.folder.front_csv, encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    document = json.loads(run.folder.front_json.read_text())
    for row, model, judged in zip(rows, document["front"], run.judgement.front):
        assert float(row["map50_95"]) == model["metrics"]["map50_95"] == judged.metrics["map50_95"]
        assert float(row["map50_95_error"]) == model["errors"]["map50_95"] == judged.errors["map50_95"]
        assert int(row["trainings"]) == model["trainings"] == judged.trainings
    assert sum(model["trainings"] for model in document["front"]) == 8
    assert document["noise"]["map50_95"] == {
        "deviation": run.noise["map50_95"].deviation,
        "trainings": run.noise["map50_95"].trainings,
        "architectures": run.noise["map50_95"].architectures,
        "measured": True,
    }


def test_noise_that_was_not_measured_is_said_to_be_a_guess(noisy_run, tmp_path):
    assert (
        "± is a guess, by what is usual from one training of a model to another, map50_95 by 0.03: no model was"
        in shown(noisy_run(repeats=0), 300)
    )


def test_trainings_that_agree_tell_nothing_of_noise(tmp_path):
    space = SearchSpace("toy", [Choice("depth", [1, 2, 3, 4])])
    run = search(
        space,
        lambda architecture, repeat=0: {"map50_95": 0.0},
        [Objective("map50_95", "max")],
        max_evaluations=3,
        algorithm="random",
        directory=tmp_path / "run",
    )
    assert "map50_95 by 0.03: 2 trainings of one model agree in each, which tells nothing" in shown(run, 300)


def test_without_random_numbers_nothing_is_said_of_noise(run):
    assert "±" not in shown(run, 300) and "may be off" not in shown(run, 300)


def test_a_table_that_was_changed_meanwhile_is_left_and_the_rest_is_written(tmp_path):
    space = SearchSpace("toy", [Choice("depth", [1, 2, 3])])
    objectives = [Objective("map50_95", "max"), Objective("params", "min")]
    run = search(space, evaluate, objectives, max_evaluations=2, algorithm="random", directory=tmp_path / "run")
    Written(run.folder).begin()
    write_front(run)
    run.folder.front_csv.write_text("as a spreadsheet saved it")
    told = []
    assert [path.name for path in write_front(run, refused=told.append)] == ["front.json", "front.png"]
    assert "front.csv was not written by this run, or was changed since" in "".join(told)
    assert run.folder.front_csv.read_text() == "as a spreadsheet saved it"
