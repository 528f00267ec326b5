"""Successive halving: every architecture begins with a short evaluation, and only the best of a rung go on to the next."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from search_spaces import Architecture, InputError

from ..algorithms import Algorithm, SpaceExhausted
from ..objectives import meets, order
from .job import Job
from .scheduler import Scheduler


class SuccessiveHalving(Scheduler):
    """Asynchronous successive halving over an algorithm that knows nothing of it.

    A result at fidelity f of the rungs f < g goes on to g when it is among the best f/g of its rung, so that about as much is
    spent on every rung, and more on the higher ones as late results overtake some that have gone on. Best is the lower
    non-dominated rank, then the less crowded one, then the earlier one; what breaks a constraint does not go on. No rung waits
    for its stragglers. The algorithm is told the results of the first rung, which all architectures have and which compare
    like with like.

    Sources: L. Li et al., "A system for massively parallel hyperparameter tuning", MLSys 2020; R. Schmucker et al.,
    "Multi-objective asynchronous successive halving", 2021.

    Args:
        fidelities: ascending amounts of work, the rungs, the last one of which is all.
        always: keys of architectures that go on whatever their results.
        keep: share of every rung that goes on, instead of f/g.

    Raises:
        InputError: there are no fidelities, or they do not ascend, or `keep` is no share.
    """

    def __init__(
        self,
        algorithm: Algorithm,
        fidelities: Sequence[float],
        always: Iterable[str] = (),
        *,
        keep: float | None = None,
    ):
        super().__init__(algorithm, fidelities, always)
        if not self.fidelities:
            raise InputError(
                "scheduler 'halving' needs an evaluator with several fidelities; this one has none: use 'fifo'"
            )
        if keep is not None and not 0 < keep <= 1:
            raise InputError(f"scheduler 'halving': option keep must be a share above 0, up to 1, not {keep!r}")
        self.keep = keep
        # of every rung: key -> metrics, in the order of telling
        self._told: list[dict[str, dict[str, float]]] = [{} for _ in self.fidelities]
        self._gone_on: list[set[str]] = [set() for _ in self.fidelities]  # from a rung to the next
        self._architectures: dict[str, Architecture] = {}

    def _rung(self, job: Job) -> int:
        if job.fidelity not in self.fidelities:
            raise InputError(f"{job.key} is recorded at fidelity {job.fidelity}, which is none of {self.fidelities}")
        return self.fidelities.index(job.fidelity)

    def ask(self) -> Job:
        """What goes on, from the highest rung down; else a new architecture; when there is none, the best that was put aside.

        Raises what the algorithm's `ask` raises.
        """
        if (job := self._promotion()) is not None:
            return job
        try:
            return self.first_job(self.algorithm.ask())
        except SpaceExhausted:
            if (job := self._promotion(everything=True)) is not None:
                return job
            raise

    def _promotion(self, everything: bool = False) -> Job | None:
        for rung in reversed(range(len(self.fidelities) - 1)):
            key = self._promotable(rung, everything)
            if key is not None:
                self._gone_on[rung].add(key)
                return Job(self._architectures[key], self.fidelities[rung + 1])
        return None

    def _promotable(self, rung: int, everything: bool) -> str | None:
        told, gone = self._told[rung], self._gone_on[rung]
        for key in told:
            if key in self.always and key not in gone:
                return key
        ratio = 1 if everything else self.keep or self.fidelities[rung] / self.fidelities[rung + 1]
        count = int(len(told) * ratio + 1e-9)
        if not count:
            return None
        keys = [key for key in told if meets(told[key], self.algorithm.constraints)]
        best = order([told[key] for key in keys], self.algorithm.objectives)[:count]
        return next((keys[i] for i in best if keys[i] not in gone), None)

    def expect(self, job: Job) -> None:
        """Take note that a job is being done though it was not asked for: its architecture has gone on to its rung."""
        super().expect(job)
        self._architectures[job.key] = job.architecture
        for rung in range(self._rung(job)):
            self._gone_on[rung].add(job.key)

    def tell_repeat(self, job: Job, metrics: Mapping[str, float]) -> None:
        """Of a repeat the algorithm is told where it is of the rung that it is told of."""
        if job.fidelity == self.first:
            super().tell_repeat(job, metrics)

    def tell(self, job: Job, metrics: Mapping[str, float]) -> None:
        """The metrics of an architecture at a fidelity; it is done where that was the last, or where they break a constraint."""
        self.expect(job)
        self._told[self._rung(job)][job.key] = dict(metrics)
        if job.fidelity == self.first:
            self.algorithm.tell(job.architecture, metrics)
        may_go_on = job.key in self.always or meets(metrics, self.algorithm.constraints)
        if self.is_last(job) or not may_go_on:
            self._done.add(job.key)
