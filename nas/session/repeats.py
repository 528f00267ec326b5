"""Which architectures are evaluated once more: a reference, to learn how noisy results are, and at the end the front's contenders."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from search_spaces import Architecture, InputError

from ..schedulers import Job, Scheduler
from ..storage.judged import Judgement
from ..storage.records import Evaluation
from ..storage.states import UNFINISHED, State
from ..storage.store import Store

SURE = 0.01  # below this probability nobody's place on or off the front is worth a training


class Repeats:
    """Decides on repeats, by what the store has.

    Args:
        references: architectures, the first of which that does not fail is repeated; without one it is the first architecture
            that has finished.
        during: repeats of a reference in the course of the search, out of its budget.
        confirming: repeats at its end, beyond its budget.
        can_repeat: whether the evaluator has random numbers to change.

    Raises:
        InputError: something is to be confirmed and cannot be repeated.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        store: Store,
        references: Iterable[Architecture],
        *,
        during: int,
        confirming: int,
        can_repeat: bool,
    ):
        if confirming and not can_repeat:
            raise InputError(
                f"confirm must be 0, not {confirming}: the evaluator has no random numbers to change, so that every repeat would "
                "end as the first evaluation did"
            )
        self.scheduler, self.store = scheduler, store
        self.references = [architecture.key for architecture in references]
        repeats = store.repeats()
        self._during = during - sum(not e.confirms for e in repeats) if can_repeat else 0
        self.confirming = confirming
        self.is_settled = self._has_enough(repeats)  # nothing is left to confirm

    @property
    def unfinished(self) -> list[Job]:
        """The repeats that an earlier session has begun and not ended."""
        return [
            Job(e.architecture, e.fidelity, e.repeat, e.confirms)
            for e in self.store.repeats()
            if e.status in UNFINISHED
        ]

    def next_during(self) -> Job | None:
        """The next repeat in the course of the search; None where there are enough, or nothing to repeat yet."""
        if self._during <= 0 or (reference := self._reference()) is None:
            return None
        self._during -= 1
        return self._job(reference.architecture, self.store.repeats())

    def _reference(self) -> Evaluation | None:
        evaluations = {e.key: e for e in self.store.evaluations()}
        finished = [key for key, e in evaluations.items() if e.status == State.FINISHED]
        for key in [*self.references, *finished]:
            if key in evaluations and evaluations[key].status not in (State.FAILED, State.REJECTED):
                return evaluations[key]
        return None

    def next_confirming(self) -> Job | None:
        """The repeat at the end that is expected to change the front most; None where there are enough, or nothing is in doubt.

        It is of the model whose place, on the front or off it, is wrong with the highest probability; of several such, of the
        one with the fewest trainings, then of the first.
        """
        repeats = self.store.repeats()
        if sum(e.confirms for e in repeats) >= self.confirming:
            self.is_settled = self._has_enough(repeats)
            return None
        failed = {e.key for e in repeats if e.status in (State.FAILED, State.REJECTED)}
        under_way = Counter(e.key for e in repeats if e.status in UNFINISHED)
        finished = self.store.evaluations(State.FINISHED)
        algorithm = self.scheduler.algorithm
        judgement = Judgement(finished, repeats, algorithm.objectives, algorithm.constraints, is_random=True)
        open_ = [
            (round(chance, 9), -each.trainings - under_way[each.evaluation.key], each.evaluation.architecture)
            for each, chance in judgement.wrong(under_way)
            if each.evaluation.key not in failed and chance >= SURE
        ]
        if not open_:
            self.is_settled = not under_way
            return None
        _, _, architecture = max(open_, key=lambda entry: entry[:2])  # the first of those that are equal
        return self._job(architecture, repeats, confirms=True)

    def _has_enough(self, repeats: Sequence[Evaluation]) -> bool:
        ended = [e for e in repeats if e.confirms and e.status not in UNFINISHED]
        return len(ended) >= self.confirming

    def _job(self, architecture: Architecture, repeats: Sequence[Evaluation], confirms: bool = False) -> Job:
        number = 1 + max((e.repeat for e in repeats if e.key == architecture.key), default=0)
        return self.scheduler.repeat(architecture, number, confirms)
