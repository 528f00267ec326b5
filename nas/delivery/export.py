"""The models of a front as files: model file, checkpoint, ONNX; and their latency measured once more, undisturbed."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

import numpy as np
from torch import nn

from evaluators.data import calibration_images
from evaluators.evaluator import metric_on
from evaluators.latency import Latency, LatencyMeter, export_onnx
from evaluators.latency.profile import DeviceProfile
from evaluators.training import CHECKPOINT
from evaluators.training.checkpoint import load_checkpoint
from search_spaces import InputError
from search_spaces.models import save_yaml

from ..storage.run import Run
from ..storage.store import Evaluation, Store
from .files import model_files

Say = Callable[[str], None]
Files = dict[str, dict[str, str]]
Measured = tuple[dict[str, float], Latency, str]  # metrics to record, what they are of, and what to say
DISTURBED = "; the machine was slower than usual all the while, so this figure may be off"


def deliver(
    run: Run, say: Say, *, latency_threads: int = 1, profiles: Sequence[DeviceProfile] = (), data: str | None = None
) -> tuple[Run, Files]:
    """Write model.yaml, best.pt and model.onnx of every model on the front, and measure their latency.

    Without profiles, latency was measured while other trials kept the machine busy; now nothing else of ours runs.
    Measured again is what is on the front or next to it (the first two non-dominated ranks), so that a model which only
    seemed slow can return, and the reference models; the new figure replaces `latency_ms`, the old one is kept as
    `latency_ms_in_search`. With profiles, latency was predicted; what is on the front, and the reference models, are
    measured on every profile's device that is this machine, as `latency_measured_ms` beside the prediction.

    Args:
        data: the dataset, which INT8 is calibrated with.

    Returns:
        The run as it is now, and key -> {"yaml": ..., "checkpoint": ..., "onnx": ...}, paths relative to its folder.
    """
    references = set(run.settings.get("references", {}).values())
    deepest = 0 if profiles else 1
    near = {e.key for e, rank in run.ranked() if rank <= deepest}
    again = [e for e in run.evaluations if e.key in near | references]
    measures = _predicted(profiles, data, say) if profiles else [_InSearch(latency_threads, run)]
    files: Files = {}
    with Store.open(run.folder.store) as store:
        for number, evaluation in enumerate(again, start=1):
            said = []
            try:
                files[evaluation.key], model = export_files(run, evaluation)
                for measure in measures:
                    metrics, latency, text = measure(evaluation, model)
                    store.set_meta("measured", {**(store.get_meta("measured") or {}), measure.device: latency.protocol})
                    store.amend(evaluation.architecture, metrics)
                    said.append(text + (DISTURBED if latency.disturbed else ""))
            except Exception as error:  # one model that a runtime refuses does not cost the others their files
                said.append(f"{type(error).__name__}: {error}".splitlines()[0])
            say(f"{number}/{len(again)} {evaluation.key}: {'; '.join(said) or 'exported'}")
    run = Run(run.directory, run.space)
    kept = {e.key for e in run.front} | references
    for folder in run.folder.models.glob("*"):  # also what was on the front before the search went on
        if folder.name not in kept:
            shutil.rmtree(folder)
    return run, {key: paths for key, paths in files.items() if key in kept}


class _InSearch:
    """Replaces a latency that was measured during the search."""

    device = ""

    def __init__(self, threads: int, run: Run):
        self.meter = LatencyMeter(threads=threads, num_classes=run.settings["num_classes"], spin=False)

    def __call__(self, evaluation: Evaluation, model: nn.Module) -> Measured:
        latency = self.meter.measure(model, evaluation.architecture["image_size"])
        in_search = evaluation.metrics.get("latency_ms_in_search", evaluation.metrics["latency_ms"])
        metrics = {
            "latency_ms": latency.median_ms,
            "latency_iqr_ms": latency.iqr_ms,
            "latency_ms_in_search": in_search,
        }
        text = f"{latency.median_ms:.2f} ms (interquartile range {latency.iqr_ms:.2f}), {in_search:.2f} in the search"
        return metrics, latency, text


class _Predicted:
    """Measures beside a prediction, by the profile's own protocol."""

    def __init__(self, profile: DeviceProfile, images: np.ndarray | None, several: bool):
        self.device, self.images = profile.name if several else "", images
        self.meter = LatencyMeter(
            profile.runtime,
            profile.device,
            profile.precision,
            profile.threads,
            profile.num_classes,
            profile.reference_ms,
        )

    def __call__(self, evaluation: Evaluation, model: nn.Module) -> Measured:
        latency = self.meter.measure(model, evaluation.architecture["image_size"], self.images)
        predicted = evaluation.metrics[metric_on("latency_ms", self.device)]
        difference = 100 * (latency.median_ms / predicted - 1)
        metrics = {
            metric_on("latency_measured_ms", self.device): latency.median_ms,
            metric_on("latency_difference_percent", self.device): difference,
        }
        where = f" on {self.device}" if self.device else ""
        text = f"predicted {predicted:.2f} ms, measured {latency.median_ms:.2f} ms{where} ({difference:+.0f}%)"
        return metrics, latency, text


def _predicted(profiles: Sequence[DeviceProfile], data: str | None, say: Say) -> list[_Predicted]:
    found = []
    for profile in profiles:
        if not profile.is_here():
            say(f"{profile.name} is not this machine: its latencies stay predictions")
            continue
        try:
            images = calibration_images(data or "digits") if profile.precision == "INT8" else None
            found.append(_Predicted(profile, images, len(profiles) > 1))
        except InputError as error:
            say(f"{profile.name}: {error}: its latencies stay predictions")
    return found


def export_files(run: Run, evaluation: Evaluation) -> tuple[dict[str, str], nn.Module]:
    """Write the files of one model; whatever interrupts it, each is there whole or not at all.

    Returns:
        ({"yaml": ..., "checkpoint": ..., "onnx": ...}, paths relative to the run's folder, and the model).
    """
    paths = model_files(run, evaluation)
    paths["yaml"].parent.mkdir(parents=True, exist_ok=True)
    trained = run.folder.trial(evaluation.key).path / CHECKPOINT
    model = load_checkpoint(trained)
    with tempfile.TemporaryDirectory(prefix="export-", dir=run.folder.models) as scratch:
        made = {kind: Path(scratch) / path.name for kind, path in paths.items()}
        names = cast(dict[int, str], model.names)
        save_yaml(made["yaml"], evaluation.architecture, len(names), names)
        shutil.copyfile(trained, made["checkpoint"])
        export_onnx(model, made["onnx"], evaluation.architecture["image_size"])
        for kind, path in paths.items():
            os.replace(made[kind], path)
    return {kind: str(path.relative_to(run.directory)) for kind, path in paths.items()}, model
