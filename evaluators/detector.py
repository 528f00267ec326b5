"""The detector evaluator: latency, training and COCO mAP of one YOLO architecture on one dataset."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from search_spaces import Architecture, build_model

from .accuracy.coco import coco_map
from .complexity import complexity
from .data import Dataset, load_dataset
from .evaluator import Evaluator, Rejected, metric_on
from .latency import LatencyMeter
from .latency.profile import DeviceProfile
from .training.checkpoint import load_checkpoint
from .training.train import Fidelity, check_settings, train

CHECKPOINT = "best.pt"


class DetectorEvaluator(Evaluator):
    """Measures what a detector costs and how accurate it is after training at a fidelity.

    Args:
        data: what `load_dataset` takes.
        fidelity: epochs, image size and share of the data to train with.
        profiles: of the devices whose latency is predicted: `latency_ms` and the ends of its interval,
            `latency_low_ms` and `latency_high_ms`; of several devices `latency_ms@NAME` and so on. Without profiles
            latency is measured where the architecture is trained, at its own image size.
        max_latency_ms: an architecture measured above it is rejected before it is trained.
        latency_threads: of that measurement.
        reference_ms: the reference model's latency on an idle machine, which that measurement is corrected to.
        settings: Ultralytics training settings that replace those of `training.SETTINGS`.
        device: of training ("cpu", "0").
        rungs: epochs at which a training may be judged and paused, the fidelity's own last; none trains to the end at once.

    Accuracy is COCO mAP by pycocotools on the validation split. The checkpoint stays in the trial's folder.
    """

    def __init__(
        self,
        data: str,
        fidelity: Fidelity,
        *,
        batch: int = 16,
        device: str = "cpu",
        seed: int = 0,
        threads: int = 1,
        profiles: Sequence[DeviceProfile] = (),
        latency_threads: int = 1,
        reference_ms: float | None = None,
        max_latency_ms: float | None = None,
        settings: Mapping[str, object] | None = None,
        rungs: Sequence[int] = (),
    ):
        self.data, self.fidelity, self.batch, self.device, self.seed = data, fidelity, batch, device, seed
        self.threads, self.latency_threads, self.max_latency_ms = threads, latency_threads, max_latency_ms
        self.profiles, self.reference_ms = tuple(profiles), reference_ms
        self.settings = dict(settings or {})
        check_settings(self.settings)
        self.fidelities = tuple(rungs)
        self.num_classes = self.dataset().num_classes

    @property
    def metrics(self) -> tuple[str, ...]:
        return ("map50_95", "map50", "train_seconds", *(() if self.profiles else ("latency_ms",)))

    def dataset(self) -> Dataset:
        return load_dataset(self.data)

    def estimate(self, architectures: Sequence[Architecture]) -> dict[str, np.ndarray]:
        costs = complexity(architectures, self.num_classes)
        known = {
            "params": costs.params,
            "macs": costs.macs,
            "peak_activation_bytes": costs.peak_activation_bytes,
        }
        for profile in self.profiles:
            device = profile.name if len(self.profiles) > 1 else None
            names = ("latency_ms", "latency_low_ms", "latency_high_ms")
            values = profile.predict(architectures, self.num_classes)
            known |= {metric_on(name, device): value for name, value in zip(names, values)}
        return known

    def evaluate(self, architecture: Architecture, directory: Path, fidelity: float | None = None) -> dict[str, float]:
        dataset = self.dataset()
        first = fidelity in (None, *self.fidelities[:1])
        measured = {"latency_ms": self._latency_ms(architecture)} if first and not self.profiles else {}
        if self.max_latency_ms and measured and measured["latency_ms"] > self.max_latency_ms:
            raise Rejected(f"latency {measured['latency_ms']:.2f} ms is above {self.max_latency_ms:g} ms", measured)
        result = train(
            architecture,
            dataset,
            self.fidelity,
            directory,
            until=None if fidelity is None else int(fidelity),
            seed=self.seed,
            device=self.device,
            batch=self.batch,
            threads=self.threads,
            settings=self.settings,
        )
        accuracy = coco_map(
            load_checkpoint(result.checkpoint),
            dataset,
            self.fidelity.image_size or architecture["image_size"],
            device=self.device,
        )
        return {
            "map50_95": accuracy["map50_95"],
            "map50": accuracy["map50"],
            "train_seconds": result.metrics["train_seconds"],
            **measured,
        }

    def _latency_ms(self, architecture: Architecture) -> float:
        """Measured before training: latency does not depend on the weights, and nothing expensive is spent yet."""
        meter = _meter(self.latency_threads, self.num_classes, self.reference_ms)
        model = build_model(architecture, self.num_classes)
        return meter.measure(model, architecture["image_size"], refuse=False).median_ms  # trainings run beside it


@functools.lru_cache(maxsize=1)
def _meter(threads: int, num_classes: int, reference_ms: float | None) -> LatencyMeter:
    """One for all evaluations of a worker: its reference model is exported once."""
    return LatencyMeter(threads=threads, num_classes=num_classes, reference_ms=reference_ms, spin=False)
