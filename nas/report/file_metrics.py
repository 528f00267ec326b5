"""What a model file is worth, in lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..formatting import number

if TYPE_CHECKING:
    from evaluators.file_metrics import FileMetrics

MOST_CLASSES = 20  # that are told one by one
MANY = 0.01  # zeros, as a share of the weights, that are worth a word


def described(found: FileMetrics, split: str) -> list[str]:
    """The lines that tell of one file."""
    height, width = found.image_size
    lines = [
        f"{found.file}: map50_95 {number('map50_95', found.map50_95)}, map50 {number('map50', found.map50)} on {found.images} images "
        f"({split}); {found.runtime}, {found.precision}, {height} x {width} px"
    ]
    if found.by_class:
        shown = sorted(found.by_class.items(), key=lambda entry: entry[1])
        text = ", ".join(f"{name} {number('map50_95', value)}" for name, value in shown[:MOST_CLASSES])
        more = len(shown) - MOST_CLASSES
        lines.append(f"  map50_95 by class, lowest first: {text}" + (f" and {more} more" if more > 0 else ""))
    size = f"  {found.bytes / 1e6:.2f} MB"
    if found.params is not None:
        size += f", {found.params:,} weights"
    if found.zeros is not None and found.zeros >= MANY:
        size += f", {100 * found.zeros:.1f}% of them zero"
    lines.append(size + (f", {found.macs / 1e6:,.0f} MMACs" if found.macs is not None else ""))
    if found.latency is not None:
        latency = found.latency
        lines.append(
            f"  latency {latency.median_ms:.3g} ms (quartiles {latency.q25_ms:.3g} to {latency.q75_ms:.3g}); {latency.protocol}"
        )
        if latency.disturbed:
            lines.append(
                "  the machine was slower than usual all the while, so the latency may be off; measure again when it is idle"
            )
    elif found.no_latency is not None:
        lines.append(f"  {found.no_latency}")
    return lines
