"""Evaluations in this process, one after another."""

from __future__ import annotations

import contextlib
import os
import platform
import signal
import threading
from collections.abc import Iterator
from types import FrameType

from ..session.outcome import Ending, Outcome
from ..session.session import Session
from ..session.trial import run_job


def run_here(session: Session) -> None:
    """Evaluate one architecture after another in this process.

    Raises:
        InputError: the evaluator cannot evaluate anything here.
    """
    session.evaluator.setup()
    while (job := session.propose()) is not None:
        session.running(job, platform.node())
        outcome = run_job(session.evaluator, job, session.trial_directory(job), time_limit=session.time_limit)
        if session.draining and outcome.status == Ending.FAILED:
            # Ctrl-C reaches what the evaluator started as well, which is no fault of the architecture
            session.folder.trial(job.key).outcome(job.fidelity).unlink(missing_ok=True)
            outcome = Outcome(Ending.LOST, reason=f"it failed while it was interrupted: {outcome.reason}")
        session.conclude(job, outcome)


@contextlib.contextmanager
def draining_on_interrupt(session: Session) -> Iterator[None]:
    """Ctrl-C once: what runs is waited for and nothing more is started. Twice: stop at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    driver = os.getpid()

    def interrupted(signum: int, frame: FrameType | None) -> None:
        if session.draining or os.getpid() != driver:  # a process that the evaluator forked
            raise KeyboardInterrupt
        session.drain()

    before = signal.signal(signal.SIGINT, interrupted)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
