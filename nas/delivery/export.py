"""The models of a front as files: model file, checkpoint, ONNX; and their latency measured once more, undisturbed."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from torch import nn

from evaluators.data import Dataset, calibration_images
from evaluators.evaluator import metric_on
from evaluators.latency import Latency, LatencyMeter, export_onnx
from evaluators.latency.profile import DeviceProfile
from evaluators.recipe import Recipe, artefacts_of
from evaluators.training import CHECKPOINT
from evaluators.training.checkpoint import load_checkpoint
from search_spaces import InputError
from search_spaces.models import save_yaml

from ..storage.run import Run
from ..storage.store import Evaluation, Store
from .files import model_files

Say = Callable[[str], None]
Files = dict[str, dict[str, str]]
DISTURBED = "; the machine was slower than usual all the while, so this figure may be off"


def deliver(run: Run, say: Say, *, profiles: Sequence[DeviceProfile], dataset: Dataset) -> tuple[Run, Files]:
    """Write model.yaml, best.pt and model.onnx of every model on the front, and measure their latency.

    What is on the front, and the reference models, are measured on every profile's device that is this machine, with nothing
    else of ours running, as `latency_measured_ms` beside the prediction. Where the runtime reads ONNX it is the very file
    that is delivered.

    Args:
        dataset: which INT8 is calibrated with.

    Returns:
        The run as it is now, and key -> {"yaml": ..., "checkpoint": ..., "onnx": ...}, paths relative to its folder.
    """
    references = set(run.settings.get("references", {}).values())
    kept = {e.key for e in run.front} | references
    delivered = [e for e in run.evaluations if e.key in kept]
    recipe = Recipe.read(run.settings.get("config", {}).get("recipe", ["train"]))
    meters = _meters(profiles, recipe.precision == "INT8", dataset, say)
    files: Files = {}
    with Store.open(run.folder.store, run.space) as store:
        for number, evaluation in enumerate(delivered, start=1):
            said = []
            try:
                files[evaluation.key], model = export_files(run, evaluation)
                for meter in meters:
                    latency, text = meter(store, evaluation, model, run.directory / files[evaluation.key]["onnx"])
                    said.append(text + (DISTURBED if latency.disturbed else ""))
            except Exception as error:  # one model that a runtime refuses does not cost the others their files
                said.append(f"{type(error).__name__}: {error}".splitlines()[0])
            say(f"{number}/{len(delivered)} {evaluation.key}: {'; '.join(said) or 'exported'}")
    for key in {e.key for e in run.all_evaluations} - kept:  # what was on the front before the search went on
        shutil.rmtree(run.folder.model(key), ignore_errors=True)
    return Run(run.directory, run.space), files


class _Meter:
    """Measures beside the predictions of a profile, by its own protocol."""

    def __init__(self, profile: DeviceProfile, images: np.ndarray | None, several: bool) -> None:
        self.device, self.images = (
            profile.name if several else "",
            images,
        )  # images where files have to be quantised first
        self.meter = LatencyMeter(
            profile.runtime,
            profile.device,
            profile.precision,
            profile.threads,
            profile.num_classes,
            profile.reference_ms,
            profile.int8,
        )

    def __call__(self, store: Store, evaluation: Evaluation, model: nn.Module, onnx: Path) -> tuple[Latency, str]:
        """Measure and record; (the latency, what to say of it)."""
        size = evaluation.architecture["image_size"]
        if self.meter.kind == "onnx" and self.images is None:
            latency = self.meter.measure_file(onnx, size)
        else:
            latency = self.meter.measure(model, size, self.images)
        predicted = evaluation.metrics[metric_on("latency_ms", self.device)]
        difference = 100 * (latency.median_ms / predicted - 1)
        store.set_meta("measured", {**(store.get_meta("measured") or {}), self.device: latency.protocol})
        store.amend(
            evaluation.architecture,
            {
                metric_on("latency_measured_ms", self.device): latency.median_ms,
                metric_on("latency_difference_percent", self.device): difference,
            },
        )
        where = f" on {self.device}" if self.device else ""
        text = f"predicted {predicted:.2f} ms, measured {latency.median_ms:.2f} ms{where} ({difference:+.0f}%)"
        return latency, text


def _meters(profiles: Sequence[DeviceProfile], quantised: bool, dataset: Dataset, say: Say) -> list[_Meter]:
    found = []
    for profile in profiles:
        if (why := profile.elsewhere()) is not None:
            say(f"the latencies of {profile.name} stay predictions: {why}")
            continue
        try:
            images = calibration_images(dataset) if profile.precision == "INT8" and not quantised else None
            found.append(_Meter(profile, images, len(profiles) > 1))
        except InputError as error:
            say(f"the latencies of {profile.name} stay predictions: {error}")
    return found


def export_files(run: Run, evaluation: Evaluation) -> tuple[dict[str, str], nn.Module]:
    """Write the files of one model; whatever interrupts it, each is there whole or not at all.

    Returns:
        ({"yaml": ..., "checkpoint": ..., "onnx": ...}, paths relative to the run's folder, and the model).
    """
    paths = model_files(run, evaluation)
    folder, trial = paths["yaml"].parent, run.folder.trial(evaluation.key).path
    folder.mkdir(parents=True, exist_ok=True)
    artefacts = artefacts_of(trial)
    trained = artefacts.get("weights", trial / CHECKPOINT)
    model = load_checkpoint(trained)
    with tempfile.TemporaryDirectory(prefix="export-", dir=folder) as scratch:
        made = {kind: Path(scratch) / path.name for kind, path in paths.items()}
        save_yaml(made["yaml"], evaluation.architecture, len(model.names), model.names)
        shutil.copyfile(trained, made["checkpoint"])
        if list(artefacts)[-1:] == ["onnx"]:  # what was judged is what is delivered
            shutil.copyfile(artefacts["onnx"], made["onnx"])
        else:
            export_onnx(model, made["onnx"], evaluation.architecture["image_size"])
        for kind, path in paths.items():
            os.replace(made[kind], path)
    return {kind: str(path.relative_to(run.directory)) for kind, path in paths.items()}, model
