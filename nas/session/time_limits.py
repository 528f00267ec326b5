"""Time limits of an evaluation, and the signals that end its process."""

from __future__ import annotations

import contextlib
import faulthandler
import signal
import threading
from collections.abc import Iterator
from types import FrameType

from ..storage.folder import TrialFolder
from .outcome import Ending, Outcome


class TimeIsUp(BaseException):
    """Not an Exception, so that an evaluator's own `except Exception` does not swallow it."""


class Terminated(SystemExit):
    """This process is being ended, which is no fault of what it evaluates."""


def hung(folder: TrialFolder, time_limit: float | None) -> Outcome | None:
    """The failure of an evaluation whose process was ended because this time was up; None when it was not."""
    if time_limit is None:
        return None
    file = folder.hung(time_limit)
    if not file.exists() or not file.stat().st_size:
        return None
    return Outcome(Ending.FAILED, reason=f"{too_long(time_limit)}; {file} tells where it was", seconds=time_limit)


def too_long(time_limit: float | None) -> str:
    """Why an evaluation failed that took more than `time_limit` seconds."""
    return f"took longer than its time limit of {time_limit:g} s"


@contextlib.contextmanager
def limited(seconds: float | None, folder: TrialFolder, expendable: bool) -> Iterator[None]:
    """Ends what takes longer: with a TimeIsUp, or, in a process that is expendable, with the process."""
    if seconds is None:
        yield
    elif expendable:
        trace = folder.hung(seconds)
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


def can_interrupt() -> bool:
    """Whether an evaluation in this thread can be stopped when its time is up."""
    return threading.current_thread() is threading.main_thread() and hasattr(signal, "setitimer")


def _time_is_up(signum: int, frame: FrameType | None) -> None:
    raise TimeIsUp


@contextlib.contextmanager
def terminable() -> Iterator[None]:
    """Tells the exit of a SIGTERM handler (Ray's in its workers, or the caller's own) from an evaluator's `sys.exit()`."""
    handler = signal.getsignal(signal.SIGTERM)
    if not callable(handler) or threading.current_thread() is not threading.main_thread():
        yield
        return

    def terminate(signum: int, frame: FrameType | None) -> None:
        try:
            handler(signum, frame)
        except SystemExit as leaving:
            raise Terminated(leaving.code) from None

    signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, handler)
