"""The files of one model: those that are there as they are, missing ones exported anew."""

import os
import shutil
from types import SimpleNamespace

import pytest
import torch

from evaluators.training import load_checkpoint
from nas import Objective, search
from nas.cli.main import main
from nas.delivery.handover import hand_over
from search_spaces import InputError, YoloSpace

pytestmark = pytest.mark.slow

OBJECTIVES = [Objective("map50_95", "max"), Objective("params", "min")]


@pytest.fixture
def run(tiny, tmp_path):
    """A run that holds the architecture of the trained checkpoint, without any files."""
    space = YoloSpace().restrict({name: [value] for name, value in tiny.to_dict().items()})
    return search(
        space,
        lambda architecture: {"map50_95": 0.1, "params": 1},
        OBJECTIVES,
        max_evaluations=1,
        algorithm="random",
        directory=tmp_path / "run",
    )


def test_files_that_are_there_are_handed_over_as_they_are(run, tmp_path):
    (evaluation,) = run.front
    folder = run.directory / "models" / evaluation.key
    folder.mkdir(parents=True)
    for name in ("model.yaml", "best.pt", "model.onnx"):
        (folder / name).write_text(name)
    assert hand_over(run, evaluation) == {
        "yaml": folder / "model.yaml",
        "checkpoint": folder / "best.pt",
        "onnx": folder / "model.onnx",
    }
    copied = hand_over(run, evaluation, tmp_path / "deep" / "out")
    assert {kind: path.read_text() for kind, path in copied.items()} == {
        "yaml": "model.yaml",
        "checkpoint": "best.pt",
        "onnx": "model.onnx",
    }
    assert all(path.parent == tmp_path / "deep" / "out" for path in copied.values())


def test_a_missing_file_is_exported_anew(run, checkpoint):
    import onnx

    (evaluation,) = run.front
    trained = run.directory / "trials" / evaluation.key / "best.pt"
    shutil.copyfile(checkpoint, trained)
    files = hand_over(run, evaluation)
    onnx.checker.check_model(files["onnx"])
    assert files["checkpoint"].read_bytes() == trained.read_bytes()
    files["onnx"].unlink()
    assert hand_over(run, evaluation)["onnx"].exists()
    left = [path.name for path in files["onnx"].parents[1].iterdir()]
    assert left == [evaluation.key]  # nothing of exporting


def test_what_was_handed_over_does_without_the_trials(run, checkpoint):
    (evaluation,) = run.front
    shutil.copyfile(checkpoint, run.directory / "trials" / evaluation.key / "best.pt")
    before = {kind: path.read_bytes() for kind, path in hand_over(run, evaluation).items()}
    shutil.rmtree(run.directory / "trials")
    again = hand_over(run, evaluation)
    again["onnx"].unlink()
    assert {kind: path.read_bytes() for kind, path in hand_over(run, evaluation).items()} == before


def test_what_was_judged_is_not_made_anew_of_something_else(run):
    (evaluation,) = run.front
    run.settings["config"] = {"recipe": ["train", "export", "quantise"]}
    folder = run.directory / "models" / evaluation.key
    folder.mkdir(parents=True)
    (folder / "best.pt").write_text("a checkpoint")
    with pytest.raises(InputError, match=f"keeps no ONNX file as it was judged of {evaluation.key}"):
        hand_over(run, evaluation)


def test_a_run_that_cannot_be_written_is_handed_over_elsewhere(run, checkpoint, tmp_path, monkeypatch):
    (evaluation,) = run.front
    shutil.copyfile(checkpoint, run.directory / "trials" / evaluation.key / "best.pt")
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)
    with pytest.raises(InputError, match="cannot be written, and has not all files .*--output"):
        hand_over(run, evaluation)
    for _ in range(2):
        files = hand_over(run, evaluation, tmp_path / "out")
    assert all(path.exists() and path.parent == tmp_path / "out" for path in files.values())
    assert not (run.directory / "models").exists()
    files["yaml"].write_text("mine")
    with pytest.raises(InputError, match="model.yaml exists and is no file of"):
        hand_over(run, evaluation, tmp_path / "out")
    assert files["yaml"].read_text() == "mine"


@pytest.mark.parametrize("place", ["models", "models/KEY", "models/KEY/best.pt", "trials", "trials/KEY/best.pt"])
def test_a_link_in_a_strangers_run_hands_nothing_out_and_lets_nothing_in(run, tmp_path, place):
    (evaluation,) = run.front
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "best.pt").write_text("secret")
    path = run.directory / place.replace("KEY", evaluation.key)
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(path, ignore_errors=True)
    path.symlink_to(mine / "best.pt" if place.endswith("best.pt") else mine)
    with pytest.raises(InputError, match=f"{path} is a symbolic link"):
        hand_over(run, evaluation, tmp_path / "out")
    assert [each.name for each in mine.iterdir()] == ["best.pt"] and not (tmp_path / "out").exists()


def test_another_file_of_that_name_is_left_as_it_is(run, tmp_path):
    (evaluation,) = run.front
    for name in ("model.yaml", "best.pt", "model.onnx"):
        path = run.folder.model(evaluation.key) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    out = tmp_path / "out"
    hand_over(run, evaluation, out)
    hand_over(run, evaluation, out)  # the same files
    (out / "best.pt").write_text("mine")
    with pytest.raises(InputError, match="best.pt exists and is no file of .*name another folder"):
        hand_over(run, evaluation, out)
    assert (out / "best.pt").read_text() == "mine"


def test_another_model_takes_the_place_of_the_one_before_it(run, tmp_path):
    """Also of a run that keeps no record of what it wrote, as one begun from Python."""
    out = tmp_path / "out"
    for key in ("one", "two", "one"):
        for name in ("model.yaml", "best.pt", "model.onnx"):
            path = run.folder.model(key) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{name} of {key}")
        hand_over(run, SimpleNamespace(key=key), out)
        assert (out / "best.pt").read_text() == f"best.pt of {key}" and not run.folder.written.exists()


def test_without_a_checkpoint_nothing_can_be_made(run):
    (evaluation,) = run.front
    with pytest.raises(InputError, match=f"keeps no checkpoint of {evaluation.key}"):
        hand_over(run, evaluation)


class Order:
    """Pickles as the call of a function."""

    def __init__(self, *call):
        self.call = call

    def __reduce__(self):
        return self.call[0], self.call[1:]


def test_the_checkpoint_of_a_stranger_s_run_runs_nothing(run, checkpoint, tmp_path, capsys):
    (evaluation,) = run.front
    model = load_checkpoint(checkpoint)
    model.note = Order(os.system, f"touch {tmp_path / 'ran'}")
    torch.save({"model": model}, run.directory / "trials" / evaluation.key / "best.pt")
    assert main(["pick", str(run.directory)]) == 1
    assert "best.pt: needs '" in capsys.readouterr().err and not (tmp_path / "ran").exists()
    assert not (run.directory / "models").exists()
