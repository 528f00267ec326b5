"""How good a run was after every evaluation and every hour: hypervolume, or with one objective the best so far."""

from __future__ import annotations

from typing import Any

from ...formatting import number
from ...objectives import default_reference, front, hypervolume
from ...storage.run import Run
from ...storage.spending import searched_spans
from ..front import heading


def progress(run: Run) -> dict[str, Any] | None:
    """The steps of a line; None where nothing has finished within the constraints.

    The volume is up to one reference, which all results together give, so that it only grows, and ends as `evoyolo status` says.

    Returns:
        `what` is drawn, up to which `reference`; `evaluations` finished, `hours` searched and `values` of every step.
    """
    judged = sorted(run.judgement.eligible, key=lambda each: each.evaluation.ended_at or 0.0)
    if not judged:
        return None
    ended = sorted(e.ended_at or 0.0 for e in run.evaluations)
    results = [each.metrics for each in judged]
    single = len(run.objectives) == 1
    reference = default_reference(results, run.objectives)
    hours = _searched_hours(run, [each.evaluation.ended_at or 0.0 for each in judged])
    best: list[int] = []  # the front so far
    steps: list[tuple[int, float, float]] = []
    finished = 0
    for place, each in enumerate(judged):
        while finished < len(ended) and ended[finished] <= (each.evaluation.ended_at or 0.0):
            finished += 1
        candidates = [*best, place]
        best = [candidates[i] for i in front([results[i] for i in candidates], run.objectives)]
        if place not in best:
            continue
        so_far = [results[i] for i in best]
        name = run.objectives[0].metric
        value = so_far[0][name] if single else hypervolume(so_far, run.objectives, reference)
        if not steps or value != steps[-1][2]:
            steps.append((finished, hours[place], value))
    last = len(ended), hours[-1], steps[-1][2]
    counts, times, values = zip(*[*steps, *([last] if last != steps[-1] else [])])
    first = run.objectives[0].metric
    return {
        "what": f"best {heading(run, first)}" if single else "hypervolume",
        "reference": None
        if single
        else ", ".join(f"{name} {number(name, value)}" for name, value in reference.items()),
        "evaluations": list(counts),
        "hours": list(times),
        "values": list(values),
    }


def _searched_hours(run: Run, times: list[float]) -> list[float]:
    """Of ascending times, the hours that were searched until then."""
    spans = searched_spans(run.events)
    hours, done, current = [], 0.0, 0
    for at in times:
        while current < len(spans) and spans[current][1] <= at:
            done += spans[current][1] - spans[current][0]
            current += 1
        part = max(0.0, at - spans[current][0]) if current < len(spans) else 0.0
        hours.append((done + part) / 3600)
    return hours
