"""Choosing from a run's front under a budget."""

from __future__ import annotations

from pathlib import Path

from search_spaces import InputError
from search_spaces.errors import one_of

from .run import load_run
from .store import Evaluation


def pick(directory: str | Path, **bounds: float) -> Evaluation:
    """The evaluation that is best in the run's first objective among those within `bounds`.

    Args:
        bounds: ``max_METRIC`` or ``min_METRIC``, such as ``max_latency_ms=8.0``.

    Raises:
        InputError: no run there, an unknown metric, or nothing within the bounds (the nearest is named).
    """
    run = load_run(directory)
    if not run.evaluations:
        raise InputError(f"{directory} has no finished evaluation to pick from")
    metrics = sorted({name for e in run.evaluations for name in e.metrics})
    fitting = run.evaluations
    for bound, limit in bounds.items():
        kind, _, metric = bound.partition("_")
        if kind not in ("max", "min") or metric not in metrics:
            raise InputError(f"no bound {bound!r}: it is max_ or min_ and a metric of the run, {one_of(metrics)}")
        sign = 1 if kind == "max" else -1
        within = [e for e in fitting if metric in e.metrics and sign * e.metrics[metric] <= sign * limit]
        if not within:
            nearest = min((e for e in fitting if metric in e.metrics), key=lambda e: sign * e.metrics[metric])
            raise InputError(
                f"no model of {directory} has {metric} {'<=' if sign > 0 else '>='} {limit:g}; "
                f"the nearest is {nearest.key} with {nearest.metrics[metric]:g}"
            )
        fitting = within
    first = run.objectives[0]
    sign = 1 if first.direction == "max" else -1
    return max(fitting, key=lambda e: sign * e.metrics[first.metric])
