"""How far a run is, read from its store while the search goes on or after it has stopped."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

from search_spaces import InputError
from search_spaces.files import read_json

from ..formatting import best, budget, duration
from ..objectives import own_hypervolume
from ..storage.locks import is_in_use
from ..storage.run import Run
from ..storage.states import RETRIED, State
from .how_far import how_far
from .noise import describe_noise

SHOWN = 20  # jobs that run, and reasons of failures


def describe_status(directory: str | Path, now: float | None = None) -> tuple[list[str], bool]:
    """(lines, whether a search is writing the run). Raises InputError when the folder holds no run."""
    directory = Path(directory)
    run = Run(directory)
    alive = is_in_use(run.folder.store)
    now = time.time() if now is None else now
    counts = Counter(e.status for e in run.all_evaluations)
    most = f" of {run.max_evaluations}" if run.max_evaluations else ""
    lines = [
        f"{directory}: {'a search is running' if alive else 'no search is running'}; "
        f"{budget(run.spent)}{most} evaluated, {counts[State.FAILED]} of them failed, "
        + ", ".join(f"{counts[state]} {state}" for state in (State.RUNNING, State.ASKED, State.PAUSED, State.REJECTED))
        + (f"; {_again(run)}" if run.repeats else "")
    ]
    lines += _running(run, now, alive) + _speed(run, now) + _best(run) + describe_noise(run) + _trouble(run)
    return [*lines, *([] if alive else what_next(run))], alive


def _again(run: Run) -> str:
    counts = Counter(e.status for e in run.repeats)
    text = f"{counts[State.FINISHED]} trained again with other seeds"
    others = [f"{counts[state]} {state}" for state in (State.RUNNING, State.ASKED, State.FAILED) if counts[state]]
    return f"{text} ({', '.join(others)})" if others else text


def what_next(run: Run) -> list[str]:
    """What can be done with a run that nothing is writing."""
    folder, counts = run.folder, Counter(e.status for e in run.all_evaluations)
    if not (counts[State.FINISHED] or counts[State.PAUSED]):
        if counts[State.FAILED]:
            spent = run.complete and run.max_evaluations
            return [f"nothing but failures: {folder.how_to_mend(2 * run.max_evaluations if spent else None)}"]
        if counts[State.REJECTED]:
            return ["nothing that was tried meets the constraints: start anew in another folder, with wider ones"]
    if not run.complete:
        return [f"to go on, {folder.how_to_resume()}"]
    if run.evaluations and folder.is_of_a_command and not _is_exported(run):
        return [f"its front is not exported yet: {folder.how_to_resume()}"]
    return []


def _is_exported(run: Run) -> bool:
    """Whether front.json is of the front as it is now."""
    try:
        document = read_json(run.folder.front_json)
        return [model["key"] for model in document["front"]] == [e.key for e in run.front]
    except (InputError, LookupError, TypeError):
        return False


def _running(run: Run, now: float, alive: bool) -> list[str]:
    running = [e for e in [*run.all_evaluations, *run.repeats] if e.status == State.RUNNING]
    if not alive:
        return [f"  running when it stopped, to be started again: {len(running)}"] if running else []
    lines = []
    for e in sorted(running, key=lambda e: e.started_at or now)[:SHOWN]:
        at = f" at fidelity {e.fidelity:g}" if e.fidelity is not None else ""
        again = f", attempt {e.attempts}" if e.attempts > 1 else ""
        where = f" on {e.node}" if e.node else ""
        training = how_far(run.folder.trial(e.trial).path)
        far = f"; {training}" if training else ""
        lines.append(f"  {e.trial} runs{where} for {duration(now - (e.started_at or now))}{at}{again}{far}")
    nodes = Counter(e.node for e in running)
    if len(running) > SHOWN:
        lines.append(f"  and {len(running) - SHOWN} more, on {len(nodes)} nodes in all")
    return lines


def _speed(run: Run, now: float) -> list[str]:
    took = sorted(e.seconds for e in run.evaluations if e.seconds is not None)
    if not took:
        return []
    hour = sum(e.ended_at is not None and e.ended_at > now - 3600 for e in run.evaluations)
    text = f"evaluations took {duration(took[0])} to {duration(took[-1])}, half of them under {duration(took[len(took) // 2])}"
    return [f"{text}; {hour} finished in the last hour"]


def _best(run: Run) -> list[str]:
    if not run.front:
        return []
    added = own_hypervolume([run.mean(e) for e in run.eligible], run.objectives)
    return [
        f"front: {len(run.front)} of {len(run.evaluations)} finished, best {best([run.mean(e) for e in run.front], run.objectives)}"
        + (f", hypervolume {added:.4g}" if added is not None else "")
    ]


def _trouble(run: Run) -> list[str]:
    reasons = Counter(e.reason for e in [*run.all_evaluations, *run.repeats] if e.status == State.FAILED)
    lines = [f"failed {_times(count)}: {reason}" for reason, count in reasons.most_common(SHOWN)]
    retried = [e for e in run.events if e.state == RETRIED]
    if retried:
        lines.append(f"tried again {_times(len(retried))}, the last time because {retried[-1].detail}")
    return lines


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
