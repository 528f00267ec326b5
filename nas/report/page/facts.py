"""What a page says in words: what was searched, how far it went, with which settings, and how to go on."""

from __future__ import annotations

import time
from collections import Counter

from search_spaces.yaml_text import to_yaml

from ...formatting import budget, command, duration
from ...storage.run import Run
from ...storage.spending import searched_seconds
from ...storage.states import State
from ..status import what_next

# What the page shows elsewhere, and what is told of other runs at length
ELSEWHERE = ("config", "versions", "references", "scalings", "start_from", "start_results", "first", "prior")
NODES = 10  # machines that are named


def facts(run: Run) -> list[list[str]]:
    """[what, text] of a run at a glance."""
    config = run.settings.get("config") or {}
    counts = Counter(e.status for e in run.all_evaluations)
    size = f"{run.space.size:,} architectures" if run.space.size_is_exact else f"up to {run.space.size:,} architectures"
    found = {
        "data": config.get("data"),
        "space": f"{run.space.name}: {len(run.space.choices)} choices, {size}",
        "objectives": ", ".join(f"{o.metric} ({o.direction})" for o in run.objectives),
        "constraints": "; ".join(map(str, run.constraints)),
        "latency": run.protocol if run.settings.get("devices") or run.measured else None,
        "budget": _budget(run),
        "evaluations": ", ".join(f"{counts[state]} {state}" for state in State if counts[state]),
        "trained again": _again(run),
        "time": _time(run),
    }
    return [[what, str(text)] for what, text in found.items() if text]


def _budget(run: Run) -> str:
    hours = (run.settings.get("config") or {}).get("hours")
    most = f" of {run.max_evaluations}" if run.max_evaluations else ""
    return f"{budget(run.spent)}{most} evaluations spent" + (f", {hours:g} hours" if hours else "")


def _again(run: Run) -> str:
    counts = Counter(e.status for e in run.repeats)
    return ", ".join(f"{counts[state]} {state}" for state in State if counts[state])


def _time(run: Run) -> str:
    if not run.events:
        return ""
    first, last = (time.strftime("%Y-%m-%d %H:%M", time.localtime(at)) for at in (run.events[0].at, run.events[-1].at))
    return f"{duration(searched_seconds(run.events))} of searching, from {first} to {last}"


def settings_lines(run: Run) -> list[str]:
    """The settings as lines of YAML, which begin the same search where a command began this one."""
    settings = run.settings.get("config") or {n: v for n, v in run.settings.items() if n not in ELSEWHERE}
    return to_yaml(settings).splitlines()


def versions(run: Run) -> list[list[str]]:
    """[what, text] of all that figures depend on and no setting says."""
    found = [[name, str(version)] for name, version in (run.settings.get("versions") or {}).items()]
    if precision := run.settings.get("training_precision"):
        found.append(["trainings computed in", str(precision)])
    nodes = Counter(e.node for e in [*run.all_evaluations, *run.repeats] if e.node)
    named = [f"{node} ({count})" for node, count in nodes.most_common(NODES)]
    more = [f"and {len(nodes) - NODES} more"] if len(nodes) > NODES else []
    return [*found, *([["evaluated on", ", ".join([*named, *more])]] if nodes else [])]


def next_lines(run: Run) -> list[str]:
    """What can be done with the run, in lines with commands in backticks."""
    lines = what_next(run)
    if run.complete and run.max_evaluations and not lines:
        lines = [f"to search on, {run.folder.how_to_resume(2 * run.max_evaluations)}"]
    if run.front:
        best = run.front[0].key
        lines.append(
            f"{command('show', f'{run.directory}:{best}')}: the best in {run.objectives[0].metric}, layer by layer"
        )
    return [
        *lines,
        f"{command('front', run.directory)}: the front as a table",
        f"{command('report', run.directory)}: this page anew",
    ]
