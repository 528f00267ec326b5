"""Device profiles for people: make, list, show and check them; pack models for a board, fit what it brings back."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from evaluators.data import calibration_images
from evaluators.evaluator import EvaluationError
from evaluators.latency import agent
from evaluators.latency.design import choose
from evaluators.latency.measurement import LatencyMeter, check_runtime
from evaluators.latency.pack import pack
from evaluators.latency.predictor import FEWEST
from evaluators.latency.profile import PROFILES, DeviceProfile, check_name, profile_paths
from evaluators.latency.results import read_results
from search_spaces import InputError, SearchSpace, YoloSpace, build_model
from search_spaces.files import read_text, write_text
from search_spaces.graph import check_image_size

Say = Callable[[str], None]
CHECKED = 6  # models that `device check` measures again
DRIFTED = 0.1  # change of a figure, as a share, above which a profile is not true any more


@dataclass(frozen=True)
class Plan:
    """What is measured, and how.

    Attributes:
        runtimes: whose files a pack holds; the first one is the default.
        threads: None is all cores of the device.
        count: models to measure.
        num_classes: of the models.
        image_sizes: only these edges, in pixels; None is all of the space.
        data: the dataset that INT8 is calibrated with.
    """

    runtimes: tuple[str, ...] = ("onnxruntime",)
    device: str = "cpu"
    precision: str = "FP32"
    threads: int | None = None
    count: int = 60
    num_classes: int = 80
    image_sizes: tuple[int, ...] | None = None
    data: str = "digits"
    seed: int = 0

    def __post_init__(self):
        for runtime in self.runtimes:
            check_runtime(runtime, self.device, self.precision)
        for name, least in (("threads", 1), ("count", FEWEST), ("num_classes", 1), ("seed", 0)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise InputError(f"{name} {value}: must be {least} or more")

    def space(self) -> SearchSpace:
        for size in self.image_sizes or ():
            check_image_size(size)
        return YoloSpace().restrict({"image_size": self.image_sizes}) if self.image_sizes else YoloSpace()


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
    architectures = choose(space, plan.count, plan.seed, plan.num_classes, [prior.fitted] if prior else ())
    with tempfile.TemporaryDirectory(prefix="evoyolo-pack-") as scratch:
        target = Path(scratch) if zipped else folder
        pack(
            architectures,
            target,
            runtimes=plan.runtimes,
            device=plan.device,
            precision=plan.precision,
            threads=plan.threads,
            num_classes=plan.num_classes,
            images=images,
            progress=say,
        )
        if zipped:
            folder.parent.mkdir(parents=True, exist_ok=True)
            shutil.make_archive(str(folder.with_suffix("")), "zip", target)
    return folder


def make_profile(name: str, plan: Plan, output: Path, say: Say, prior: DeviceProfile | None = None) -> DeviceProfile:
    """Measure models on this machine and fit a profile to them; interrupted, it goes on where it was.

    Raises:
        InputError: a runtime that is missing, too few models that it can run, or an `output` that exists.
    """
    check_name(name)
    if output.exists():
        raise InputError(f"{output} exists; name another profile, or remove it")
    plan = replace(plan, threads=plan.threads or os.cpu_count() or 1)
    # found out before anything is exported
    LatencyMeter(plan.runtimes[0], plan.device, plan.precision, plan.threads)
    folder = output.with_suffix(".measuring")
    asked, request = folder / "request.json", json.dumps({**asdict(plan), "prior": prior.name if prior else None})
    if asked.exists():
        if read_text(asked) != request:
            raise InputError(
                f"{folder} holds a measurement with other settings, {read_text(asked)}; give those, or remove the folder"
            )
        say(f"going on with what {folder} holds")
    else:
        shutil.rmtree(folder, ignore_errors=True)
        make_pack(plan, folder, say, prior)
        write_text(asked, request)
    results = folder / agent.RESULTS
    command = [sys.executable, str(folder / "run.py"), "--output", str(results)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        for line in process.stdout:
            say(line.rstrip())
    if process.returncode:
        raise InputError(
            f"measuring ended with status {process.returncode}; what was measured is in {folder}, run this again"
        )
    profile = fit_profile(name, results, output, prior)
    shutil.rmtree(folder)
    return profile


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


def describe(profile: DeviceProfile) -> list[str]:
    """What a profile says of itself, line by line."""
    held, failed = profile.held_out, len(profile.measurements) - len(profile.measured)
    low, high = profile.image_sizes
    values = [m.latency_ms for m in profile.measured]
    spreads = [(m.q75_ms - m.q25_ms) / m.latency_ms for m in profile.measured]
    lines = [
        f"{profile.name}: {profile.protocol}",
        f"measured {profile.date} on {profile.system}: {len(values)} models of the space {profile.space}, "
        f"{low} to {high} px, {profile.num_classes} classes, {min(values):.3g} to {max(values):.3g} ms; "
        f"interquartile range {100 * np.median(spreads):.1f}% of the median (typical)"
        + (f"; {failed} models failed" if failed else ""),
        f"held-out error ({held.folds}-fold): {100 * held.within_10:.0f}% of {held.count} within 10%, median "
        f"{100 * held.median_error:.1f}%, Spearman {held.spearman:.3f}, 90% intervals cover {100 * held.coverage_90:.0f}%",
    ]
    if profile.adapted_from:
        lines.append(f"adapted from {profile.adapted_from}")
    return lines


def list_profiles(console: Console) -> None:
    """A table of the profiles in ./devices and of those that ship."""
    table = Table(title="device profiles", title_justify="left")
    for heading in ("name", "where", "machine", "runtime", "precision", "threads"):
        table.add_column(heading)
    for heading in ("measured", "within 10% (held out)", "date"):
        table.add_column(heading, justify="right")
    for path in profile_paths():
        try:
            profile = DeviceProfile.load(path)
        except InputError as error:
            console.print(f"{error}", highlight=False)
            continue
        place = str(path) if path.parent == PROFILES else "ships with evoyolo"
        table.add_row(
            profile.name,
            place,
            profile.machine,
            f"{profile.runtime} {profile.version}",
            profile.precision,
            str(profile.threads) if profile.device == "cpu" else profile.device,
            str(len(profile.measured)),
            f"{100 * profile.held_out.within_10:.0f}%",
            profile.date,
        )
    console.print(table)
    console.print("`evoyolo device show NAME` explains one; `evoyolo device profile NAME` measures this machine")


def draw_profile(profile: DeviceProfile, path: Path) -> None:
    """Predicted against measured latency, each point predicted without having been seen, with its 90% interval."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    held = profile.held_out
    measured = np.array([m.latency_ms for m in profile.measured])
    value, low, high = (np.array(values) for values in (held.value_ms, held.low_ms, held.high_ms))
    figure, axes = pyplot.subplots(figsize=(6, 5.6), layout="constrained")
    ends = np.array([min(measured.min(), low.min()) / 1.1, max(measured.max(), high.max()) * 1.1])
    axes.fill_between(ends, ends / 1.1, ends * 1.1, color="0.9", label="within 10%", zorder=1)
    axes.plot(ends, ends, color="0.6", lw=1, zorder=2)
    axes.errorbar(
        measured,
        value,
        [value - low, high - value],
        fmt="o",
        ms=4,
        lw=0.8,
        color="#1f6fb2",
        label="model (90% interval)",
        zorder=3,
    )
    axes.set(xscale="log", yscale="log", xlim=ends, ylim=ends, xlabel="measured ms", ylabel="predicted ms, unseen")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(lambda tick, _: f"{tick:g}")
    axes.set_title(
        f"{profile.name}: {profile.runtime} {profile.version}, {profile.precision}, {profile.threads} thread(s)\n"
        f"{100 * held.within_10:.0f}% of {held.count} within 10%, median error {100 * held.median_error:.1f}%",
        fontsize=10,
    )
    axes.grid(alpha=0.25, which="both")
    axes.legend(loc="upper left", frameon=False)
    figure.savefig(path, dpi=130)
    pyplot.close(figure)


def check_profile(profile: DeviceProfile, console: Console) -> bool:
    """Measure a few of the profile's models again on this machine; whether the profile is still true of it.

    Raises:
        InputError: this is another machine, or the runtime is missing.
    """
    if not profile.is_here():
        here = agent.accelerator_name(profile.device)
        raise InputError(f"profile {profile.name} is of {profile.machine}; this machine is {here}")
    meter = LatencyMeter(profile.runtime, profile.device, profile.precision, profile.threads, profile.num_classes)
    space = profile.make_space()
    by_latency = sorted(profile.measured, key=lambda m: m.latency_ms)
    chosen = [by_latency[i] for i in np.linspace(0, len(by_latency) - 1, CHECKED).round().astype(int)]
    images = calibration_images("digits") if profile.precision == "INT8" else None  # any will do: only time counts
    speed = meter.reference_ms / profile.reference_ms
    table = Table(title=f"{profile.name}, {len(chosen)} of its models measured again", title_justify="left")
    for heading in ("model", "then ms", "now ms", "change"):
        table.add_column(heading, justify="right" if heading != "model" else "left")
    changes = []
    for measurement in chosen:
        architecture = space.architecture(**measurement.architecture)
        try:
            model = build_model(architecture, profile.num_classes)
            latency = meter.measure(model, architecture["image_size"], images)
        except EvaluationError as error:
            console.print(f"{architecture.key}: {error}", highlight=False)
            continue
        changes.append(latency.median_ms / measurement.latency_ms - 1)
        table.add_row(
            architecture.key, f"{measurement.latency_ms:.2f}", f"{latency.median_ms:.2f}", f"{100 * changes[-1]:+.1f}%"
        )
    console.print(table)
    if meter.version != profile.version:
        console.print(
            f"the profile is of {profile.runtime} {profile.version}; installed is {meter.version}", highlight=False
        )
    if not changes:
        raise InputError("none of the models could be measured")
    typical = float(np.median(np.abs(changes)))
    true = typical <= DRIFTED
    console.print(
        f"reference model {meter.reference_ms:.2f} ms, {profile.reference_ms:.2f} ms then ({100 * (speed - 1):+.0f}%); "
        f"typical change {100 * typical:.1f}%: the profile is {'still true' if true else 'not true any more'}"
        + ("" if true else "; make a new one with `evoyolo device profile`, on a machine with nothing else to do"),
        highlight=False,
    )
    return true
