"""Training one architecture with Ultralytics' own trainer, offline and contained in one folder."""

from __future__ import annotations

import contextlib
import errno
import logging
import math
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from ultralytics.engine.trainer import BaseTrainer
from ultralytics.utils import LOGGER

from search_spaces import Architecture, InputError
from search_spaces.families import Family, family_of
from search_spaces.writing import move, write_text

from ..data import Dataset
from ..evaluator import EvaluationError
from ..precision import precision_on
from .settings import CONTAINED, SETTINGS, Fidelity, check_settings, effective

LEAST_SCALE = 2.0**-10  # of the gradients in FP16, begun at 2**16 and halved with every step that is skipped
PAUSED = "paused-{}.pt"  # in a trial's folder: a training that may go on after so many epochs
BEST = "best-{}.pt"  # of a long training: the best checkpoint so far, of the averaged weights after so many epochs
CHECKPOINT = "best.pt"


@dataclass(frozen=True)
class TrainingResult:
    """`metrics` holds map50_95 and map50 (Ultralytics' validator, last epoch) and train_seconds, of this call alone."""

    metrics: dict[str, float]
    checkpoint: Path


def trainer_of(family: Family) -> type[BaseTrainer]:
    """The trainer of a model family: `TRAINER` in the module of this package that has the family's name."""
    return import_module(f".{family.name}", __package__).TRAINER


def stop_at_nan(trainer: BaseTrainer) -> None:
    # Ultralytics would go back to an earlier checkpoint and try again; a search records the failure and goes on.
    # The loss is not scaled: what a scaler catches are gradients, and a loss that is not finite has been through the
    # statistics of the normalisations, which keep it.
    if trainer.loss is not None and not torch.isfinite(trainer.loss):
        raise EvaluationError(f"the loss became {trainer.loss.item()} in epoch {trainer.epoch + 1}")
    if trainer.scaler.is_enabled() and trainer.scaler.get_scale() < LEAST_SCALE:  # nothing is learnt any more
        raise EvaluationError(
            f"the gradients are not finite in fp16, in epoch {trainer.epoch + 1}; bf16 or fp32 may do"
        )


def judged(trainer: BaseTrainer) -> dict[str, float]:
    """What Ultralytics' validator found, the last time, of the averaged weights."""
    found = trainer.metrics
    return {"map50_95": float(found["metrics/mAP50-95(B)"]), "map50": float(found["metrics/mAP50(B)"])}


def latest_pause(directory: Path, until: int) -> Path | None:
    """The latest state before `until`; those before it are not needed any more."""
    epochs = sorted(int(path.stem.rpartition("-")[2]) for path in directory.glob(PAUSED.format("*")))
    before = [epoch for epoch in epochs if epoch < until]
    for epoch in before[:-1]:
        (directory / PAUSED.format(epoch)).unlink()
    return directory / PAUSED.format(before[-1]) if before else None


def _keep_table(written: Path, kept: Path) -> None:
    """Keep one row an epoch of the table that was written, also of a training that paused or was repeated from a pause on."""
    head, *rows = written.read_text(encoding="utf-8").splitlines(keepends=True)
    first = int(rows[0].partition(",")[0])
    if kept.exists() and first > 1:
        rows = [*kept.read_text(encoding="utf-8").splitlines(keepends=True)[1:first], *rows]
    write_text(kept, "".join([head, *rows]))


@contextlib.contextmanager
def _contained(log: Path, threads: int | None) -> Iterator[None]:
    """Ultralytics' messages go to a file; what it changes for the whole process is put back."""
    handlers, level, propagate = LOGGER.handlers[:], LOGGER.level, LOGGER.propagate
    before = torch.get_num_threads()
    with open(log, "a", encoding="utf-8") as stream:
        LOGGER.handlers = [logging.StreamHandler(stream)]
        LOGGER.setLevel(logging.INFO)
        LOGGER.propagate = False
        if threads:
            torch.set_num_threads(threads)
        try:
            with contextlib.redirect_stdout(stream), contextlib.redirect_stderr(stream):
                yield
        finally:
            LOGGER.handlers, LOGGER.propagate = handlers, propagate
            LOGGER.setLevel(level)
            torch.set_num_threads(before)


@contextlib.contextmanager
def training_in(directory: Path, device: str, threads: int | None) -> Iterator[None]:
    """What a training does and says stays in its folder; whatever goes wrong with it is an EvaluationError with the reason.

    Raises:
        OSError: the disk is full, which is no fault of the architecture.
    """
    with _contained(directory / "train.log", threads):
        try:
            yield
        except (EvaluationError, InputError):
            raise
        except torch.OutOfMemoryError as error:
            raise EvaluationError(f"out of memory on {device}: {str(error).splitlines()[0]}") from None
        except MemoryError:
            raise EvaluationError("out of memory") from None
        except Exception as error:
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise
            if isinstance(error, RuntimeError) and shutil.disk_usage(directory).free < 2**20:  # as torch.save puts it
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(directory)) from None
            LOGGER.exception("training failed")
            raise EvaluationError(f"training failed with {type(error).__name__}: {error}".splitlines()[0]) from None
        finally:
            if device != "cpu":
                torch.cuda.empty_cache()


def overriding(
    told: Mapping[str, Any],
    architecture: Architecture,
    dataset: Dataset,
    fidelity: Fidelity,
    directory: Path,
    seed: int,
    device: str,
    amp: str,
    batch: int,
) -> dict[str, Any]:
    """All settings of an Ultralytics trainer; `told` are those that say how it learns.

    Raises:
        InputError: a precision that the device does not have.
    """
    return {
        **told,
        **CONTAINED,
        "data": str(dataset.yaml_path),
        "epochs": fidelity.epochs,
        "imgsz": architecture["image_size"],
        "fraction": fidelity.fraction,
        "batch": batch,
        "nbs": batch,
        "seed": seed,
        "device": device,
        "amp": precision_on(device, amp),
        "project": str(directory.absolute()),
        "workers": 0 if device == "cpu" else 4,
    }


def train(
    architecture: Architecture,
    dataset: Dataset,
    fidelity: Fidelity,
    directory: str | Path,
    *,
    until: int | None = None,
    seed: int = 0,
    device: str = "cpu",
    amp: str = "auto",
    batch: int = 16,
    threads: int | None = None,
    settings: Mapping[str, Any] | None = None,
) -> TrainingResult:
    """Train from scratch; leaves `best.pt`, `results.csv` and `train.log` in `directory`.

    Args:
        until: epochs of the fidelity after which to pause; the state is left in `directory/paused-EPOCHS.pt`. A call goes on
            from the latest one before `until`, so that one which is repeated after a crash ends as it would have the first
            time. None, or all epochs, trains to the end and removes them.
        device: "cpu" or a CUDA device.
        amp: the precision: "bf16", "fp16" or "fp32"; "auto" is the first that the device has, and FP32 on a CPU.
        threads: of PyTorch during training; None leaves them as they are.
        settings: Ultralytics training settings that replace `SETTINGS`; those that do nothing are left out.

    Raises:
        InputError: settings that may not be replaced, or a precision that the device does not have.
        EvaluationError: the loss became NaN, memory ran out, or the training broke otherwise; says which.
    """
    directory = Path(directory)
    check_settings(settings or {}, fidelity.epochs)
    directory.mkdir(parents=True, exist_ok=True)
    until = fidelity.epochs if until is None else until
    paused = latest_pause(directory, until)
    told = {**SETTINGS, **effective(settings or {})}
    overrides = overriding(told, architecture, dataset, fidelity, directory, seed, device, amp, batch)
    started = time.perf_counter()
    with training_in(directory, device, threads):
        trainer = trainer_of(family_of(architecture.space))(
            overrides=overrides, architecture=architecture, dataset=dataset, paused=paused
        )
        trainer.add_callback("on_train_batch_end", stop_at_nan)
        if until < fidelity.epochs:
            trainer.pause_after(until, directory / PAUSED.format(until))
        trainer.train()
    seconds = time.perf_counter() - started
    metrics = {**judged(trainer), "train_seconds": seconds}
    if not all(map(math.isfinite, metrics.values())):
        raise EvaluationError(f"validation gave {metrics}")
    written = trainer.best if trainer.best.exists() else trainer.last
    checkpoint = directory / CHECKPOINT
    move(written, checkpoint)
    if trainer.csv.exists():
        _keep_table(trainer.csv, directory / "results.csv")
    if until >= fidelity.epochs:
        discard_pauses(directory)
    shutil.rmtree(trainer.save_dir, ignore_errors=True)
    return TrainingResult(metrics, checkpoint)


def discard_pauses(directory: Path) -> None:
    """Remove the states from which a training could go on."""
    for name in (PAUSED, f".*.{PAUSED}", BEST):  # the second were being written when their process was killed
        for left in directory.glob(name.format("*")):
            left.unlink()
