"""Training: what it leaves behind, and how its failures end."""

import logging
import subprocess
import sys

import pytest
import torch
from ultralytics.utils import LOGGER

from evaluators import EvaluationError
from evaluators.data import load_dataset
from evaluators.training import DetectorTraining, Fidelity, train
from search_spaces import InputError

pytestmark = pytest.mark.slow


def test_it_leaves_a_checkpoint_a_table_and_a_log(small_data, tiny, tmp_path, capfd):
    threads, level, handlers = torch.get_num_threads(), LOGGER.level, LOGGER.handlers[:]
    result = train(tiny, load_dataset(small_data), Fidelity(1), tmp_path / "trial", batch=8, threads=2)
    assert sorted(p.name for p in (tmp_path / "trial").iterdir()) == ["best.pt", "results.csv", "train.log"]
    assert set(result.metrics) == {"map50_95", "map50", "train_seconds"} and result.metrics["train_seconds"] > 0
    assert result.checkpoint.stat().st_size < 4e6  # the optimizer's state is gone
    assert capfd.readouterr() == ("", "")  # a search has its own display
    assert (torch.get_num_threads(), LOGGER.level, LOGGER.handlers) == (threads, level, handlers)
    assert not torch.are_deterministic_algorithms_enabled()


def test_it_reports_to_nobody_however_ultralytics_was_imported(small_data, tiny, tmp_path, monkeypatch):
    from ultralytics.utils import events

    sent = []
    monkeypatch.setattr(events, "_post", lambda *arguments, **options: sent.append(arguments))
    # as it is where someone imported it online, before this package
    monkeypatch.setattr(events.events, "enabled", True)
    train(tiny, load_dataset(small_data), Fidelity(1), tmp_path, batch=8)
    assert sent == [] and events.events.events == []


def test_same_seed_same_weights(small_data, tiny, checkpoint, tmp_path):
    from evaluators.training.checkpoint import load_checkpoint

    again = train(tiny, load_dataset(small_data), Fidelity(1), tmp_path, batch=8).checkpoint
    first, second = (load_checkpoint(path).state_dict() for path in (checkpoint, again))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_on_a_cpu_a_step_is_one_kernel_and_does_the_same(small_data, tiny, tmp_path, monkeypatch):
    from evaluators.training.checkpoint import load_checkpoint

    made, build = [], DetectorTraining.build_optimizer
    monkeypatch.setattr(DetectorTraining, "build_optimizer", lambda *a, **k: made.append(build(*a, **k)) or made[-1])
    monkeypatch.setattr("evaluators.training.yolov8.FUSED", ())
    loop = train(tiny, load_dataset(small_data), Fidelity(1), tmp_path / "loop", batch=8).checkpoint
    monkeypatch.undo()
    monkeypatch.setattr(DetectorTraining, "build_optimizer", lambda *a, **k: made.append(build(*a, **k)) or made[-1])
    kernel = train(tiny, load_dataset(small_data), Fidelity(1), tmp_path / "kernel", batch=8).checkpoint
    assert [all(group["fused"] for group in each.param_groups) for each in made] == [False, True]
    for one, other in zip(*(load_checkpoint(path).state_dict().values() for path in (loop, kernel))):
        torch.testing.assert_close(one, other, rtol=0.02, atol=1e-3)


def test_a_training_that_paused_ends_like_one_that_did_not(small_data, tiny, tmp_path):
    from evaluators.training.checkpoint import load_checkpoint

    data, fidelity = load_dataset(small_data), Fidelity(3)
    whole = train(tiny, data, fidelity, tmp_path / "whole", batch=8)
    first = train(tiny, data, fidelity, tmp_path / "parts", until=1, batch=8)
    assert (tmp_path / "parts" / "paused-1.pt").exists() and first.checkpoint.exists()
    train(tiny, data, fidelity, tmp_path / "parts", until=2, batch=8)  # and is killed before anybody hears of it
    second = train(tiny, data, fidelity, tmp_path / "parts", until=2, batch=8)
    last = train(tiny, data, fidelity, tmp_path / "parts", batch=8)
    weights = [load_checkpoint(result.checkpoint).state_dict() for result in (whole, last)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert last.metrics["map50_95"] == whole.metrics["map50_95"]
    assert {"map50_95", "map50", "train_seconds"} == set(second.metrics)
    assert sorted(p.name for p in (tmp_path / "parts").iterdir()) == ["best.pt", "results.csv", "train.log"]
    tables = [(tmp_path / name / "results.csv").read_text().splitlines() for name in ("whole", "parts")]
    assert [line.split(",")[0] for line in tables[0]] == [line.split(",")[0] for line in tables[1]]


def test_a_nan_loss_is_a_failure_with_its_reason(small_data, tiny, tmp_path, monkeypatch):
    step = DetectorTraining.optimizer_step

    def poison(self):
        step(self)
        if self.epoch == 1:
            next(self.model.parameters()).data.fill_(float("nan"))

    monkeypatch.setattr(DetectorTraining, "optimizer_step", poison)
    with pytest.raises(EvaluationError, match="the loss became (nan|inf) in epoch 2"):
        train(tiny, load_dataset(small_data), Fidelity(3), tmp_path, batch=4)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried"), "out of memory on cpu: CUDA out of memory"),
        (MemoryError(), "^out of memory$"),
        (ValueError("broken\nin two lines"), "training failed with ValueError: broken$"),
    ],
)
def test_other_failures_have_their_reason_too(small_data, tiny, tmp_path, monkeypatch, error, message):
    def fail(self):
        raise error

    monkeypatch.setattr(DetectorTraining, "_model_train", fail)
    with pytest.raises(EvaluationError, match=message):
        train(tiny, load_dataset(small_data), Fidelity(1), tmp_path)


def test_memory_that_runs_out_does_not_halve_the_batch(small_data, tiny, tmp_path, monkeypatch):
    """As Ultralytics would, in the first epoch: then a figure would depend on what else the GPU did."""
    prepare, calls = DetectorTraining.preprocess_batch, []

    def first_fails(self, batch):
        calls.append(len(batch["img"]))
        if len(calls) == 1:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried")
        return prepare(self, batch)

    monkeypatch.setattr(DetectorTraining, "preprocess_batch", first_fails)
    with pytest.raises(EvaluationError, match="out of memory on cpu: a batch of 8 images does not fit"):
        train(tiny, load_dataset(small_data), Fidelity(1), tmp_path, batch=8)


def test_an_interrupt_is_not_a_failure(small_data, tiny, tmp_path, monkeypatch):
    def interrupt(self):
        raise KeyboardInterrupt

    monkeypatch.setattr(DetectorTraining, "_model_train", interrupt)
    with pytest.raises(KeyboardInterrupt):
        train(tiny, load_dataset(small_data), Fidelity(1), tmp_path)
    assert LOGGER.level != logging.NOTSET


def test_nothing_reaches_for_the_network(small_data, tmp_path):
    """In a process where every connection and look-up is recorded and refused."""
    code = f"""
import socket
tried = []
def refuse(*a, **k):
    tried.append(a[:2]); raise OSError("no network")
socket.getaddrinfo = socket.create_connection = refuse
socket.socket.connect = lambda self, address: refuse(address)
from search_spaces import YoloSpace
from evaluators.data import load_dataset
from evaluators.training import DetectorTraining, Fidelity, train
train(YoloSpace().preset("yolov8-w1/16", image_size=64), load_dataset({str(small_data)!r}), Fidelity(1), {str(tmp_path / "t")!r}, batch=8)
print("tried", tried)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().endswith("tried []")


def test_the_checkpoint_serves_plain_ultralytics_in_a_fresh_process(checkpoint, small_data, tmp_path):
    code = f"""
import os
os.environ["YOLO_AUTOINSTALL"] = "false"
os.environ["YOLO_OFFLINE"] = "true"
from ultralytics import YOLO
model = YOLO({str(checkpoint)!r})
print(len(model.predict({str(small_data.parent / "images/val/00000.png")!r}, imgsz=64, verbose=False)))
print(round(model.val(data={str(small_data)!r}, imgsz=64, plots=False, workers=0, verbose=False, project={str(tmp_path)!r}).box.map, 3))
print(model.export(format="torchscript", imgsz=64))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().endswith("best.torchscript")


def test_a_checkpoint_trains_further_with_our_trainer(checkpoint, small_data, tmp_path):
    from ultralytics import YOLO

    model = YOLO(checkpoint)
    model.train(
        trainer=DetectorTraining,
        data=str(small_data),
        epochs=1,
        imgsz=64,
        batch=8,
        plots=False,
        workers=0,
        amp=False,
        project=str(tmp_path),
        verbose=False,
    )
    assert sum(p.numel() for p in model.model.parameters()) == sum(
        p.numel() for p in YOLO(checkpoint).model.parameters()
    )


@pytest.mark.parametrize(
    ("fidelity", "message"),
    [
        ({"epochs": 0}, "epochs"),
        ({"epochs": 1, "fraction": 0}, "fraction"),
    ],
)
def test_wrong_fidelities_are_named(fidelity, message):
    with pytest.raises(InputError, match=message):
        Fidelity(**fidelity)
