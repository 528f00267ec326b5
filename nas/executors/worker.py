"""What a process does that evaluates for a session, whoever started it."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from evaluators import Evaluator
from search_spaces import Architecture, InputError, SearchSpace

from ..schedulers import Job
from ..session.outcome import Ending, Outcome
from ..session.session import Session
from ..session.trial import run_job
from ..storage.folder import RunFolder


class Worker:
    """Evaluates one job after another, and keeps between them what its evaluator has set up.

    Args:
        evaluator: what measures; it is set up before the first job.
        spaces: that a job's architecture may be of, the first that holds it.
        directory: the run's folder, as this process sees it.
        time_limit: seconds that a job may take; this process is ended when they are up.

    Attributes:
        is_broken: whether whatever this process evaluates from now on would fail.
    """

    def __init__(
        self, evaluator: Evaluator, spaces: Sequence[SearchSpace], directory: str | Path, time_limit: float | None
    ):
        self.evaluator, self.spaces, self.time_limit = evaluator, spaces, time_limit
        self.folder = RunFolder(directory)
        self.is_broken = False
        self._is_set_up = False

    def run(self, values: Mapping[str, Any], fidelity: float | None, node: str, repeat: int = 0) -> Outcome:
        """Evaluate the architecture with these values.

        Args:
            node: the name of the machine, for the record.
            repeat: of a `Job`.
        """
        if not self.folder.path.exists():
            reason = f"{node} cannot see the run's folder {self.folder.path}; it must be on shared storage"
            return Outcome(Ending.LOST, reason=reason, node=node)
        if (trouble := self._set_up(node)) is not None:
            return trouble
        job = Job(self._architecture(values), fidelity, repeat)
        directory = self.folder.trial(job.key).path
        outcome = run_job(self.evaluator, job, directory, time_limit=self.time_limit, expendable=True, node=node)
        self.is_broken = outcome.status == Ending.FAILED and has_lost_cuda()
        return outcome

    def _set_up(self, node: str) -> Outcome | None:
        """Set the evaluator up, once; what kept it from that, if anything did."""
        if self._is_set_up:
            return None
        try:
            self.evaluator.setup()
        except InputError as error:
            return Outcome(Ending.REFUSED, reason=str(error), node=node)
        except Exception as error:  # no fault of the architecture, but of this process, which may be another next time
            what = f"{type(error).__name__}: {error}".splitlines()[0]
            return Outcome(Ending.DIED, reason=f"the evaluator could not be set up on {node}: {what}", node=node)
        self._is_set_up = True
        return None

    def _architecture(self, values: Mapping[str, Any]) -> Architecture:
        for space in self.spaces[:-1]:
            with contextlib.suppress(InputError):
                return space.architecture(**values)
        return self.spaces[-1].architecture(**values)


def has_lost_cuda() -> bool:
    """Whether this process can use its GPU no more, as it is after an illegal access; only a new process can."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return False
    try:
        torch.cuda.synchronize()
    except Exception:
        return True
    return False


def worker_arguments(session: Session) -> dict[str, Any]:
    """The arguments of the `Worker` that evaluates for a session in another process."""
    return {
        "evaluator": session.evaluator,
        # a reference may lie outside a restricted space, but not outside what the store can hold
        "spaces": [session.algorithm.space, session.store.space],
        "directory": str(session.folder.path.absolute()),
        "time_limit": session.time_limit,
    }
