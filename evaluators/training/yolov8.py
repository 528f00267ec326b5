"""The trainer of YOLOv8's family: Ultralytics' own, offline and contained in one folder."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import nn
from ultralytics.models.yolo.detect import DetectionTrainer
from ultralytics.utils.torch_utils import strip_optimizer, unwrap_model

from search_spaces import Architecture, build_model
from search_spaces.models import architecture_of
from search_spaces.writing import replacing

from ..data import Dataset, load_dataset
from .annotated_data import AnnotatedData
from .checkpoint import load_checkpoint
from .extension import Extension
from .unpickling import read_pickle
from .weights import take_over

FUSED = (torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW)  # those with a kernel for CPUs


def _reports(callback: Any) -> bool:
    module = getattr(callback, "__module__", None) or ""
    return module.startswith("ultralytics.") and not module.endswith(".base")


def _random_states() -> dict[str, Any]:
    """Of all generators that a training in this process draws from."""
    numpy_state: Any = np.random.get_state()  # a tuple, unless the dictionary is asked for
    kind, keys, *rest = numpy_state
    return {
        "random": random.getstate(),
        "numpy": (kind, torch.from_numpy(keys.astype(np.int64)), *rest),
        "torch": torch.get_rng_state(),
    }


class DetectorTraining(DetectionTrainer):
    """Ultralytics' trainer for architectures of this package; nothing is downloaded, nothing reported anywhere.

    For further training of a checkpoint: ``YOLO("best.pt").train(trainer=DetectorTraining, data=..., ...)``.
    (It has no "Trainer" in its name on purpose: by that word Ultralytics attaches the callbacks of W&B, Ray Tune,
    MLflow and others, of which a search wants none.)
    """

    def __init__(
        self,
        *args: Any,
        architecture: Architecture | None = None,
        dataset: Dataset | None = None,
        paused: Path | None = None,
        weights: Path | None = None,
        extensions: Sequence[Extension] = (),
        **kwargs: Any,
    ) -> None:
        self.architecture, self.dataset, self.paused, self.weights = architecture, dataset, paused, weights
        self.extensions = tuple(extensions)
        self.kept: dict[str, Any] = {}  # beside the state that training goes on from, by whoever saved it
        super().__init__(*args, **kwargs)
        for event, functions in self.callbacks.items():  # but for its empty ones, Ultralytics' own report to its makers
            self.callbacks[event] = [each for each in functions if not _reports(each)]

    def get_dataset(self) -> dict[str, Any]:
        # Ultralytics' own check fetches a font
        if self.dataset is None:
            self.dataset = load_dataset(str(self.args.data))
        return self.dataset.data_dict()

    def get_model(self, cfg: Any = None, weights: nn.Module | None = None, verbose: bool = True) -> nn.Module:
        classes, names = self.data["nc"], self.data["names"]
        if self.architecture is None and weights is not None and weights.yaml.get("nc") == classes:
            model = deepcopy(weights).float()  # as it is, whatever has been done to it since it was built
            model.names = names
            return model.requires_grad_()
        model = build_model(self.architecture or architecture_of(weights), classes, names)
        if weights is not None:
            model.load(weights, verbose=False)
        return model

    def setup_model(self) -> Any:
        if self.architecture is None:
            return super().setup_model()
        self.model = self.get_model()
        if self.weights is not None and self.paused is None:
            take_over(self.model, load_checkpoint(self.weights), str(self.weights))
        return None

    def build_dataset(self, img_path: Any, mode: str = "train", batch: int | None = None) -> Any:
        """The images and boxes that were checked and are judged, validated at exactly the image size: Ultralytics' default
        pads every validation image by half a stride, which at 64 px means judging a network at 96 px."""
        assert self.dataset is not None  # since `get_dataset`
        trains = mode == "train"
        return AnnotatedData(
            self.dataset.annotated("train" if trains else "val"),
            fraction=self.args.fraction if trains else 1.0,
            imgsz=self.args.imgsz,
            batch_size=batch,
            augment=trains,
            hyp=self.args,
            cache=self.args.cache or None,
            single_cls=self.args.single_cls or False,
            classes=self.args.classes,
            stride=int(unwrap_model(self.model).stride.max()),
            prefix=f"{mode}: ",
            data=self.data,
        )

    def _setup_train(self) -> None:
        # For FP16 it would fetch weights over the network, to see whether an image gives the same in FP32.
        with patch("ultralytics.engine.trainer.check_amp", return_value=True):
            super()._setup_train()

    def _build_train_pipeline(self) -> None:
        """Called again where memory ran out, with half of the batch: which would make accuracy depend on what else the GPU does."""
        if self.architecture is not None and hasattr(self, "train_loader"):
            raise torch.OutOfMemoryError(f"a batch of {self.args.nbs} images does not fit")
        for extension in self.extensions:
            extension.begin(self)
        super()._build_train_pipeline()

    def build_optimizer(self, *args: Any, **kwargs: Any) -> torch.optim.Optimizer:
        """On a CPU the step of a small network is a tenth to a sixth of its training, unless it is one kernel."""
        optimizer = super().build_optimizer(*args, **kwargs)
        if self.device.type == "cpu" and type(optimizer) in FUSED:
            for group in optimizer.param_groups:
                group.update(fused=True, foreach=False)
        return optimizer

    def label_loss_items(self, loss_items: Any = None, prefix: str = "train") -> Any:
        """What extensions add is no loss of a validation, which would report zeros."""
        labelled = super().label_loss_items(loss_items, prefix)
        if prefix == "train":
            return labelled
        added = {f"{prefix}/{name}" for extension in self.extensions for name in extension.losses}
        kept = [name for name in labelled if name not in added]
        return kept if loss_items is None else {name: labelled[name] for name in kept}

    def save_model(self) -> bool:
        """Write the checkpoint, of the network that the extensions want saved."""
        network = self.ema.ema
        for extension in self.extensions:
            network = extension.saved(network)
        with patch.object(self.ema, "ema", network):
            return super().save_model()

    def pause_after(self, epoch: int, path: Path) -> None:
        """Stop when `epoch` epochs are done, validated, and leave everything that the next one needs at `path`.

        Ultralytics' own resume keeps weights and optimizer in FP16 and no random states; from this file training goes on
        as if it had not stopped (exactly so with workers=0).
        """

        def stop(trainer: DetectionTrainer) -> None:
            trainer.stop = trainer.epoch + 1 == epoch
            if trainer.stop:  # before the validation, which the uninterrupted training does not have here
                randomness.update(_random_states())

        def save(trainer: DetectorTraining) -> None:
            if trainer.stop:
                trainer.save_model()
                trainer.save_state(path, randomness=randomness)

        randomness: dict[str, Any] = {}
        self.add_callback("on_train_epoch_end", stop)
        self.add_callback("on_fit_epoch_end", save)

    def save_state(
        self, path: Path, *, randomness: Mapping[str, Any] | None = None, kept: Mapping[str, Any] | None = None
    ) -> None:
        """Leave at `path` everything that the next epoch needs: there whole or not at all, also where the power goes.

        Args:
            randomness: random states of an earlier moment; None are those of now.
            kept: plain data, which a trainer that goes on from there has in its `kept`.
        """
        state = {
            **(_random_states() if randomness is None else randomness),
            "epoch": self.epoch + 1,
            "model": unwrap_model(self.model).state_dict(),
            "ema": self.ema.ema.state_dict(),
            "updates": self.ema.updates,
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),  # empty where nothing is scaled
            "extensions": [extension.state() for extension in self.extensions],
            "kept": dict(kept or {}),
        }
        with replacing(path) as unfinished:
            torch.save(state, unfinished)

    def resume_training(self, ckpt: Any) -> None:
        super().resume_training(ckpt)
        if self.paused is None:
            return
        state = read_pickle(self.paused, device=self.device)
        unwrap_model(self.model).load_state_dict(state["model"])
        self.ema.ema.load_state_dict(state["ema"])
        self.ema.updates = state["updates"]
        self.optimizer.load_state_dict(state["optimizer"])
        if state.get("scaler"):
            self.scaler.load_state_dict(state["scaler"])
        for extension, kept in zip(self.extensions, state.get("extensions", [])):
            extension.restore(kept)
        self.start_epoch = state["epoch"]
        self.kept = state.get("kept", {})  # a state of an earlier version has none
        if self.train_loader.num_workers == 0:  # the order of the images goes on where it was
            self._replay_order()
        random.setstate(state["random"])
        kind, keys, *rest = state["numpy"]
        np.random.set_state((kind, keys.cpu().numpy().astype(np.uint32), *rest))
        torch.set_rng_state(state["torch"].cpu())

    def _replay_order(self) -> None:
        """Draw the order of the images of all epochs that are done, as they drew it: where mosaic ends, the loader begins anew."""
        loader, closing = self.train_loader, self.args.close_mosaic
        closed_at = self.epochs - closing if closing else self.epochs
        for epoch in range(self.start_epoch):
            if epoch in (0, closed_at):
                loader.iterator = loader._get_iterator()
            for _ in range(len(loader)):
                loader.iterator._next_index()
        if self.start_epoch > closed_at:
            loader.reset = lambda: None  # it has begun anew already, and the trainer is about to see to it

    def final_eval(self) -> None:
        """In a search the last epoch has just been validated; its checkpoint only loses the optimizer's state."""
        if self.architecture is None:
            return super().final_eval()
        left = [path for path in (self.best, self.last) if path.exists()]
        if left:
            strip_optimizer(left[0])
        return None


TRAINER = DetectorTraining
