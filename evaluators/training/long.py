"""Training to the end: for as many epochs as it takes, judged as it goes, and going on after a kill from its last epoch.

epoch -> validation of the averaged weights -> best-EPOCH.pt, where they are the best -> results.csv -> paused-EPOCH.pt
-> progress.json -> next epoch;  at the end best.pt and last.pt
"""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ultralytics.utils import LOGGER
from ultralytics.utils.torch_utils import strip_optimizer

from search_spaces import Architecture, InputError
from search_spaces.families import family_of
from search_spaces.writing import move, replacing, write_text

from ..data import Dataset
from ..epochs import Epochs
from ..evaluator import EvaluationError
from .extension import Extension
from .settings import Fidelity, check_settings, effective, long_settings, steps_of
from .train import (
    BEST,
    CHECKPOINT,
    PAUSED,
    TrainingResult,
    judged,
    latest_pause,
    overriding,
    stop_at_nan,
    trainer_of,
    training_in,
)

LAST = "last.pt"
TABLE = "results.csv"
VALIDATIONS = 50  # of a training, about: each costs a pass over the validation split
UNSAID = ("metrics/", "val/")  # columns that an epoch without a validation has no figures for


@dataclass(frozen=True)
class Judging:
    """When a long training is judged on the way, and when that ends it.

    Attributes:
        every: epochs from one validation to the next; None makes it about `VALIDATIONS` of them. The last tenth, after which the
            best model is to be expected, has one after every epoch.
        patience: epochs without a better mAP50-95 after which training ends; 0 never. By the cosine much of the accuracy comes
            with the last epochs, so that it costs some wherever it has an effect.
    """

    every: int | None = None
    patience: int = 0

    def __post_init__(self) -> None:
        for name, value, least in (("validate_every", self.every, 1), ("patience", self.patience, 0)):
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < least):
                raise InputError(f"{name} must be a whole number of at least {least}, not {value!r}")

    def is_judged(self, epoch: int, epochs: int) -> bool:
        """Whether there is a validation after `epoch`, of 1 to `epochs`."""
        every = self.every or math.ceil(epochs / VALIDATIONS)
        return epoch % every == 0 or epoch > epochs - math.ceil(epochs / 10)


def train_long(
    architecture: Architecture,
    dataset: Dataset,
    fidelity: Fidelity,
    directory: str | Path,
    *,
    judging: Judging = Judging(),
    mirrored: bool = True,
    weights: str | Path | None = None,
    extensions: Sequence[Extension] = (),
    seed: int = 0,
    device: str = "cpu",
    amp: str = "auto",
    batch: int = 16,
    threads: int | None = None,
    settings: Mapping[str, Any] | None = None,
) -> TrainingResult:
    """Train for long; leaves `best.pt`, `last.pt`, `results.csv` and `train.log` in `directory`.

    A call on a folder in which an earlier one was killed goes on after the last epoch that was finished there, and ends as that
    one would have (bit for bit with loaders in the same process, as on a CPU, and images that fit into memory). What that needs
    stays in the folder until `discard_pauses`: whoever was to hear of the result may not have.

    Args:
        mirrored: whether objects may be mirrored, see `long_settings`.
        weights: a checkpoint to begin with, whose tensors are taken over where names and shapes agree; None begins from scratch.
        extensions: what it does beside learning from labels.
        device, amp, batch, threads, seed: as of `train`.
        settings: Ultralytics training settings that replace those of `long_settings`.

    Returns:
        The best checkpoint by mAP50-95 of the averaged weights (EMA) on the validation split; its metrics (Ultralytics'
        validator), `train_seconds` of all calls, `epochs` that were trained and `best_epoch`.

    Raises:
        InputError: settings that may not be replaced, a precision that the device does not have, or weights of which nothing fits.
        EvaluationError: the loss became NaN, memory ran out, or the training broke otherwise; says which.
    """
    directory = Path(directory)
    check_settings(settings or {}, fidelity.epochs)
    steps = steps_of(max(1, round(len(dataset.train) * fidelity.fraction)), fidelity.epochs, batch)
    told = {**long_settings(fidelity.epochs, mirrored, steps), **effective(settings or {})}
    directory.mkdir(parents=True, exist_ok=True)
    _tidy(directory)
    overrides = overriding(told, architecture, dataset, fidelity, directory, seed, device, amp, batch)
    with training_in(directory, device, threads):
        trainer = trainer_of(family_of(architecture.space))(
            overrides=overrides,
            architecture=architecture,
            dataset=dataset,
            paused=latest_pause(directory, fidelity.epochs),
            weights=Path(weights) if weights else None,
            extensions=extensions,
        )
        keeping = _Keeping(directory, fidelity.epochs, judging)
        trainer.add_callback("on_train_batch_end", stop_at_nan)
        trainer.add_callback("on_train_start", keeping.begin)
        trainer.add_callback("on_train_epoch_end", keeping.decide)
        trainer.add_callback("on_fit_epoch_end", keeping.keep)
        trainer.train()
        if not keeping.best["epoch"]:
            raise EvaluationError("no validation gave a figure")
        with replacing(
            directory / CHECKPOINT
        ) as unfinished:  # a copy: a call that goes on from the last state needs it
            shutil.copyfile(directory / BEST.format(keeping.best["epoch"]), unfinished)
    shutil.rmtree(trainer.save_dir, ignore_errors=True)
    metrics = {
        "map50_95": keeping.best["map50_95"],
        "map50": keeping.best["map50"],
        "train_seconds": keeping.seconds,
        "epochs": trainer.epoch + 1,
        "best_epoch": keeping.best["epoch"],
    }
    return TrainingResult(metrics, directory / CHECKPOINT)


def _tidy(directory: Path) -> None:
    """Remove what a process that was killed had begun to write."""
    for name in (PAUSED, BEST, LAST, TABLE, CHECKPOINT):
        for left in directory.glob(f".*.{name.format('*')}"):
            left.unlink()
    shutil.rmtree(directory / "ultralytics", ignore_errors=True)


class _Keeping:
    """Sees to it, after every epoch of a trainer, that nothing of it is lost, and that the best is kept."""

    def __init__(self, directory: Path, epochs: int, judging: Judging) -> None:
        self.directory, self.epochs, self.judging = directory, epochs, judging
        self.best: dict[str, Any] = {"epoch": 0, "map50_95": -1.0, "map50": 0.0}
        self.before, self.began, self.first_began = 0.0, time.perf_counter(), 0.0

    @property
    def seconds(self) -> float:
        """Of training, in this process and those before it."""
        return self.before + time.perf_counter() - self.began

    def begin(self, trainer: Any) -> None:
        """Take up what was kept with the state that training goes on from."""
        kept = trainer.kept
        self.before = float(kept.get("seconds", 0.0))
        if "best" in kept and (self.directory / BEST.format(kept["best"]["epoch"])).exists():
            self.best = dict(kept["best"])
        self.first_began = time.perf_counter()  # what came before is no epoch's
        if trainer.start_epoch:
            LOGGER.info(f"going on after epoch {trainer.start_epoch} of {self.epochs}")

    def decide(self, trainer: Any) -> None:
        """Whether the epoch that was just trained is validated; Ultralytics would validate all of them or the last one."""
        trainer.args.val = self.judging.is_judged(trainer.epoch + 1, self.epochs)

    def keep(self, trainer: Any) -> None:
        """What is left after an epoch, each file before the one that needs it."""
        epoch = trainer.epoch + 1
        if trainer.args.val and all(extension.is_reached for extension in trainer.extensions):
            metrics = judged(trainer)
            if metrics["map50_95"] > self.best["map50_95"] or not self.best["map50_95"]:  # of nothing found, the latest
                self.best = {"epoch": epoch, **metrics}
                self._save_checkpoint(trainer, BEST.format(epoch))
            patience = self.judging.patience
            trainer.stop |= bool(patience) and epoch - self.best["epoch"] >= patience
        trainer.stop |= epoch == self.epochs
        self._add_row(trainer.csv, epoch, trainer.args.val)
        if trainer.stop:
            self._save_checkpoint(trainer, LAST)
        else:
            trainer.save_state(self.directory / PAUSED.format(epoch), kept={"best": self.best, "seconds": self.seconds})
            self._remove_others(epoch)
        self._tell(trainer, epoch)

    def _save_checkpoint(self, trainer: Any, name: str) -> None:
        """As Ultralytics writes it, without the optimizer's state; whole or not at all."""
        trainer.best = trainer.last  # one file for both, which is ours to name
        trainer.save_model()
        strip_optimizer(trainer.last)
        move(trainer.last, self.directory / name)

    def _add_row(self, written: Path, epoch: int, validated: bool) -> None:
        """Keep the epoch's row of Ultralytics' table, with the seconds of all processes, and those of the epochs before it."""
        head, *rows = written.read_text(encoding="utf-8").splitlines()
        names, cells = head.split(","), rows[-1].split(",")
        cells = [
            "" if not validated and name.startswith(UNSAID) else f"{self.seconds:.6g}" if name == "time" else cell
            for name, cell in zip(names, cells)
        ]
        table = self.directory / TABLE
        earlier = table.read_text(encoding="utf-8").splitlines()[1:epoch] if table.exists() and epoch > 1 else []
        write_text(table, "\n".join([head, *earlier, ",".join(cells)]) + "\n")

    def _remove_others(self, epoch: int) -> None:
        """Of earlier states and checkpoints, none is needed once this epoch's state is there."""
        kept = {PAUSED.format(epoch), BEST.format(self.best["epoch"])}
        for name in (PAUSED, BEST):
            for path in self.directory.glob(name.format("*")):
                if path.name not in kept:
                    path.unlink()

    def _tell(self, trainer: Any, epoch: int) -> None:
        found = self.best if self.best["epoch"] else {}
        Epochs(
            epoch=epoch,
            epochs=epoch if trainer.stop else self.epochs,
            seconds=self.seconds,
            epoch_seconds=(time.perf_counter() - self.first_began) / (epoch - trainer.start_epoch),
            map50_95=judged(trainer)["map50_95"] if found else None,
            best=found.get("map50_95"),
            best_epoch=self.best["epoch"],
        ).write(self.directory)
