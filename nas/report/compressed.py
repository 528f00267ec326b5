"""A picture of what every step of a compression cost and saved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from search_spaces.writing import replacing

from .picture import as_label, picture

SHARES = (  # column -> what it is, colour
    ("latency_ms", "latency", "black"),
    ("macs", "MACs", "tab:orange"),
    ("params", "parameters", "tab:green"),
    ("bytes", "bytes", "tab:purple"),
)


def draw_steps(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """mAP after every step, as bars, and what is left of each cost, as lines; costs that not every row has are left out."""
    places = list(range(len(rows)))
    with replacing(path) as file, picture(file, 2.5 + 1.3 * len(rows), 4.2) as axes:
        first = rows[0]
        axes.bar(places, [row["map50_95"] for row in rows], width=0.55, color="#9cc3e6", label="mAP50-95")
        top = 1.25 * max([*(row["map50_95"] for row in rows), 0.05])
        for place, row in zip(places, rows):
            axes.text(place, 0.01 * top, f"{row['map50_95']:.3f}", ha="center", va="bottom", fontsize=9)
        axes.set(ylim=(0, top), ylabel="mAP50-95 (bars)")
        axes.set_xticks(places, [as_label(str(row["step"])) for row in rows])
        shares = axes.twinx()
        for column, name, colour in SHARES:
            known = [
                (place, row[column] / first[column])
                for place, row in zip(places, rows)
                if row[column] and first[column]
            ]
            if len(known) > 1:
                shares.plot(*zip(*known), "o-", ms=4, lw=1.4, color=colour, label=name)
        shares.set(ylim=(0, 1.15 * max(shares.get_ylim()[1], 1)), ylabel="share of the untouched model's (lines)")
        handles = [axes.get_legend_handles_labels(), shares.get_legend_handles_labels()]
        axes.legend(
            handles[0][0] + handles[1][0],
            handles[0][1] + handles[1][1],
            loc="upper center",
            ncols=5,
            frameon=False,
            fontsize=8,
        )
