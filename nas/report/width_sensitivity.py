"""A picture of how much each width of a network bears before its loss rises."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from search_spaces.writing import replacing

from .picture import as_label, picture

LINE = 0.19  # inches of height for each width
LINEAR = 0.01  # rises below are drawn to a linear scale, as there are some below zero


def draw_width_sensitivity(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """A line for each width, that which bears least on top, with a point for each ratio at the rise of the loss.

    Args:
        rows: of `evaluators.compression.width_sensitivity`.
    """
    from matplotlib import colormaps

    highest: dict[str, float] = {}
    for row in rows:
        highest[row["width"]] = max(row["rise"], highest.get(row["width"], row["rise"]))
    order = sorted(highest, key=lambda width: highest[width])
    places = {width: place for place, width in enumerate(order)}
    ratios = sorted({row["ratio"] for row in rows})
    with replacing(path) as file, picture(file, 7.5, 1.3 + LINE * len(order)) as axes:
        for width in order:
            rises = [row["rise"] for row in rows if row["width"] == width]
            axes.plot([min(rises), max(rises)], [places[width]] * 2, color="0.8", lw=1, zorder=1)
        for number, ratio in enumerate(ratios):
            found = [row for row in rows if row["ratio"] == ratio]
            axes.scatter(
                [row["rise"] for row in found],
                [places[row["width"]] for row in found],
                s=22,
                color=colormaps["plasma_r"]((number + 1) / (len(ratios) + 1)),
                label=f"{ratio:.0%} of its channels out",
                zorder=2,
            )
        axes.set_xscale("symlog", linthresh=LINEAR)
        axes.set_yticks(range(len(order)), [as_label(width) for width in order], fontsize=8)
        axes.set(ylim=(-0.7, len(order) - 0.3), xlabel="rise of the loss, as a share of the untouched network's")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:+.3g}" if value else "0")
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=min(len(ratios), 3), frameon=False, fontsize=8)
