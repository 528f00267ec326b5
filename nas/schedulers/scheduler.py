"""The role beside the algorithm: it decides how far every evaluation goes, and when one may go on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from search_spaces import Architecture, InputError

from ..algorithms import Algorithm
from ..storage.records import Evaluation, Event
from ..storage.spending import share
from ..storage.states import State
from .job import Job


class Scheduler:
    """Turns what an algorithm asks into jobs, and what became of the jobs into what the algorithm is told.

    Several jobs may be pending at once. A scheduler keeps nothing but what it is told, in the order of telling, so that it
    can be rebuilt from a store.

    Args:
        algorithm: what knows which architecture is worth a try; it need not know of fidelities.
        fidelities: ascending amounts of work at which an evaluation can be judged, the last one of which is all; none where
            an evaluator has only one.
        always: keys of architectures that go on whatever their results.
    """

    def __init__(self, algorithm: Algorithm, fidelities: Sequence[float] = (), always: Iterable[str] = ()):
        self.algorithm, self.fidelities, self.always = algorithm, list(fidelities), set(always)
        if self.fidelities != sorted(set(self.fidelities)) or any(f <= 0 for f in self.fidelities):
            raise InputError(f"fidelities must ascend from above 0, not {', '.join(map(str, fidelities))}")
        self._done: set[str] = set()  # keys of what goes on no further

    @property
    def first(self) -> float | None:
        """The fidelity that every architecture is evaluated at first."""
        return self.fidelities[0] if self.fidelities else None

    def first_job(self, architecture: Architecture) -> Job:
        """The job that an architecture begins with."""
        return Job(architecture, self.first)

    def is_last(self, job: Job) -> bool:
        """Whether the job ends the evaluation of its architecture."""
        return not self.fidelities or job.fidelity is None or job.fidelity >= self.fidelities[-1]

    def is_done(self, key: str) -> bool:
        """Whether an architecture can never go on, so that nothing needs what its evaluation has left to go on from."""
        return key in self._done

    def cost(self, job: Job) -> float:
        """What a job takes of the budget, as a share of a whole evaluation."""
        if job.repeat:  # it begins anew
            return 0 if job.confirms else 1
        return share(self.fidelities, job.fidelity)

    def share(self, fidelity: float | None) -> float:
        """How much of a whole evaluation one is that has come to a fidelity."""
        return fidelity / self.fidelities[-1] if self.fidelities and fidelity is not None else 1

    def restore(self, evaluations: Iterable[Evaluation], events: Iterable[Event]) -> None:
        """Tell a new scheduler what a store has, in the order in which one was told at the time."""
        known = {e.key: e for e in evaluations}
        for event in events:
            evaluation = known[event.key]
            job = Job(evaluation.architecture, event.fidelity)
            if event.repeat:
                if event.state == State.FINISHED:
                    self.tell_repeat(job, event.metrics)
            elif event.state == State.FINISHED:
                self.tell(job, evaluation.metrics)  # as they are now: some are measured again at the end
            elif event.state == State.PAUSED:
                self.tell(job, event.metrics)
            elif event.state == State.FAILED:
                self.tell_failure(job, evaluation.reason or "")
            elif event.state == State.REJECTED:
                self.tell_rejected(job, evaluation.metrics)

    def ask(self) -> Job:
        """The job that is to be done next.

        Raises:
            SpaceExhausted: there is none left.
            InputError: the constraints leave no architecture at all.
        """
        raise NotImplementedError

    def expect(self, job: Job) -> None:
        """Take note that a job is being done though it was not asked for."""
        self.algorithm.expect(job.architecture)

    def tell(self, job: Job, metrics: Mapping[str, float]) -> None:
        """The metrics of an architecture at a fidelity."""
        raise NotImplementedError

    def tell_repeat(self, job: Job, metrics: Mapping[str, float]) -> None:
        """The metrics of an architecture that was evaluated once more, to the end, with other random numbers."""
        self.algorithm.tell_repeat(job.architecture, metrics)

    def repeat(self, architecture: Architecture, repeat: int, confirms: bool = False) -> Job:
        """The job that evaluates an architecture once more, to the end."""
        return Job(architecture, self.fidelities[-1] if self.fidelities else None, repeat, confirms)

    def tell_failure(self, job: Job, reason: str) -> None:
        """The job failed; its architecture will not be asked again."""
        self.expect(job)
        self._done.add(job.key)
        self.algorithm.tell_failure(job.architecture, reason)

    def tell_rejected(self, job: Job, metrics: Mapping[str, float]) -> None:
        """A hard constraint was found violated during the job."""
        self.expect(job)
        self._done.add(job.key)
        self.algorithm.tell_rejected(job.architecture, metrics)
