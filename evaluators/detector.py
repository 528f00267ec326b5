"""The detector evaluator: what a detector costs, and how accurate what its recipe makes of it is on one dataset."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from search_spaces import Architecture, InputError
from search_spaces.architecture import is_of_recipe
from search_spaces.errors import one_of

from .accuracy.coco import score_detections
from .accuracy.detections import detect, open_predictor
from .complexity import complexity
from .data import Dataset, coco_ground_truth, dataset_identity, load_dataset, what_changed
from .data.layout import SPLITS
from .evaluator import Evaluator, metric_on
from .formats.onnx_operators import DYNAMIC
from .latency.profile import DeviceProfile
from .precision import precision_on
from .recipe import Candidate, Recipe, run_steps, training_only
from .steps import Bench, Workpiece
from .training.settings import check_settings, effective
from .training.train import discard_pauses

SEEDS = 2**32  # how many there are


class DetectorEvaluator(Evaluator):
    """Carries out a recipe on a detector, and judges what comes out.

    Args:
        data: what `load_dataset` takes, or a dataset.
        epochs, fraction, batch, seed, settings, weights: of every training, see `Bench`.
        device, amp: of training ("cpu", "0"), and its precision.
        threads: of PyTorch in training, and of the runtime that what was exported is judged with.
        profiles: of the devices whose latency is predicted: `latency_ms` and the ends of its interval, `latency_low_ms` and
            `latency_high_ms`; of several devices `latency_ms@NAME` and so on.
        recipe: what is done to a network; choices of the space named STEP.OPTION replace options. None only trains.
        rungs: epochs at which a training may be judged and paused, the last one `epochs`; none trains to the end at once.

    Accuracy is COCO mAP by pycocotools on the validation split, of the very file that the recipe ends with: of an ONNX file
    in ONNX Runtime, else of the checkpoint in PyTorch. The artefacts stay in the trial's folder.
    """

    def __init__(
        self,
        data: str | Dataset,
        epochs: int,
        *,
        fraction: float = 1.0,
        batch: int = 16,
        device: str = "cpu",
        amp: str = "auto",
        seed: int = 0,
        threads: int = 1,
        profiles: Sequence[DeviceProfile] = (),
        settings: Mapping[str, Any] | None = None,
        recipe: Recipe | None = None,
        rungs: Sequence[int] = (),
        weights: Mapping[str, str] | None = None,
    ) -> None:
        dataset = data if isinstance(data, Dataset) else load_dataset(data)
        told = effective(settings or {})
        self.bench = Bench(dataset, epochs, fraction, batch, device, amp, threads, seed, told, dict(weights or {}))
        self.profiles = tuple(profiles)
        self.recipe = recipe or training_only()
        self.fidelities = tuple(rungs)
        self.metrics = (
            "map50_95",
            "map50",
            *dict.fromkeys(name for step in self.recipe.steps for name in step.metrics),
        )
        self._truth: Mapping[str, Any] | None = None  # the validation split's annotations, read once in a process

    @property
    def num_classes(self) -> int:
        """Classes of the networks."""
        return self.bench.dataset.num_classes

    def prepare(self, directory: Path) -> None:
        check_settings(self.bench.settings, self.bench.epochs)
        for split in SPLITS:
            self.bench.dataset.annotated(split)

    def subject(self) -> dict[str, Any]:
        return dataset_identity(self.bench.dataset)

    def check_subject(self, before: Mapping[str, Any]) -> None:
        now = self.subject()
        try:
            changed = what_changed(before, now)
        except (KeyError, TypeError, ValueError):
            changed = "what the run keeps of it cannot be read"
        if changed is not None:
            raise InputError(
                f"data: {now['root']} is not the dataset that this run was made with: {changed}; put it back, or start a new run"
            )

    def setup(self) -> None:
        precision_on(self.bench.device, self.bench.amp)  # no training could begin here
        self._read_truth()

    def _read_truth(self) -> Mapping[str, Any]:
        if self._truth is None:
            self._truth = coco_ground_truth(self.bench.dataset)
        return self._truth

    def discard(self, directory: Path) -> None:
        discard_pauses(directory)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_truth": None}  # a worker reads its own, instead of being sent it

    def estimate(self, architectures: Sequence[Architecture]) -> dict[str, np.ndarray]:
        """Costs, and the latency on every profile's device.

        Raises:
            InputError: INT8 networks and a profile of others or of another form, or networks of several precisions and any
                profile.
        """
        costs = complexity(architectures, self.num_classes)
        known = {
            "params": costs.params,
            "macs": costs.macs,
            "peak_activation_bytes": costs.peak_activation_bytes,
        }
        recipes = self._recipes(architectures)
        precisions = sorted({recipe.precision for recipe in recipes})
        forms = sorted({recipe.int8 for recipe in recipes if recipe.int8 and recipe.precision == "INT8"})
        for profile in self.profiles:
            if len(precisions) > 1:
                raise InputError(
                    f"device profile {profile.name} is of one precision, and the recipe makes {one_of(precisions)}"
                )
            if precisions not in (["FP32"], [profile.precision]):
                can = (
                    "no profile is of such"
                    if precisions == [DYNAMIC]
                    else f"measure one with `--precision {precisions[0]}`"
                )
                raise InputError(
                    f"device profile {profile.name} is of {profile.precision} networks and the recipe makes {precisions[0]} ones; {can}"
                )
            if profile.int8 and forms not in ([], [profile.int8]):
                raise InputError(
                    f"device profile {profile.name} is of INT8 with {profile.int8} activations and the recipe makes it with "
                    f"{one_of(forms)} ones; give quantise the option activations: {profile.int8}"
                )
            device = profile.name if len(self.profiles) > 1 else None
            names = ("latency_ms", "latency_low_ms", "latency_high_ms")
            values = profile.predict(architectures, self.num_classes)
            known |= {metric_on(name, device): value for name, value in zip(names, values)}
        return known

    def expected_seconds(self, architecture: Architecture) -> float:
        """About how long an evaluation takes on this machine: its steps by a few that are timed now, its judging by single images.

        Reading and varying images, and what a recipe does after training, come on top.
        """
        from .training.timing import step_seconds

        b, data = self.bench, self.bench.dataset
        step, look = step_seconds(
            architecture, self.num_classes, b.batch, device=b.device, amp=b.amp, threads=b.threads
        )
        return b.epochs * math.ceil(len(data.train) * b.fraction / b.batch) * step + len(data.val) * look

    def _recipes(self, architectures: Sequence[Architecture]) -> list[Recipe]:
        """Those that make the networks of the architectures."""
        if not architectures or not any(is_of_recipe(choice.name) for choice in architectures[0].space.choices):
            return [self.recipe]
        return [Candidate.of(a, self.recipe).recipe for a in architectures]

    def repeated(self, repeat: int) -> DetectorEvaluator:
        """The same with the seed `seed + repeat` in every training."""
        other = copy.copy(self)
        other.bench, other._truth = replace(self.bench, seed=(self.bench.seed + repeat) % SEEDS), self._truth
        return other

    def evaluate(self, architecture: Architecture, directory: Path, fidelity: float | None = None) -> dict[str, float]:
        until = None if fidelity is None else int(fidelity)
        piece = Workpiece(architecture, directory, self.bench, until)
        metrics = run_steps(Candidate.of(architecture, self.recipe), piece)
        accuracy = self._accuracy(piece)
        return {"map50_95": accuracy["map50_95"], "map50": accuracy["map50"], **metrics}

    def _accuracy(self, piece: Workpiece) -> dict[str, float]:
        size = piece.architecture["image_size"]
        judged = list(piece.artefacts.values())[-1]
        device = self.bench.device if judged.suffix == ".pt" else "cpu"
        predictor = open_predictor(judged, device=device, threads=self.bench.threads, image_size=size)
        return score_detections(self._read_truth(), detect(predictor, self.bench.dataset.val, size))
