"""The files that a model of a run is handed over as."""

from __future__ import annotations

from pathlib import Path

from ..storage.run import Run
from ..storage.store import Evaluation

FILES = {"yaml": "model.yaml", "checkpoint": "best.pt", "onnx": "model.onnx"}


def model_files(run: Run, evaluation: Evaluation) -> dict[str, Path]:
    """Kind -> where the run keeps that file of the model, whether it is there or not."""
    return {kind: run.folder.model(evaluation.key) / name for kind, name in FILES.items()}
