"""One evaluation, in whatever process does it."""

from __future__ import annotations

import contextlib
import errno
import json
import numbers
import platform
import time
import traceback
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

from evaluators.evaluator import EvaluationError, Evaluator, Rejected
from search_spaces.writing import write_text

from ..objectives import is_number
from ..schedulers import Job
from ..storage.folder import TrialFolder
from .outcome import Ending, Outcome, left_outcome
from .time_limits import Terminated, TimeIsUp, hung, limited, terminable, too_long


def run_job(
    evaluator: Evaluator,
    job: Job,
    directory: Path,
    *,
    time_limit: float | None = None,
    expendable: bool = False,
    node: str | None = None,
) -> Outcome:
    """Evaluate one architecture; whatever goes wrong with it becomes an Outcome.

    The outcome is also left in the trial's folder: when the run is interrupted between the end of an evaluation and its entry
    in the store, asking again finds it there and pays nothing.

    Args:
        directory: the trial's folder.
        time_limit: seconds after which the evaluation counts as failed.
        expendable: this process may be ended when the time is up, which stops anything; otherwise a signal does, which
            stops what returns to Python now and then, in the main thread of a Unix system.
        node: name of the machine, for the record.
    """
    folder = TrialFolder(directory)
    saved = folder.outcome(job.fidelity)
    if (left := left_outcome(saved)) is not None:
        return left
    if (late := hung(folder, time_limit)) is not None:
        return replace(late, node=node)
    with terminable():
        outcome = attempt(evaluator, job, directory, time_limit=time_limit, expendable=expendable, node=node)
        if outcome.status != Ending.UNFINISHED:
            with contextlib.suppress(OSError):  # the store is told all the same
                write_text(saved, json.dumps(asdict(outcome)))
    return outcome


def attempt(
    evaluator: Evaluator,
    job: Job,
    directory: Path,
    *,
    time_limit: float | None = None,
    expendable: bool = False,
    node: str | None = None,
) -> Outcome:
    """`run_job` without a look at what is left of earlier times, and leaving nothing of its own."""
    folder, started = TrialFolder(directory), time.perf_counter()
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with limited(time_limit, folder, expendable):
            if job.repeat:
                evaluator = _repeated(evaluator, job.repeat)
            if job.fidelity is None:
                returned = evaluator.evaluate(job.architecture, directory)
            else:
                returned = evaluator.evaluate(job.architecture, directory, job.fidelity)
        outcome = _finished(returned)
    except Terminated:
        raise
    except TimeIsUp:
        outcome = Outcome(Ending.FAILED, reason=too_long(time_limit))
    except Rejected as rejection:
        outcome = replace(_finished(rejection.metrics), status=Ending.REJECTED, reason=str(rejection))
    except EvaluationError as error:
        outcome = Outcome(Ending.FAILED, reason=str(error))
    except (Exception, SystemExit) as error:  # the user's evaluator may raise anything; the search goes on
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return Outcome(Ending.UNFINISHED, reason=f"the disk of {error.filename or directory} is full")
        outcome = Outcome(Ending.FAILED, reason=f"{type(error).__name__}: {error}".splitlines()[0])
        with contextlib.suppress(OSError):
            write_text(folder.error, traceback.format_exc().encode(errors="backslashreplace").decode())
    return replace(outcome, seconds=time.perf_counter() - started, node=node or platform.node())


def _repeated(evaluator: Evaluator, repeat: int) -> Evaluator:
    repeated = evaluator.repeated(repeat)
    if repeated is None:
        raise EvaluationError(f"{type(evaluator).__name__} has no random numbers to change")
    return repeated


def _finished(returned: object) -> Outcome:
    if not isinstance(returned, Mapping):
        raise EvaluationError(f"the evaluator returned {type(returned).__name__}, not a mapping of metrics")
    metrics, ignored = {}, {}
    for name, value in returned.items():
        if is_number(value):
            metrics[str(name)] = int(value) if isinstance(value, numbers.Integral) else float(value)
        else:
            ignored[str(name)] = repr(value)[:80]
    return Outcome(Ending.FINISHED, metrics, ignored=ignored)
