"""Successive halving: every architecture begins with a short evaluation, and only the best of a rung go on to the next."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from search_spaces import Architecture, InputError

from ..algorithms import Algorithm, SpaceExhausted
from ..objectives import meets, order
from ..session.trial import Job
from ..storage.store import Event


def spent(events: Iterable[Event], fidelities: Sequence[float]) -> float:
    """Whole evaluations that the events of a store stand for, failures included; of several fidelities each counts its share."""
    return sum(share(fidelities, event.fidelity) for event in events if event.state in ("finished", "paused", "failed"))


def share(fidelities: Sequence[float], fidelity: float | None) -> float:
    """What an evaluation at one of the fidelities adds to the one before, as a share of a whole evaluation."""
    if not fidelities:
        return 1
    below = max((f for f in fidelities if f < fidelity), default=0)
    return (fidelity - below) / fidelities[-1]


class SuccessiveHalving:
    """Asynchronous successive halving over an algorithm that knows nothing of it.

    A result at fidelity f of the rungs f < g goes on to g when it is among the best f/g of its rung, so that about as much is
    spent on every rung, and more on the higher ones as late results overtake some that have gone on. Best is the lower
    non-dominated rank, then the less crowded one, then the earlier one; what breaks a constraint does not go on. No rung waits
    for its stragglers. The algorithm is told the results of the first rung, which all architectures have and which compare
    like with like.

    Without fidelities it only passes on what the algorithm asks and is told.

    Sources: L. Li et al., "A system for massively parallel hyperparameter tuning", MLSys 2020; R. Schmucker et al.,
    "Multi-objective asynchronous successive halving", 2021.

    Args:
        fidelities: ascending amounts of work, the last one of which is all.
        always: keys of architectures that go on whatever their results.
    """

    def __init__(self, algorithm: Algorithm, fidelities: Sequence[float] = (), always: Iterable[str] = ()):
        fidelities = list(fidelities)
        if fidelities != sorted(set(fidelities)) or any(f <= 0 for f in fidelities):
            raise InputError(f"fidelities must ascend from above 0, not {', '.join(map(str, fidelities))}")
        self.algorithm, self.fidelities, self.always = algorithm, fidelities, set(always)
        # of every rung: key -> metrics, in the order of telling
        self._told: list[dict[str, dict]] = [{} for _ in fidelities]
        self._gone_on: list[set[str]] = [set() for _ in fidelities]  # from a rung to the next
        self._architectures: dict[str, Architecture] = {}

    @property
    def first(self) -> float | None:
        return self.fidelities[0] if self.fidelities else None

    def is_last(self, job: Job) -> bool:
        return not self.fidelities or job.fidelity >= self.fidelities[-1]

    def cost(self, job: Job) -> float:
        """What a job adds, as a share of a whole evaluation."""
        return share(self.fidelities, job.fidelity)

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
            return Job(self.algorithm.ask(), self.first)
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
        ratio = 1 if everything else self.fidelities[rung] / self.fidelities[rung + 1]
        count = int(len(told) * ratio + 1e-9)
        if not count:
            return None
        keys = [key for key in told if meets(told[key], self.algorithm.constraints)]
        best = order([told[key] for key in keys], self.algorithm.objectives)[:count]
        return next((keys[i] for i in best if keys[i] not in gone), None)

    def expect(self, job: Job) -> None:
        """Take note that a job is being done though it was not asked for."""
        self.algorithm.expect(job.architecture)
        self._architectures[job.key] = job.architecture
        for rung, fidelity in enumerate(self.fidelities):
            if fidelity < job.fidelity:
                self._gone_on[rung].add(job.key)

    def tell(self, job: Job, metrics: Mapping[str, float]) -> None:
        """The metrics of an architecture at a fidelity."""
        self.expect(job)
        if self.fidelities:
            self._told[self._rung(job)][job.key] = dict(metrics)
        if job.fidelity == self.first:
            self.algorithm.tell(job.architecture, metrics)

    def tell_failure(self, job: Job, reason: str) -> None:
        self.expect(job)
        self.algorithm.tell_failure(job.architecture, reason)

    def tell_rejected(self, job: Job, metrics: Mapping[str, float]) -> None:
        self.expect(job)
        self.algorithm.tell_rejected(job.architecture, metrics)
