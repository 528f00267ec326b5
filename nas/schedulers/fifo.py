"""First in, first out: every architecture is evaluated once, to the end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ..algorithms import Algorithm
from .job import Job
from .scheduler import Scheduler


class Fifo(Scheduler):
    """Passes on what the algorithm asks and is told. Of several fidelities it uses the last."""

    def __init__(self, algorithm: Algorithm, fidelities: Sequence[float] = (), always: Iterable[str] = ()):
        super().__init__(algorithm, list(fidelities)[-1:], always)

    def ask(self) -> Job:
        """What the algorithm asks, and raises."""
        return self.first_job(self.algorithm.ask())

    def tell(self, job: Job, metrics: Mapping[str, float]) -> None:
        """The metrics of an architecture, which go no further."""
        self.expect(job)
        self._done.add(job.key)
        self.algorithm.tell(job.architecture, metrics)
