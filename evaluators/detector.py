"""The detector evaluator: latency, training and COCO mAP of one YOLO architecture on one dataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from search_spaces import Architecture, build_model

from .checkpoint import load_checkpoint
from .coco import coco_map
from .complexity import complexity
from .dataset import Dataset, load_dataset
from .evaluator import Evaluator, Rejected
from .latency import export_onnx, measure_latency
from .training import Fidelity, train

CHECKPOINT = "best.pt"


class DetectorEvaluator(Evaluator):
    """Measures what a detector costs and how accurate it is after training at a fidelity.

    Args:
        data: what `load_dataset` takes.
        fidelity: epochs, image size and share of the data to train with.
        max_latency_ms: an architecture above it is rejected before it is trained.
        latency_threads: of the latency measurement, which is of the architecture at its own image size.
        settings: Ultralytics training settings that replace those of `training.SETTINGS`.
        device: of training ("cpu", "0").

    Accuracy is COCO mAP by pycocotools on the validation split. The checkpoint stays in the trial's folder.
    """

    metrics = ("map50_95", "map50", "latency_ms", "train_seconds")

    def __init__(
        self,
        data: str,
        fidelity: Fidelity,
        *,
        batch: int = 16,
        device: str = "cpu",
        seed: int = 0,
        threads: int = 1,
        latency_threads: int = 1,
        max_latency_ms: float | None = None,
        settings: Mapping[str, object] | None = None,
    ):
        self.data, self.fidelity, self.batch, self.device, self.seed = data, fidelity, batch, device, seed
        self.threads, self.latency_threads, self.max_latency_ms = threads, latency_threads, max_latency_ms
        self.settings = dict(settings or {})
        self.num_classes = self.dataset().num_classes

    def dataset(self) -> Dataset:
        return load_dataset(self.data)

    def estimate(self, architectures: Sequence[Architecture]) -> dict[str, np.ndarray]:
        costs = complexity(architectures, self.num_classes)
        return {
            "params": costs.params,
            "macs": costs.macs,
            "peak_activation_bytes": costs.peak_activation_bytes,
        }

    def evaluate(self, architecture: Architecture, directory: Path) -> dict[str, float]:
        dataset = self.dataset()
        # Latency does not depend on the weights, so it is known before anything expensive is spent.
        onnx = export_onnx(
            build_model(architecture, dataset.num_classes), directory / "untrained.onnx", architecture["image_size"]
        )
        latency_ms = measure_latency(onnx, threads=self.latency_threads).median_ms
        onnx.unlink()
        if self.max_latency_ms is not None and latency_ms > self.max_latency_ms:
            raise Rejected(f"latency_ms {latency_ms:.2f} > {self.max_latency_ms:g}", {"latency_ms": latency_ms})
        result = train(
            architecture,
            dataset,
            self.fidelity,
            directory,
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
            "latency_ms": latency_ms,
            "train_seconds": result.metrics["train_seconds"],
        }
