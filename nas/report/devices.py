"""Device profiles for people: what one says, which there are, a picture of its error, and whether it is still true."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from evaluators.latency.profile import PROFILES, DeviceProfile, profile_paths
from search_spaces import InputError
from search_spaces.writing import replacing

SOFTWARE = "evoyolo device show"  # what our pictures say that they were made by
DRIFTED = 0.1  # change of a figure, as a share, above which a profile is not true any more


@dataclass
class Check:
    """Some models of a profile measured again.

    Attributes:
        version: of the runtime that is installed now.
        reference_ms: what the reference model takes now.
        latency_ms: key of a model -> (ms then, ms now).
        failed: key of a model -> why it could not be measured again.
    """

    profile: DeviceProfile
    version: str
    reference_ms: float
    latency_ms: dict[str, tuple[float, float]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    @property
    def typical(self) -> float:
        """The median change of a figure, as a share of it, whichever way."""
        return float(np.median([abs(now / then - 1) for then, now in self.latency_ms.values()]))

    @property
    def is_true(self) -> bool:
        """Whether the profile still says what this machine does."""
        return self.typical <= DRIFTED


def describe(profile: DeviceProfile) -> list[str]:
    """What a profile says of itself, line by line."""
    held, failed = profile.held_out, len(profile.measurements) - len(profile.measured)
    low, high = profile.image_sizes
    values = [m.latency_ms for m in profile.measured if m.latency_ms]
    spreads = [(m.q75_ms - m.q25_ms) / m.latency_ms for m in profile.measured if m.latency_ms and m.q25_ms and m.q75_ms]
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
            console.print(str(error), highlight=False, markup=False)
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


def _is_ours(path: Path) -> bool:
    from PIL import Image

    try:
        with Image.open(path) as picture:
            return picture.info.get("Software") == SOFTWARE
    except OSError:
        return False


def draw_profile(profile: DeviceProfile, path: Path) -> None:
    """Predicted against measured latency, each point predicted without having been seen, with its 90% interval.

    Raises:
        InputError: something else than such a picture is at `path`.
    """
    if os.path.lexists(path) and not _is_ours(path):
        raise InputError(f"{path} exists and is no picture of a profile; it is left as it is: name another with --plot")
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
    with replacing(path) as file:
        figure.savefig(file, dpi=130, metadata={"Software": SOFTWARE})
    pyplot.close(figure)


def print_check(check: Check, console: Console) -> None:
    """A table of the figures then and now; then what they say of the profile."""

    def say(text: str) -> None:
        console.print(text, highlight=False, markup=False)

    profile = check.profile
    for key, reason in check.failed.items():
        say(f"{key}: {reason}")
    count = len(check.latency_ms) + len(check.failed)
    table = Table(title=f"{profile.name}, {count} of its models measured again", title_justify="left")
    for heading in ("model", "then ms", "now ms", "change"):
        table.add_column(heading, justify="right" if heading != "model" else "left")
    for key, (then, now) in check.latency_ms.items():
        table.add_row(key, f"{then:.2f}", f"{now:.2f}", f"{100 * (now / then - 1):+.1f}%")
    console.print(table)
    if check.version != profile.version:
        say(f"the profile is of {profile.runtime} {profile.version}; installed is {check.version}")
    speed = check.reference_ms / profile.reference_ms
    say(
        f"reference model {check.reference_ms:.2f} ms, {profile.reference_ms:.2f} ms then ({100 * (speed - 1):+.0f}%); "
        f"typical change {100 * check.typical:.1f}%: the profile is {'still true' if check.is_true else 'not true any more'}"
        + (
            ""
            if check.is_true
            else "; make a new one with `evoyolo device profile`, on a machine with nothing else to do"
        )
    )
