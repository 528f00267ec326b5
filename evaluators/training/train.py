"""Training one architecture with Ultralytics' own trainer, offline and contained in one folder."""

from __future__ import annotations

import contextlib
import errno
import logging
import math
import os
import random
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
from ultralytics.cfg import check_cfg
from ultralytics.data import build_yolo_dataset
from ultralytics.models.yolo.detect import DetectionTrainer
from ultralytics.utils import DEFAULT_CFG_DICT, LOGGER
from ultralytics.utils.torch_utils import strip_optimizer, unwrap_model

from search_spaces import Architecture, InputError, YoloSpace, build_model
from search_spaces.build import architecture_of
from search_spaces.files import write_text
from search_spaces.graph import check_image_size

from ..data import Dataset, load_dataset
from ..evaluator import EvaluationError
from ..locks import machine_lock

PAUSED = "paused-{}.pt"  # in a trial's folder: a training that may go on after so many epochs

# Suited to short training from scratch, where Ultralytics' defaults (made for hundreds of epochs: three of warm-up,
# mosaic, SGD or a learning rate guessed from the class count) learn next to nothing.
SETTINGS = {
    "optimizer": "AdamW",
    "lr0": 0.001,
    "lrf": 0.05,
    "cos_lr": True,
    "warmup_epochs": 0.5,
    "warmup_bias_lr": 0.0,
    "weight_decay": 0.01,
    "mosaic": 0.0,
    "close_mosaic": 0,
    "erasing": 0.0,
    "fliplr": 0.0,
    "translate": 0.1,
    "scale": 0.2,
    "hsv_h": 0.015,
    "hsv_s": 0.4,
    "hsv_v": 0.3,
}


# What keeps a training offline and in its folder, and what the arguments of `train` say.
CONTAINED = {
    "task": "detect",
    "mode": "train",
    "model": "architecture.yaml",  # never opened: get_model builds the network
    "name": "ultralytics",
    "exist_ok": True,
    "val": False,
    "save": False,
    "plots": False,
    "cache": "ram",
    "patience": 0,
    "verbose": False,
    "deterministic": True,
}
ARGUMENTS = ("data", "epochs", "imgsz", "fraction", "batch", "nbs", "seed", "device", "amp", "project", "workers")


def check_settings(settings: Mapping[str, object]) -> None:
    """Raise InputError unless these are Ultralytics training settings that may replace `SETTINGS`."""
    for name, value in settings.items():
        if name in CONTAINED or name in ARGUMENTS:
            raise InputError(
                f"training: {name} cannot be replaced: the search sets it, some of it by fields of its own"
            )
        if name not in DEFAULT_CFG_DICT:
            similar = get_close_matches(name, DEFAULT_CFG_DICT) or sorted(SETTINGS)
            raise InputError(f"training: Ultralytics has no setting {name!r}; there are {', '.join(similar)}")
        try:
            check_cfg({name: value})
        except (TypeError, ValueError) as error:
            raise InputError(f"training: {name}: {str(error).splitlines()[0]}") from None


@dataclass(frozen=True)
class Fidelity:
    """How much is spent on one training.

    Attributes:
        epochs: passes over the training images.
        image_size: pixels; None takes the architecture's own.
        fraction: share of the training images.
    """

    epochs: int
    image_size: int | None = None
    fraction: float = 1.0

    def __post_init__(self):
        if isinstance(self.epochs, bool) or not isinstance(self.epochs, int) or self.epochs < 1:
            raise InputError(f"epochs must be a positive integer, not {self.epochs!r}")
        if self.image_size is not None:
            check_image_size(self.image_size)
        if not 0 < self.fraction <= 1:
            raise InputError(f"fraction must be above 0 and at most 1, not {self.fraction!r}")


@dataclass(frozen=True)
class TrainingResult:
    """`metrics` holds map50_95 and map50 (Ultralytics' validator, last epoch) and train_seconds, of this call alone."""

    metrics: dict[str, float]
    checkpoint: Path


class DetectorTraining(DetectionTrainer):
    """Ultralytics' trainer for architectures of this package; nothing is downloaded, nothing reported anywhere.

    For further training of a checkpoint: ``YOLO("best.pt").train(trainer=DetectorTraining, data=..., ...)``.
    (It has no "Trainer" in its name on purpose: by that word Ultralytics attaches the callbacks of W&B, Ray Tune,
    MLflow and others, of which a search wants none.)
    """

    def __init__(
        self,
        *args,
        architecture: Architecture | None = None,
        dataset: Dataset | None = None,
        paused: Path | None = None,
        **kwargs,
    ):
        self.architecture, self.dataset, self.paused = architecture, dataset, paused
        super().__init__(*args, **kwargs)

    def get_dataset(self):
        # Ultralytics' own check fetches a font
        if self.dataset is None:
            self.dataset = load_dataset(str(self.args.data))
        return self.dataset.data_dict()

    def get_model(self, cfg=None, weights=None, verbose=True):
        architecture = self.architecture
        if architecture is None:
            architecture = architecture_of(weights, YoloSpace())
        model = build_model(architecture, self.data["nc"], self.data["names"])
        if weights is not None:
            model.load(weights, verbose=False)
        return model

    def setup_model(self):
        if self.architecture is None:
            return super().setup_model()
        self.model = self.get_model()
        return None

    def build_dataset(self, img_path, mode="train", batch=None):
        """Ultralytics' dataset, validated at exactly the image size: its default pads every validation image by half a
        stride, which at 64 px means judging a network at 96 px."""
        # Parallel trials share the folder where Ultralytics writes its cache of labels, which it does not do atomically.
        name = sha256(str(self.data["path"]).encode()).hexdigest()[:16]
        with machine_lock(f"labels-{name}"):
            stride = int(unwrap_model(self.model).stride.max())
            return build_yolo_dataset(self.args, img_path, batch, self.data, mode=mode, rect=False, stride=stride)

    def pause_after(self, epoch: int, path: Path) -> None:
        """Stop when `epoch` epochs are done, validated, and leave everything that the next one needs at `path`.

        Ultralytics' own resume keeps weights and optimizer in FP16 and no random states; from this file training goes on
        as if it had not stopped (exactly so with workers=0).
        """

        def stop(trainer):
            trainer.stop = trainer.epoch + 1 == epoch
            if trainer.stop:  # before the validation, which the uninterrupted training does not have here
                kind, keys, *rest = np.random.get_state()
                state.update(
                    random=random.getstate(),
                    numpy=(kind, torch.from_numpy(keys.astype(np.int64)), *rest),
                    torch=torch.get_rng_state(),
                )

        def save(trainer):
            if not trainer.stop:
                return
            trainer.save_model()
            state.update(
                epoch=epoch,
                model=unwrap_model(trainer.model).state_dict(),
                ema=trainer.ema.ema.state_dict(),
                updates=trainer.ema.updates,
                optimizer=trainer.optimizer.state_dict(),
            )
            unfinished = path.with_suffix(".part")
            torch.save(state, unfinished)
            os.replace(unfinished, path)

        state = {}
        self.add_callback("on_train_epoch_end", stop)
        self.add_callback("on_fit_epoch_end", save)

    def resume_training(self, ckpt):
        super().resume_training(ckpt)
        if self.paused is None:
            return
        state = torch.load(self.paused, map_location=self.device, weights_only=True)  # never executes code
        unwrap_model(self.model).load_state_dict(state["model"])
        self.ema.ema.load_state_dict(state["ema"])
        self.ema.updates = state["updates"]
        self.optimizer.load_state_dict(state["optimizer"])
        self.start_epoch = state["epoch"]
        if self.train_loader.num_workers == 0:  # the order of the images goes on where it was
            self.train_loader.iterator = self.train_loader._get_iterator()
            for _ in range(self.start_epoch * len(self.train_loader)):
                self.train_loader.iterator._next_index()
        random.setstate(state["random"])
        kind, keys, *rest = state["numpy"]
        np.random.set_state((kind, keys.cpu().numpy().astype(np.uint32), *rest))
        torch.set_rng_state(state["torch"].cpu())

    def final_eval(self):
        """In a search the last epoch has just been validated; its checkpoint only loses the optimizer's state."""
        if self.architecture is None:
            return super().final_eval()
        strip_optimizer(self.best if self.best.exists() else self.last)
        return None


def _stop_at_nan(trainer) -> None:
    # Ultralytics would go back to an earlier checkpoint and try again; a search records the failure and goes on
    if trainer.loss is not None and not torch.isfinite(trainer.loss):
        raise EvaluationError(f"the loss became {trainer.loss.item()} in epoch {trainer.epoch + 1}")


def _latest_pause(directory: Path, until: int) -> Path | None:
    """The latest state before `until`; those before it are not needed any more."""
    epochs = sorted(int(path.stem.rpartition("-")[2]) for path in directory.glob(PAUSED.format("*")))
    before = [epoch for epoch in epochs if epoch < until]
    for epoch in before[:-1]:
        (directory / PAUSED.format(epoch)).unlink()
    return directory / PAUSED.format(before[-1]) if before else None


def _keep_table(written: Path, kept: Path) -> None:
    """One row an epoch, also of a training that paused, or that was repeated from a pause on."""
    head, *rows = written.read_text(encoding="utf-8").splitlines(keepends=True)
    first = int(rows[0].partition(",")[0])
    if kept.exists() and first > 1:
        rows = [*kept.read_text(encoding="utf-8").splitlines(keepends=True)[1:first], *rows]
    write_text(kept, "".join([head, *rows]))


@contextlib.contextmanager
def _contained(log: Path, threads: int | None):
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


def train(
    architecture: Architecture,
    dataset: Dataset,
    fidelity: Fidelity,
    directory: str | Path,
    *,
    until: int | None = None,
    seed: int = 0,
    device: str = "cpu",
    batch: int = 16,
    threads: int | None = None,
    settings: Mapping[str, object] | None = None,
) -> TrainingResult:
    """Train from scratch; leaves `best.pt`, `results.csv` and `train.log` in `directory`.

    Args:
        until: epochs of the fidelity after which to pause; the state is left in `directory/paused-EPOCHS.pt`. A call goes on
            from the latest one before `until`, so that one which is repeated after a crash ends as it would have the first
            time. None, or all epochs, trains to the end and removes them.
        device: "cpu" or a CUDA device; on CUDA in mixed precision.
        threads: of PyTorch during training; None leaves them as they are.
        settings: Ultralytics training settings that replace `SETTINGS`.

    Raises:
        EvaluationError: the loss became NaN, memory ran out, or the training broke otherwise; says which.
    """
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    until = fidelity.epochs if until is None else until
    paused = _latest_pause(directory, until)
    overrides = {
        **SETTINGS,
        **(settings or {}),
        **CONTAINED,
        "data": str(dataset.yaml_path),
        "epochs": fidelity.epochs,
        "imgsz": fidelity.image_size or architecture["image_size"],
        "fraction": fidelity.fraction,
        "batch": batch,
        "nbs": batch,
        "seed": seed,
        "device": device,
        # bf16 does without the check for which Ultralytics fetches weights over the network
        "amp": False if device == "cpu" else "bf16",
        "project": str(directory.absolute()),
        "workers": 0 if device == "cpu" else 4,
    }
    started = time.perf_counter()
    with _contained(directory / "train.log", threads):
        try:
            trainer = DetectorTraining(overrides=overrides, architecture=architecture, dataset=dataset, paused=paused)
            trainer.add_callback("on_train_batch_end", _stop_at_nan)
            if until < fidelity.epochs:
                trainer.pause_after(until, directory / PAUSED.format(until))
            trainer.train()
        except EvaluationError:
            raise
        except torch.OutOfMemoryError as error:
            raise EvaluationError(f"out of memory on {device}: {str(error).splitlines()[0]}") from None
        except MemoryError:
            raise EvaluationError("out of memory") from None
        except Exception as error:
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise  # a full disk is no fault of the architecture
            if isinstance(error, RuntimeError) and shutil.disk_usage(directory).free < 2**20:  # as torch.save puts it
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(directory)) from None
            LOGGER.exception("training failed")
            raise EvaluationError(f"training failed with {type(error).__name__}: {error}".splitlines()[0]) from None
        finally:
            if device != "cpu":
                torch.cuda.empty_cache()
    seconds = time.perf_counter() - started
    metrics = {
        "map50_95": float(trainer.metrics["metrics/mAP50-95(B)"]),
        "map50": float(trainer.metrics["metrics/mAP50(B)"]),
        "train_seconds": seconds,
    }
    if not all(map(math.isfinite, metrics.values())):
        raise EvaluationError(f"validation gave {metrics}")
    written = trainer.best if trainer.best.exists() else trainer.last
    checkpoint = directory / "best.pt"
    os.replace(written, checkpoint)
    if trainer.csv.exists():
        _keep_table(trainer.csv, directory / "results.csv")
    if until >= fidelity.epochs:
        for left in directory.glob(PAUSED.format("*")):
            left.unlink()
    shutil.rmtree(trainer.save_dir, ignore_errors=True)
    return TrainingResult(metrics, checkpoint)
