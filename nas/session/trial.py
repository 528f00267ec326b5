"""One evaluation: what is to be done, how it is done in whatever process does it, and how it ended."""

from __future__ import annotations

import contextlib
import errno
import faulthandler
import json
import numbers
import platform
import signal
import threading
import time
import traceback
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from evaluators.evaluator import EvaluationError, Evaluator, Rejected
from search_spaces import Architecture
from search_spaces.files import write_text

from ..objectives import is_number

TRIALS = "trials"  # in a run's folder: a folder for every architecture
HUNG = "hung-{:g}.txt"  # in a trial's folder: where an evaluation was when its time, in seconds, was up


@dataclass(frozen=True)
class Job:
    """An architecture and the fidelity to evaluate it at; None where its evaluator has only one."""

    architecture: Architecture
    fidelity: float | None = None

    @property
    def key(self) -> str:
        return self.architecture.key


@dataclass(frozen=True)
class Outcome:
    """How a job ended. Plain data, so that it travels anywhere.

    `status` is finished, failed or rejected; unfinished, when the disk is full (no fault of the architecture); died, when its
    process did while the machine went on; lost, when the machine went away; unstarted, when no process came up for it.

    Attributes:
        ignored: returned under names of metrics but no finite numbers; name -> what it was.
    """

    status: str
    metrics: dict = field(default_factory=dict)
    reason: str | None = None
    seconds: float = 0.0
    node: str | None = None
    ignored: dict = field(default_factory=dict)


class _TimeIsUp(BaseException):
    """Not an Exception, so that an evaluator's own `except Exception` does not swallow it."""


class _Terminated(SystemExit):
    """This process is being ended, which is no fault of what it evaluates."""


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
    saved = outcome_file(directory, job)
    if saved.exists():
        return Outcome(**json.loads(saved.read_text(encoding="utf-8")))
    if (late := hung(directory, time_limit)) is not None:
        return replace(late, node=node)
    with _terminable():
        outcome = attempt(evaluator, job, directory, time_limit=time_limit, expendable=expendable, node=node)
        if outcome.status != "unfinished":
            with contextlib.suppress(OSError):  # the store is told all the same
                write_text(saved, json.dumps(asdict(outcome)))
    return outcome


def outcome_file(directory: Path, job: Job) -> Path:
    """Where the outcome of a job is kept in its trial's folder."""
    return directory / ("outcome.json" if job.fidelity is None else f"outcome-{job.fidelity:g}.json")


def attempt(
    evaluator: Evaluator, job: Job, directory: Path, *, time_limit=None, expendable=False, node=None
) -> Outcome:
    """`run_job` without a look at what is left of earlier times, and leaving nothing of its own."""
    started = time.perf_counter()
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with _limited(time_limit, directory, expendable):
            if job.fidelity is None:
                returned = evaluator.evaluate(job.architecture, directory)
            else:
                returned = evaluator.evaluate(job.architecture, directory, job.fidelity)
        outcome = _finished(returned)
    except _Terminated:
        raise
    except _TimeIsUp:
        outcome = Outcome("failed", reason=_too_long(time_limit))
    except Rejected as rejection:
        outcome = replace(_finished(rejection.metrics), status="rejected", reason=str(rejection))
    except EvaluationError as error:
        outcome = Outcome("failed", reason=str(error))
    except (Exception, SystemExit) as error:  # the user's evaluator may raise anything; the search goes on
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return Outcome("unfinished", reason=f"the disk of {error.filename or directory} is full")
        outcome = Outcome("failed", reason=f"{type(error).__name__}: {error}".splitlines()[0])
        with contextlib.suppress(OSError):
            (directory / "error.txt").write_text(traceback.format_exc(), encoding="utf-8")
    return replace(outcome, seconds=time.perf_counter() - started, node=node or platform.node())


def _finished(returned) -> Outcome:
    if not isinstance(returned, Mapping):
        raise EvaluationError(f"the evaluator returned {type(returned).__name__}, not a mapping of metrics")
    metrics, ignored = {}, {}
    for name, value in returned.items():
        if is_number(value):
            metrics[str(name)] = int(value) if isinstance(value, numbers.Integral) else float(value)
        else:
            ignored[str(name)] = repr(value)[:80]
    return Outcome("finished", metrics, ignored=ignored)


# -- time limits ------------------------------------------------------------------------------------------------


def hung(directory: Path, time_limit: float | None) -> Outcome | None:
    """The failure of an evaluation whose process was ended because this time was up; None when it was not."""
    file = directory / HUNG.format(time_limit or 0)
    if time_limit is None or not file.exists() or not file.stat().st_size:
        return None
    return Outcome("failed", reason=f"{_too_long(time_limit)}; {file} tells where it was", seconds=time_limit)


def _too_long(time_limit: float) -> str:
    return f"took longer than its time limit of {time_limit:g} s"


@contextlib.contextmanager
def _limited(seconds: float | None, directory: Path, expendable: bool):
    if seconds is None:
        yield
    elif expendable:
        trace = directory / HUNG.format(seconds)
        with open(trace, "w") as file:
            # a thread of C, which a loop that holds the interpreter does not hold up
            faulthandler.dump_traceback_later(seconds, exit=True, file=file)
            try:
                yield
            finally:
                faulthandler.cancel_dump_traceback_later()
                trace.unlink(missing_ok=True)
    else:
        previous = signal.signal(signal.SIGALRM, _time_is_up)
        signal.setitimer(signal.ITIMER_REAL, seconds)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, previous)


@contextlib.contextmanager
def _terminable():
    """Tells the exit of a SIGTERM handler (Ray's in its workers, or the caller's own) from an evaluator's `sys.exit()`."""
    handler = signal.getsignal(signal.SIGTERM)
    if not callable(handler) or threading.current_thread() is not threading.main_thread():
        yield
        return

    def terminate(signum, frame):
        try:
            handler(signum, frame)
        except SystemExit as leaving:
            raise _Terminated(leaving.code) from None

    signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, handler)


def can_interrupt() -> bool:
    """Whether an evaluation in this thread can be stopped when its time is up."""
    return threading.current_thread() is threading.main_thread() and hasattr(signal, "setitimer")


def _time_is_up(signum, frame):
    raise _TimeIsUp
