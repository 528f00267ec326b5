"""Numbers as people read them: metrics, durations, shares of a budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .objectives import Objective


def duration(seconds: float) -> str:
    """12 s, 3 min 20 s, 2 h 05 min."""
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60:02d} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60:02d} min"


def budget(spent: float) -> str:
    """Whole evaluations as they are printed: with several fidelities they are spent in parts."""
    return f"{spent:.1f}" if isinstance(spent, float) else f"{spent}"


def number(name: str, value: float) -> str:
    """The value of metric `name` as tables print it."""
    if name.partition("@")[0].endswith("_percent"):
        return f"{value:+.0f}"
    if "_ms" in name or name.endswith("_seconds"):
        return f"{value:.2f}"
    if isinstance(value, int) or float(value).is_integer() and abs(value) >= 1000:
        return f"{int(value):,}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3f}"


def best(metrics: Sequence[Mapping[str, float]], objectives: Sequence[Objective]) -> str:
    """The best value of every objective among some results; empty where there are none."""
    values = {o: [m[o.metric] for m in metrics] for o in objectives}
    return ", ".join(
        f"{o.metric} {number(o.metric, max(v) if o.direction == 'max' else min(v))}" for o, v in values.items() if v
    )
