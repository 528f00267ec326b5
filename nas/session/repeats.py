"""Which architectures are evaluated once more: a reference, to learn how noisy results are, and at the end the front's contenders."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from search_spaces import Architecture, InputError

from ..schedulers import Job, Scheduler
from ..storage.judged import IN_DOUBT, Judgement
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
        """The next repeat at the end; None where there are enough, or everybody's place is sure.

        The front's contenders are its members and what is off it and belongs on it with some probability. The one with the
        fewest trainings is next, where those off the front count as trained once more: a member owes its place to luck more
        often than another its want of one. Of several such it is the best in the first objective. (Compared with repeating
        what is most probably in the wrong place, and others, in `benchmarks/confirm.py`.)
        """
        repeats = self.store.repeats()
        if sum(e.confirms for e in repeats) >= self.confirming:
            self.is_settled = self._has_enough(repeats)
            return None
        algorithm, under_way = self.scheduler.algorithm, Counter(e.key for e in repeats if e.status in UNFINISHED)
        judgement = Judgement(
            self.store.evaluations(State.FINISHED), repeats, algorithm.objectives, algorithm.constraints, is_random=True
        )
        chances = judgement.wrong(under_way)
        failed = {e.key for e in repeats if e.status in (State.FAILED, State.REJECTED)}
        members = [each.evaluation.key for each in judgement.front]
        contenders = [
            (each.trainings + under_way[key] + (key not in members), each)
            for each, chance in chances
            if (key := each.evaluation.key) not in failed and (key in members or chance > IN_DOUBT)
        ]
        if not contenders or max(chance for _, chance in chances) < SURE:
            self.is_settled = not under_way
            return None
        first = algorithm.objectives[0]
        sign = -1 if first.direction == "max" else 1
        _, chosen = min(contenders, key=lambda entry: (entry[0], sign * entry[1].metrics[first.metric]))
        return self._job(chosen.evaluation.architecture, repeats, confirms=True)

    def _has_enough(self, repeats: Sequence[Evaluation]) -> bool:
        ended = [e for e in repeats if e.confirms and e.status not in UNFINISHED]
        return len(ended) >= self.confirming

    def _job(self, architecture: Architecture, repeats: Sequence[Evaluation], confirms: bool = False) -> Job:
        number = 1 + max((e.repeat for e in repeats if e.key == architecture.key), default=0)
        return self.scheduler.repeat(architecture, number, confirms)
