"""Long training: what a kill costs, which epoch is kept, when it ends, and what it begins with."""

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from evaluators import EvaluationError
from evaluators.data import load_dataset
from evaluators.epochs import Epochs, epochs_of
from evaluators.training import Fidelity, Judging, load_checkpoint, long_batch, long_settings, steps_of, train_long
from evaluators.training import long as module
from evaluators.training.settings import ALLOWED, check_settings
from search_spaces import InputError

ROOT = Path(__file__).parents[3]
EPOCHS, CLOSING = 6, {"close_mosaic": 3, "mosaic": 1.0}


def weights(path):
    return load_checkpoint(path).state_dict()


def same(first, second):
    first, second = weights(first), weights(second)
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def rows(directory):
    """The table's rows without what depends on the clock."""
    with open(directory / "results.csv") as file:
        return [{name: cell for name, cell in row.items() if name != "time"} for row in csv.DictReader(file)]


@pytest.fixture(scope="module")
def whole(small_data, tiny, tmp_path_factory):
    """(folder, result) of a training that nothing disturbed; mosaic ends in its middle."""
    directory = tmp_path_factory.mktemp("whole")
    result = train_long(
        tiny, load_dataset(small_data), Fidelity(EPOCHS), directory, batch=8, settings=CLOSING, threads=1
    )
    return directory, result


@pytest.fixture
def scripted(monkeypatch):
    """The function that decides what every validation finds."""

    def script(figures):
        found = iter(figures)
        monkeypatch.setattr(module, "judged", lambda trainer: figure(trainer, found))

    def figure(trainer, found):
        if getattr(trainer, "figured", None) != trainer.epoch:
            trainer.figured, trainer.figure = trainer.epoch, next(found)
        return {"map50_95": trainer.figure, "map50": trainer.figure}

    return script


@pytest.mark.parametrize("epochs", [1, 2, 10, 100, 300])
@pytest.mark.parametrize("mirrored", [True, False])
def test_its_settings_are_such_as_may_be_given(epochs, mirrored):
    settings = long_settings(epochs, mirrored)
    check_settings(settings, epochs)
    assert settings.keys() <= ALLOWED.keys() and settings["fliplr"] == (0.5 if mirrored else 0.0)
    assert settings["mosaic"] == 1.0 and long_settings(epochs, mirrored, 4_999)["mosaic"] == 0.0
    assert settings["close_mosaic"] == {1: 0, 2: 1, 10: 1, 100: 10, 300: 30}[epochs] and settings["warmup_epochs"] <= 3


def test_a_batch_leaves_steps_enough_where_it_can():
    assert [long_batch(images, 100) for images in (10_000, 800, 784, 400, 50)] == [16, 16, 8, 8, 4]
    assert steps_of(33, 10, 16) == 30


def test_the_last_tenth_is_judged_after_every_epoch_and_the_rest_now_and_then():
    judged = [epoch for epoch in range(1, 201) if Judging().is_judged(epoch, 200)]
    assert judged == [*range(4, 181, 4), *range(181, 201)]
    assert [epoch for epoch in range(1, 11) if Judging(every=5).is_judged(epoch, 10)] == [5, 10]
    assert [epoch for epoch in range(1, 4) if Judging(every=50).is_judged(epoch, 3)] == [3]


@pytest.mark.parametrize("options", [{"every": 0}, {"patience": -1}, {"patience": 1.5}, {"every": True}])
def test_wrong_numbers_are_named(options):
    with pytest.raises(InputError, match="(validate_every|patience) must be a whole number of at least"):
        Judging(**options)


@pytest.mark.slow
def test_it_leaves_its_files_and_what_it_says_of_itself(whole):
    directory, result = whole
    names = {path.name for path in directory.iterdir()}
    assert {"best.pt", "last.pt", "results.csv", "train.log", "progress.json"} <= names and "ultralytics" not in names
    assert result.checkpoint == directory / "best.pt" and result.metrics["epochs"] == EPOCHS
    assert [row["epoch"] for row in rows(directory)] == [str(epoch) for epoch in range(1, EPOCHS + 1)]
    far = epochs_of(directory)
    assert (far.epoch, far.epochs, far.best_epoch) == (EPOCHS, EPOCHS, result.metrics["best_epoch"])
    assert 0 < far.seconds <= result.metrics["train_seconds"] and far.seconds_left == 0


@pytest.mark.slow
@pytest.mark.parametrize("epoch", [1, 3, 5])
def test_one_whose_process_is_killed_ends_like_one_that_was_not(whole, small_data, tiny, tmp_path, epoch):
    """By a signal that cannot be caught, in the middle of the epoch after `epoch`: before, where and after mosaic ends."""
    code = f"""
import os, signal, sys
from evaluators.data import load_dataset
from evaluators.training import long_batch, steps_of, DetectorTraining, Fidelity, train_long
from search_spaces import YoloSpace
step = DetectorTraining.optimizer_step
def dying(self):
    if self.epoch == {epoch} and getattr(self, "stepped", None) == self.epoch:
        os.kill(os.getpid(), signal.SIGKILL)
    self.stepped = self.epoch
    step(self)
DetectorTraining.optimizer_step = dying
tiny = YoloSpace().architecture(**{tiny.to_dict()!r})
train_long(tiny, load_dataset({str(small_data)!r}), Fidelity({EPOCHS}), {str(tmp_path)!r}, batch=8, settings={CLOSING!r}, threads=1)
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    died = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=False)
    assert died.returncode == -signal.SIGKILL, died.stderr
    assert epochs_of(tmp_path).epoch == epoch and (tmp_path / f"paused-{epoch}.pt").exists()
    data = load_dataset(small_data)
    result = train_long(tiny, data, Fidelity(EPOCHS), tmp_path, batch=8, settings=CLOSING, threads=1)
    assert f"going on after epoch {epoch} of {EPOCHS}" in (tmp_path / "train.log").read_text()
    directory, undisturbed = whole
    assert same(tmp_path / "last.pt", directory / "last.pt") and same(tmp_path / "best.pt", directory / "best.pt")
    assert rows(tmp_path) == rows(directory)
    for name in ("map50_95", "map50", "epochs", "best_epoch"):
        assert result.metrics[name] == undisturbed.metrics[name]


@pytest.mark.slow
def test_one_that_ended_before_anybody_heard_of_it_pays_one_epoch_again(small_data, tiny, tmp_path, scripted):
    data = load_dataset(small_data)
    scripted([0.1, 0.3, 0.2])
    first = train_long(tiny, data, Fidelity(3), tmp_path, batch=8)
    kept = (tmp_path / "best.pt").read_bytes()
    scripted([0.2])
    again = train_long(tiny, data, Fidelity(3), tmp_path, batch=8)
    assert "going on after epoch 2 of 3" in (tmp_path / "train.log").read_text()
    assert again.metrics["map50_95"] == first.metrics["map50_95"] == 0.3 and (tmp_path / "best.pt").read_bytes() == kept


@pytest.mark.slow
def test_the_best_epoch_is_kept_and_patience_ends_it(small_data, tiny, tmp_path, scripted):
    scripted([0.1, 0.3, 0.2, 0.1])
    result = train_long(tiny, load_dataset(small_data), Fidelity(9), tmp_path, judging=Judging(1, patience=2), batch=8)
    assert result.metrics["epochs"] == 4 and result.metrics["best_epoch"] == 2 and result.metrics["map50_95"] == 0.3
    assert not same(tmp_path / "best.pt", tmp_path / "last.pt") and len(rows(tmp_path)) == 4
    assert same(tmp_path / "best.pt", tmp_path / "best-2.pt") and epochs_of(tmp_path).seconds_left == 0


@pytest.mark.slow
def test_epochs_that_are_not_validated_have_no_figures(small_data, tiny, tmp_path):
    train_long(tiny, load_dataset(small_data), Fidelity(3), tmp_path, judging=Judging(2), batch=8)
    assert [bool(row["metrics/mAP50-95(B)"]) for row in rows(tmp_path)] == [False, True, True]


@pytest.mark.slow
def test_it_begins_with_weights(small_data, tiny, checkpoint, tmp_path, monkeypatch):
    begun = {}

    def stop(self, *_):
        begun.update({name: tensor.clone() for name, tensor in self.model.state_dict().items()})
        raise EvaluationError("that is enough")

    monkeypatch.setattr("evaluators.training.DetectorTraining._model_train", stop)
    with pytest.raises(EvaluationError, match="enough"):
        train_long(tiny, load_dataset(small_data), Fidelity(1), tmp_path, weights=checkpoint, batch=8)
    given = weights(checkpoint)
    assert all(torch.equal(begun[name], given[name]) for name in given if not name.endswith("num_batches_tracked"))


def test_progress_that_cannot_be_read_is_none(tmp_path):
    assert epochs_of(tmp_path) is None
    Epochs(epoch=2, epochs=8, seconds=6.0, epoch_seconds=3.0).write(tmp_path)
    assert epochs_of(tmp_path).seconds_left == 18
    for content in (
        "",
        "[]",
        "{}",
        '{"epoch": -1}',
        json.dumps({"epoch": "2", "epochs": 8, "seconds": 1, "epoch_seconds": 1}),
    ):
        (tmp_path / "progress.json").write_text(content)
        assert epochs_of(tmp_path) is None
