"""Device profiles for people: what one says, which there are, a picture of its error, and whether it is still true."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console

from evaluators.latency.profile import PROFILES, DeviceProfile, profile_paths
from search_spaces import InputError
from search_spaces.errors import all_of
from search_spaces.writing import replacing

from ..formatting import command
from .picture import as_label, is_our_picture, picture
from .terminal import Column, print_table, say

if TYPE_CHECKING:  # reading files of models takes PyTorch, which takes seconds
    from evaluators.formats.onnx_operators import OnnxNetwork

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


def predicted(name: str, network: OnnxNetwork, profile: DeviceProfile) -> list[str]:
    """What a profile says of a network in a file, line by line."""
    value, low, high = profile.predict_network(network)
    lines = [
        f"{name}: {value:.3g} ms (90% interval {low:.3g} to {high:.3g}) at {network.image.height} x {network.image.width} px; "
        f"{network.macs / 1e6:,.0f} MMACs, {network.params:,} weights"
    ]
    is_setting = (network.precision, profile.precision) == ("FP32", "FP16")  # of the runtime, for the very file
    if network.precision != profile.precision and not is_setting:
        lines.append(
            f"  the file is in {network.precision}; the figure is that of the same network in {profile.precision}"
        )
    if network.others:
        lines.append(
            f"  nothing is known of {all_of(network.others)} but how much {'they give' if network.others[1:] else 'it gives'}; "
            "the figure may be off"
        )
    return lines


def list_profiles(console: Console) -> None:
    """A table of the profiles in ./devices and of those that ship."""
    rows = []
    for path in profile_paths():
        try:
            profile = DeviceProfile.load(path)
        except InputError as error:
            say(console, str(error))
            continue
        rows.append(
            [
                profile.name,
                str(path) if path.parent == PROFILES else "ships with evoyolo",
                profile.machine,
                f"{profile.runtime} {profile.version}",
                profile.precision,
                str(profile.threads) if profile.device == "cpu" else profile.device,
                str(len(profile.measured)),
                f"{100 * profile.held_out.within_10:.0f}%",
                profile.date,
            ]
        )
    columns = [
        Column("name"),
        Column("where", rank=6),
        Column("machine", rank=2),
        Column("runtime", rank=1),
        Column("precision", rank=3),
        Column("threads", rank=4),
        Column("measured", True, 7),
        Column("within 10% (held out)", True, 5),
        Column("date", True, 8),
    ]
    print_table(console, "device profiles", columns, rows)
    say(
        console,
        f"{command('device', 'show', 'NAME')} explains one; {command('device', 'profile', 'NAME')} measures this machine",
    )


def draw_profile(profile: DeviceProfile, path: Path) -> None:
    """Predicted against measured latency, each point predicted without having been seen, with its 90% interval.

    Raises:
        InputError: something else than a picture of ours is at `path`.
    """
    if os.path.lexists(path) and not is_our_picture(path):
        raise InputError(f"{path} exists and is no picture of a profile; it is left as it is: name another with --plot")
    held = profile.held_out
    measured = np.array([m.latency_ms for m in profile.measured])
    value, low, high = (np.array(values) for values in (held.value_ms, held.low_ms, held.high_ms))
    ends = np.array([min(measured.min(), low.min()) / 1.1, max(measured.max(), high.max()) * 1.1])
    with replacing(path) as file, picture(file, 6, 5.6) as axes:
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
        what = f"{profile.name}: {profile.runtime} {profile.version}, {profile.precision}, {profile.threads} thread(s)"
        error = f"{100 * held.within_10:.0f}% of {held.count} within 10%, median error {100 * held.median_error:.1f}%"
        axes.set_title(f"{as_label(what)}\n{error}", fontsize=10)
        axes.legend(loc="upper left", frameon=False)


def print_check(check: Check, console: Console) -> None:
    """A table of the figures then and now; then what they say of the profile."""

    profile = check.profile
    for key, reason in check.failed.items():
        say(console, f"{key}: {reason}")
    count = len(check.latency_ms) + len(check.failed)
    columns = [Column("model"), *(Column(heading, True) for heading in ("then ms", "now ms", "change"))]
    rows = [
        [key, f"{then:.2f}", f"{now:.2f}", f"{100 * (now / then - 1):+.1f}%"]
        for key, (then, now) in check.latency_ms.items()
    ]
    print_table(console, f"{profile.name}, {count} of its models measured again", columns, rows)
    if check.version != profile.version:
        say(console, f"the profile is of {profile.runtime} {profile.version}; installed is {check.version}")
    speed = 100 * (check.reference_ms / profile.reference_ms - 1)
    verdict = (
        "still true"
        if check.is_true
        else f"not true any more; make a new one with {command('device', 'profile', 'NAME')}, on a machine with nothing else to do"
    )
    say(
        console,
        f"reference model {check.reference_ms:.2f} ms, {profile.reference_ms:.2f} ms then ({speed:+.0f}%); "
        f"typical change {100 * check.typical:.1f}%: the profile is {verdict}",
    )
