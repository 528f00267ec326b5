"""Device profiles made: models measured here or packed for a board, what it brings back fitted, profiles checked."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from evaluators.data import calibration_images
from evaluators.evaluator import EvaluationError
from evaluators.latency import agent
from evaluators.latency.agent.work import MANIFEST
from evaluators.latency.archive import write_archive
from evaluators.latency.design import draw_telling
from evaluators.latency.measurement import LatencyMeter, check_runtime
from evaluators.latency.pack import RUNNER, pack
from evaluators.latency.predictor import FEWEST
from evaluators.latency.profile import DeviceProfile, check_name
from evaluators.latency.results import read_results
from evaluators.runtimes import runtime
from search_spaces import Architecture, InputError, SearchSpace, build_model
from search_spaces.definition import space_named
from search_spaces.files import read_json
from search_spaces.graph import check_image_size
from search_spaces.writing import check_tree, new_folder, own, replacing, write_text

from ..report.devices import Check

Say = Callable[[str], None]
REQUEST = "request.json"  # in the folder of a measurement: what was asked for
CHECKED = 6  # models of a profile that are measured again


@dataclass(frozen=True)
class Plan:
    """What is measured, and how.

    Attributes:
        runtimes: whose files a pack holds; the first one is the default.
        threads: None is all cores of the device.
        count: models to measure.
        num_classes: of the models.
        restrict: choices of the space with the values they are restricted to; `image_size` in pixels.
        data: the dataset that INT8 is calibrated with.
        name: of the space that the models are of.
        activations: the form of INT8, of `agent.ACTIVATIONS`; None is what suits this machine.
    """

    runtimes: tuple[str, ...] = ("onnxruntime",)
    device: str = "cpu"
    precision: str = "FP32"
    threads: int | None = None
    count: int = 60
    num_classes: int = 80
    restrict: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    data: str = "digits"
    seed: int = 0
    name: str = "yolo"
    activations: str | None = None

    def __post_init__(self) -> None:
        for name in self.runtimes:
            check_runtime(name, self.device, self.precision)
        if self.activations is not None and self.precision != "INT8":
            raise InputError(f"activations {self.activations!r}: is a form of INT8, not of {self.precision}")
        for name, least in (("threads", 1), ("count", FEWEST), ("num_classes", 1), ("seed", 0)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise InputError(f"{name} {value}: must be {least} or more")

    def space(self) -> SearchSpace:
        """The space that models are chosen from. Raises InputError for a wrong size, or values that it does not have."""
        for size in self.restrict.get("image_size", ()):
            check_image_size(size)
        space = space_named(self.name)
        return space.restrict(self.restrict) if self.restrict else space


def make_pack(plan: Plan, folder: str | Path, say: Say, prior: DeviceProfile | None = None) -> Path:
    """A folder, or a .zip, of models to be measured elsewhere; the path that was written.

    Args:
        prior: the profile that the measurements will be adapted from; it decides which models tell most.

    Raises:
        InputError: a folder that is not empty, or a profile of another space.
    """
    folder, space = Path(folder), plan.space()
    if prior:
        prior.check_same_space(space)
    zipped = folder.suffix == ".zip"
    if folder.exists() and (zipped or any(folder.iterdir())):
        raise InputError(f"{folder} exists; it is left as it is")
    images = calibration_images(plan.data) if plan.precision == "INT8" else None
    architectures = draw_telling(space, plan.count, plan.seed, plan.num_classes, [prior.fitted] if prior else ())
    architectures = _covering(architectures, space, plan)
    with tempfile.TemporaryDirectory(prefix="evoyolo-pack-") if zipped else new_folder(folder) as target:
        pack(
            architectures,
            Path(target),
            runtimes=plan.runtimes,
            device=plan.device,
            precision=plan.precision,
            threads=plan.threads,
            num_classes=plan.num_classes,
            images=images,
            activations=plan.activations,
            progress=say,
        )
        if zipped:
            folder.parent.mkdir(parents=True, exist_ok=True)
            with replacing(folder) as archive:
                shutil.make_archive(str(archive.with_suffix("")), "zip", target)
    return folder


def _covering(architectures: list[Architecture], space: SearchSpace, plan: Plan) -> list[Architecture]:
    """The architectures with one of the smallest and one of the largest image size among them: a profile says nothing beyond."""
    sizes = space["image_size"].values
    missing = [size for size in {min(sizes), max(sizes)} if all(a["image_size"] != size for a in architectures)]
    extra = [
        draw_telling(space.restrict({"image_size": [size]}), 1, plan.seed, plan.num_classes)[0] for size in missing
    ]
    return [*architectures[: len(architectures) - len(extra)], *(space.adopt(a) for a in extra)]


def make_profile(name: str, plan: Plan, output: Path, say: Say, prior: DeviceProfile | None = None) -> DeviceProfile:
    """Measure models on this machine and fit a profile to them; interrupted, it goes on where it was.

    Raises:
        InputError: a runtime that is missing, too few models that it can run, or an `output` that exists.
    """
    check_name(name)
    if output.exists():
        raise InputError(f"{output} exists; name another profile, or remove it")
    threads = plan.threads or agent.default_threads()
    plan = replace(plan, threads=threads)
    # found out before anything is exported
    LatencyMeter(plan.runtimes[0], plan.device, plan.precision, threads, reference_ms=1.0)
    folder = output.with_suffix(".measuring")
    asked, request = folder / REQUEST, json.dumps({**asdict(plan), "prior": prior.name if prior else None})
    if asked.exists():
        if (before := _request(asked)) != json.loads(request):
            raise InputError(
                f"{folder} holds a measurement with other settings, {json.dumps(before)}; give those, or remove the folder"
            )
        say(f"going on with what {folder} holds")
        _make_safe(folder, plan, say, prior)
    elif os.path.lexists(folder):
        raise InputError(f"{folder} exists and is no measurement of ours; move it, or name another profile")
    else:
        with new_folder(folder) as made:
            make_pack(plan, made, say, prior)
            write_text(made / REQUEST, request)
    results = folder / agent.RESULTS
    settings = {"runtime": plan.runtimes[0], "device": plan.device, "precision": plan.precision, "threads": threads}
    command = [sys.executable, str(folder / RUNNER), "--output", str(results)]
    command += [text for name, value in settings.items() for text in (f"--{name}", str(value))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        for line in process.stdout or ():
            say(line.rstrip().removesuffix(f", results in {results}"))  # which are in the profile, and go
    if process.returncode:
        raise InputError(
            f"measuring ended with status {process.returncode}; what was measured is in {folder}, run this again"
        )
    profile = fit_profile(name, results, output, prior)
    _remove_pack(folder)
    return profile


def _make_safe(folder: Path, plan: Plan, say: Say, prior: DeviceProfile | None) -> None:
    """Make anew what is executed in the folder of a measurement, since it may have come from anywhere; the rest is data.

    Raises:
        InputError: the folder holds links, which lead out of it.
    """
    check_tree(folder)
    if not runtime(plan.runtimes[0]).executes_files:
        write_archive(folder / RUNNER)
        return
    with tempfile.TemporaryDirectory(prefix="evoyolo-pack-") as made:
        shutil.copytree(make_pack(plan, Path(made) / "pack", say, prior), folder, dirs_exist_ok=True)


def _remove_pack(folder: Path) -> None:
    """Remove the files of a pack that was measured, and the folder unless somebody has put something else there."""
    manifest = read_json(folder / MANIFEST)
    models = [
        folder / file for model in (manifest["reference"], *manifest["models"]) for file in model["files"].values()
    ]
    beside = [model.with_suffix(".bin") for model in models if model.suffix == ".param"]  # ncnn's weights
    for path in (*models, *beside, *(folder / name for name in (MANIFEST, RUNNER, REQUEST, agent.RESULTS))):
        with contextlib.suppress(InputError):  # a manifest may name files outside of the folder: they stay
            own(path, folder).unlink(missing_ok=True)
    for empty in (folder / "models", folder):
        with contextlib.suppress(OSError):  # not empty
            empty.rmdir()


def _request(asked: Path) -> dict[str, Any]:
    """What a measurement was asked for; one of an earlier version does not say what there was no choice of then."""
    said = read_json(asked)
    if not isinstance(said, dict):
        raise InputError(f"{asked}: must say what was asked for, not {said!r:.40}; remove the folder to measure anew")
    earlier = {"activations": agent.SIGNED if said.get("precision") == "INT8" else None}
    return {**earlier, **said}


def fit_profile(name: str, results: str | Path, output: Path, prior: DeviceProfile | None = None) -> DeviceProfile:
    """The profile that a results file makes, written to `output`. Raises InputError when that exists."""
    if output.exists():
        raise InputError(f"{output} exists; name another profile, or remove it")
    profile = DeviceProfile.fit(name, read_results(results), adapt_from=prior)
    output.parent.mkdir(parents=True, exist_ok=True)
    profile.save(output)
    return profile


def name_from(results: Path) -> str:
    """A profile's name from where its results lie: pi4/results.json is pi4."""
    stem = results.stem if results.stem != "results" else results.resolve().parent.name
    return "".join(c if c.isalnum() or c in "._-" else "-" for c in stem).lstrip("._-") or "device"


def check_profile(profile: DeviceProfile) -> Check:
    """Measure a few of the profile's models again on this machine, the fastest and the slowest among them.

    Raises:
        InputError: this is another machine, the runtime is missing, or none of the models could be measured.
    """
    if not profile.is_of_this_machine():
        here = agent.accelerator_name(profile.device)
        raise InputError(f"profile {profile.name} is of {profile.machine}; this machine is {here}")
    meter = LatencyMeter(
        profile.runtime,
        profile.device,
        profile.precision,
        profile.threads,
        profile.num_classes,
        activations=profile.int8,
    )
    space = profile.make_space()
    by_latency = sorted(profile.measured, key=lambda m: m.latency_ms or 0.0)
    chosen = [by_latency[i] for i in np.linspace(0, len(by_latency) - 1, CHECKED).round().astype(int)]
    images = calibration_images("digits") if profile.precision == "INT8" else None  # any will do: only time counts
    check = Check(profile, meter.version, meter.reference_ms)
    for measurement in chosen:
        architecture = space.architecture(**measurement.architecture)
        try:
            model = build_model(architecture, profile.num_classes)
            latency = meter.measure(model, architecture["image_size"], images)
        except EvaluationError as error:
            check.failed[architecture.key] = str(error)
            continue
        check.latency_ms[architecture.key] = (measurement.latency_ms or 0.0, latency.median_ms)
    if not check.latency_ms:
        reason = next(iter(check.failed.values()))
        raise InputError(f"none of the models could be measured: {reason}")
    return check
