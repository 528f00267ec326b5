"""A run as one HTML file: what may be picked from it and its models' files, collected and written."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from evaluators.evaluator import metric_and_device
from search_spaces import InputError
from search_spaces.writing import write_text

from ..formatting import command
from ..report.front import columns
from ..report.page.collect import collect
from ..report.page.render import is_our_page, render
from ..storage.run import Run
from .files import model_files
from .selection import staircase

BOUNDED = ("latency_ms", "params", "macs")  # by options of `evoyolo pick`, the one that matters most first


def write_page(run: Run, path: Path | None = None) -> Path:
    """Write the page of a run, into its folder unless a path is given; the file.

    Raises:
        InputError: something is there that is no such page.
    """
    path = path or run.folder.report
    if os.path.lexists(path) and not (path.is_file() and is_our_page(path)):
        raise InputError(f"{path} exists and is no page of `evoyolo report`; it is left as it is: name another file")
    bounds = [_bound(run, metric) for metric in _bounded(run)]
    shown = {step["key"] for bound in bounds for step in bound["steps"]} | {e.key for e in run.front}
    files = {e.key: [p for p in model_files(run, e).values() if p.exists()] for e in run.evaluations if e.key in shown}
    write_text(path, render(collect(run, bounds, {key: paths for key, paths in files.items() if paths})))
    return path


def _bounded(run: Run) -> list[str]:
    """The metrics of the run that a pick may be bounded by."""
    names = [name for name in columns(run, run.evaluations) if metric_and_device(name)[0] in BOUNDED]
    names = [name for name in names if name != run.objectives[0].metric]
    return sorted(names, key=lambda name: BOUNDED.index(metric_and_device(name)[0])) if run.evaluations else []


def _bound(run: Run, name: str) -> dict[str, Any]:
    """Everything that is picked under a bound on a metric, and the command that picks it, up to the bound itself."""
    metric, device = metric_and_device(name)
    option = f"--max-{metric.replace('_', '-')}"
    picks = command("pick", run.directory, device=run.folder.device(device) if device else None).strip("`")
    steps = [
        {
            "limit": limit,
            "key": pick.evaluation.key,
            "figure": pick.figures[f"max_{name}"].text,
            "given_up": pick.given_up,
            "alike": pick.alike,
        }
        for limit, pick in staircase(run, name)
    ]
    return {"metric": name, "command": f"{picks} {option}", "steps": steps}
