"""What is known of evaluations and their repeats together: means, standard errors, and who may not belong on the front."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..noise import USUAL, Noise, chance_dominated, pooled
from ..objectives import Constraint, Objective, front, meets, points
from .records import Evaluation
from .states import State

IN_DOUBT = 0.2  # probability of being dominated from which on a member of the front is marked
VARIED = (
    0.25  # share of what architectures differ by that noise is expected to have where nothing is known of the metric
)


@dataclass(frozen=True)
class Judged:
    """A finished evaluation with what all trainings of its architecture say of it.

    Attributes:
        metrics: means over the trainings, of what every one of them measured; the others are those of the first.
        trainings: the first one, and the repeats that finished.
        errors: metric -> standard error of its mean, of those metrics that are noisy.
    """

    evaluation: Evaluation
    metrics: dict[str, float]
    trainings: int
    errors: dict[str, float]


class Judgement:
    """The finished evaluations of a search in the light of their repeats.

    Args:
        evaluations: the finished ones.
        repeats: of these and maybe others; those that finished count.
        is_random: whether trainings of the same architecture may differ; otherwise there is no noise.
    """

    def __init__(
        self,
        evaluations: Sequence[Evaluation],
        repeats: Iterable[Evaluation],
        objectives: Sequence[Objective],
        constraints: Sequence[Constraint],
        is_random: bool,
    ):
        self.objectives, self.constraints = list(objectives), list(constraints)
        trainings: dict[str, list[Mapping[str, float]]] = {e.key: [e.metrics] for e in evaluations}
        for e in repeats:
            if e.status == State.FINISHED and e.key in trainings:
                trainings[e.key].append(e.metrics)
        names = dict.fromkeys(o.metric for o in self.objectives)
        names |= dict.fromkeys(name for name in USUAL if all(name in e.metrics for e in evaluations))
        self.noise = {name: _noise(name, trainings) for name in names} if is_random and evaluations else {}
        self.judged = {e.key: self._judge(e, trainings[e.key]) for e in evaluations}

    def _judge(self, evaluation: Evaluation, trainings: Sequence[Mapping[str, float]]) -> Judged:
        metrics = dict(evaluation.metrics)
        if len(trainings) > 1:
            for name, first in evaluation.metrics.items():
                values = [each[name] for each in trainings if name in each]
                if len(values) == len(trainings) and set(values) != {first}:
                    metrics[name] = sum(values) / len(values)
        errors = {name: noise.error(len(trainings)) for name, noise in self.noise.items() if noise.deviation}
        return Judged(evaluation, metrics, len(trainings), errors)

    @cached_property
    def eligible(self) -> list[Judged]:
        """Those that meet the constraints, in the order they were asked."""
        return [each for each in self.judged.values() if meets(each.metrics, self.constraints)]

    @cached_property
    def front(self) -> list[Judged]:
        """The non-dominated ones within the constraints, by their means, best in the first objective first."""
        members = [self.eligible[i] for i in front([each.metrics for each in self.eligible], self.objectives)]
        first = self.objectives[0]
        return sorted(members, key=lambda e: e.metrics[first.metric], reverse=first.direction == "max")

    @cached_property
    def doubts(self) -> dict[str, float]:
        """Key -> probability that another model dominates it in truth, of the members of the front."""
        keys = [each.evaluation.key for each in self.eligible]
        members = [keys.index(each.evaluation.key) for each in self.front]
        return dict(zip((keys[i] for i in members), self._chances({}, members).tolist()))

    def in_doubt(self, key: str) -> bool:
        """Whether a member of the front could well be off it."""
        return self.doubts.get(key, 0.0) > IN_DOUBT

    def wrong(self, under_way: Mapping[str, int]) -> list[tuple[Judged, float]]:
        """Of all within the constraints, the probability that its membership of the front, or that it is no member, is wrong.

        Args:
            under_way: key -> trainings that have not ended; they are taken to end as those before.
        """
        members = {each.evaluation.key for each in self.front}
        chances = self._chances(under_way).tolist()
        return [
            (each, chance if each.evaluation.key in members else 1 - chance)
            for each, chance in zip(self.eligible, chances)
        ]

    def _chances(self, under_way: Mapping[str, int], of: Iterable[int] | None = None) -> np.ndarray:
        errors = np.zeros((len(self.eligible), len(self.objectives)))
        for i, each in enumerate(self.eligible):
            count = each.trainings + under_way.get(each.evaluation.key, 0)
            for j, objective in enumerate(self.objectives):
                if objective.metric in self.noise:
                    errors[i, j] = self.noise[objective.metric].error(count)
        return chance_dominated(points([e.metrics for e in self.eligible], self.objectives), errors, of)


def _noise(name: str, trainings: Mapping[str, Sequence[Mapping[str, float]]]) -> Noise:
    groups = [[each[name] for each in of_one if name in each] for of_one in trainings.values()]
    usual = USUAL.get(name)
    if usual is None and any(len(set(group)) > 1 for group in groups):
        usual = VARIED * float(np.std([group[0] for group in groups]))
    return pooled(groups, usual)
