"""The files that a model of a run is handed over as, and what they are made of."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from evaluators.recipe import Recipe, artefacts_of
from search_spaces import InputError
from search_spaces.writing import own

from ..storage.run import Run
from ..storage.store import Evaluation

FILES = {"yaml": "model.yaml", "checkpoint": "best.pt", "onnx": "model.onnx"}


def model_files(run: Run, evaluation: Evaluation) -> dict[str, Path]:
    """Kind -> where the run keeps that file of the model, whether it is there or not.

    Raises:
        InputError: one of them is a link, which in a stranger's run may lead to any file.
    """
    folder = run.folder.model(evaluation.key)
    return {kind: own(folder / name, run.folder.path) for kind, name in FILES.items()}


@dataclass(frozen=True)
class Sources:
    """What the files of a model are made of: its checkpoint, and the ONNX file where that was judged."""

    checkpoint: Path
    onnx: Path | None


def sources(run: Run, evaluation: Evaluation) -> Sources:
    """What the trial of a model has left, or, where that was removed to save room, what was handed over before.

    Raises:
        InputError: neither is there.
    """
    trial, kept = run.folder.trial(evaluation.key).path, model_files(run, evaluation)
    artefacts = artefacts_of(trial)
    recipe = Recipe.read(run.settings.get("config", {}).get("recipe", ["train"]))
    checkpoints = [artefacts.get("weights", own(trial / FILES["checkpoint"], run.folder.path)), kept["checkpoint"]]
    judged = [artefacts.get("onnx"), kept["onnx"]] if "onnx" in recipe.steps[-1].writes else None
    checkpoint = next((path for path in checkpoints if path.exists()), None)
    onnx = next((path for path in judged or () if path and path.exists()), None)
    if checkpoint is None or (judged and onnx is None):
        what = "checkpoint" if checkpoint is None else "ONNX file as it was judged"
        raise InputError(f"{run.directory} keeps no {what} of {evaluation.key}, in trials or in models")
    return Sources(checkpoint, onnx)
