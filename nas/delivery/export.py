"""The models of a front as files: model file, checkpoint, ONNX; and their latency measured once more, undisturbed."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Mapping, Sequence, Set
from pathlib import Path

import numpy as np
from torch import nn

from evaluators.data import Dataset, calibration_images
from evaluators.evaluator import metric_on
from evaluators.latency import Latency, LatencyMeter, export_onnx
from evaluators.latency.profile import DeviceProfile
from evaluators.recipe import Recipe
from evaluators.training.checkpoint import load_checkpoint
from search_spaces import InputError
from search_spaces.models import save_yaml
from search_spaces.writing import replacing

from ..storage.run import Run
from ..storage.store import Evaluation, Store
from ..storage.written import Written
from .files import model_files, sources

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
                made, model = export_files(run, evaluation)
                files[evaluation.key] = {
                    kind: path.relative_to(run.directory).as_posix() for kind, path in made.items()
                }
                for meter in meters:
                    latency, text = meter(store, evaluation, model, made["onnx"])
                    said.append(text + (DISTURBED if latency.disturbed else ""))
            except InputError as error:
                said.append(str(error))
            except Exception as error:  # one model that a runtime refuses does not cost the others their files
                said.append(f"{type(error).__name__}: {error}".splitlines()[0])
            say(f"{number}/{len(delivered)} {evaluation.key}: {'; '.join(said) or 'exported'}")
    _remove_others(run, kept)
    return Run(run.directory, run.space), files


def _remove_others(run: Run, kept: Set[str]) -> None:
    """Remove the files of what was on the front before the search went on, where they are as they were written."""
    written = Written(run.folder)
    for evaluation in run.all_evaluations:
        if evaluation.key not in kept:
            with contextlib.suppress(InputError, OSError):  # a link is left alone, and so is a folder that holds more
                written.remove(*model_files(run, evaluation).values())
                run.folder.model(evaluation.key).rmdir()


class _Meter:
    """Measures beside the predictions of a profile, by its own protocol."""

    def __init__(self, profile: DeviceProfile, images: np.ndarray | None, several: bool) -> None:
        self.device = profile.name if several else ""
        self.images = images  # where files have to be quantised first
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


def export_files(
    run: Run, evaluation: Evaluation, targets: Mapping[str, Path] | None = None
) -> tuple[dict[str, Path], nn.Module]:
    """Write the files of one model; whatever interrupts it, each is there whole or not at all.

    Args:
        targets: kind -> file to write; None are the run's own, of which only those are replaced that are as it wrote them.

    Returns:
        (kind -> the file, and the model).

    Raises:
        InputError: what they are made of is gone, or a file is there that the run did not write.
    """
    made_of = sources(run, evaluation)
    model = load_checkpoint(made_of.checkpoint)
    write = replacing if targets else Written(run.folder).replacing
    targets = targets or model_files(run, evaluation)
    targets["yaml"].parent.mkdir(parents=True, exist_ok=True)
    with write(targets["yaml"]) as file:
        save_yaml(file, evaluation.architecture, len(model.names), model.names)
    for kind, source in (("checkpoint", made_of.checkpoint), ("onnx", made_of.onnx)):
        if source is not None and source != targets[kind]:
            with write(targets[kind]) as file:
                shutil.copyfile(source, file)
    if made_of.onnx is None:
        with write(targets["onnx"]) as file:
            export_onnx(model, file, evaluation.architecture["image_size"])
    return dict(targets), model
