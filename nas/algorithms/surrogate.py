"""Surrogate search: a Gaussian process for each expensive objective, expected hypervolume improvement over a bred pool.

    told, and what rejected ones cost -> processes over (choices, logarithms of what is known in advance)
        -> value and deviation of every candidate
    front (what was told, and pending asks as they are predicted) -> offspring and random draws = candidates
    known objectives exactly + predicted ones with their doubt -> expected hypervolume improvement -> the best is asked

Sources: M. Emmerich, K. Giannakoglou, B. Naujoks, "Single- and multiobjective evolutionary optimization assisted by Gaussian
random field metamodels", IEEE TEC 10(4), 2006 (the criterion); D. Ginsbourger, R. Le Riche, L. Carraro, "Kriging is
well-suited to parallelize optimization", 2010 (pending asks are believed to end as predicted).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import moocore
import numpy as np

from evaluators.inputs import Inputs, choice_inputs
from search_spaces import Architecture, InputError

from ..objectives import default_reference, meets, order, points
from .algorithm import Algorithm, signed_logarithm

# From the values of an objective to the scale that it is modelled on, or back
Map: TypeAlias = Callable[[np.ndarray], np.ndarray]

ENUMERATED = 3000  # architectures of a space that are all candidates
BRED, PARENTS, CROSSOVER = 128, 16, 0.5
DRAWN = 32  # candidates drawn at random
TELLING = 400  # candidates for the first asks
DRAWS = 32  # of every candidate's objectives
FINALISTS = 64  # candidates whose improvement is computed where there are more than two objectives
MOST = 300  # results that a process is conditioned on
FITTED = 150  # of which so many, the latest, tell its hyperparameters
REFIT = 1.25  # hyperparameters are found anew when there are so many times more results
WIDE = 8.0  # a positive objective whose values differ by more than this factor is modelled by its logarithm
SAMPLE = 256  # architectures that tell how known metrics vary over the space


class Seen(NamedTuple):
    """What a process sees of the results, the pending asks (None where there are none) and the candidates."""

    told: Inputs
    pending: Inputs | None
    new: Inputs


class Scale(NamedTuple):
    """What an objective is modelled on, by name, and the way there and back."""

    name: str
    to: Map
    back: Map


class Surrogate(Algorithm):
    """Asks what promises to add most hypervolume, as Gaussian processes see it.

    Args:
        initial: results before the processes are asked; until then, what tells them most.
    """

    name = "surrogate"

    def __init__(self, *args: Any, initial: int = 8, **options: Any) -> None:
        super().__init__(*args, **options)
        if initial < 3:
            raise InputError(f"initial must be at least 3, not {initial}")
        self.initial = initial
        small = self.space.size <= ENUMERATED
        self._everything = list(self.space.enumerate()) if small else None
        self._known_numbers: dict[str, np.ndarray] = {}  # key -> logarithms of its known metrics
        self._standard: tuple[np.ndarray, np.ndarray] | None = None
        self._parameters: dict[tuple[str, str, int], np.ndarray] = {}

    def _propose(self, rng: np.random.Generator) -> Architecture | None:
        told = self.told_inside
        if len(told) < self.initial:
            return self._most_telling(rng)
        found, estimates = self._pool(rng)
        if not found:
            return None
        self._remember(found, estimates)
        return found[self._most_promising(found, estimates, told, rng)]

    # -- candidates ---------------------------------------------------------------------------------------------

    def _pool(self, rng: np.random.Generator) -> tuple[list[Architecture], dict[str, np.ndarray]]:
        """The candidates, with what is known of them."""
        if self._everything:
            return self.candidates(self._everything)
        parents = self.best(PARENTS)
        pool = [self.space.sample(rng) for _ in range(DRAWN)]
        for _ in range(BRED if parents else 0):
            child = parents[int(rng.integers(len(parents)))]
            if rng.random() < CROSSOVER:
                child = self.space.crossover(child, parents[int(rng.integers(len(parents)))], rng)
            pool.append(self.space.mutate(child, rng))
        found, estimates = self.candidates(pool)
        return (found, estimates) if found else self.random_candidates(rng, many=True)

    def _most_telling(self, rng: np.random.Generator) -> Architecture | None:
        """The candidate that, by the processes' priors, leaves the least variance over all of them."""
        from evaluators.gaussian_process import Kernel, most_telling

        if self._everything:
            new = self.candidates(self._everything)[0]
            new = [new[i] for i in rng.permutation(len(new))[:TELLING]]
        else:
            new = self.random_candidates(rng, many=True)[0]
        if not new:
            return None
        asked = list(self.inside.values())
        inputs = self._inputs([*asked, *new])
        kernel = Kernel(inputs.numbers.shape[1], inputs.categories.shape[1])
        covariance, noise = kernel.prior_covariance(inputs)
        (best,) = most_telling(covariance, 1, noise, measured=range(len(asked)))
        return new[best - len(asked)]

    # -- what the processes see ---------------------------------------------------------------------------------

    def _inputs(self, architectures: Sequence[Architecture]) -> Inputs:
        choices = choice_inputs(architectures)
        if not self.has_estimates:
            return choices
        if self._standard is None:
            rng = np.random.default_rng(self.seed)
            sample = self._logarithms([self.space.sample(rng) for _ in range(SAMPLE)])
            self._standard = sample.mean(0), np.maximum(sample.std(0), 1e-9)
        mean, deviation = self._standard
        known = (self._logarithms(architectures) - mean) / deviation
        return Inputs(np.concatenate([choices.numbers, known], axis=1), choices.categories)

    def _logarithms(self, architectures: Sequence[Architecture]) -> np.ndarray:
        """(n, k) signed logarithms of the k metrics that are known in advance."""
        fresh = [a for a in architectures if a.key not in self._known_numbers]
        if fresh:
            self._remember(fresh, self._estimate(fresh))
        return np.stack([self._known_numbers[a.key] for a in architectures])

    def _remember(self, architectures: Sequence[Architecture], estimates: Mapping[str, np.ndarray]) -> None:
        if estimates:
            # an estimate may depend in its last digits on what it was made with, and a rebuilt search asks in other company
            values = np.stack([signed_logarithm(v) for v in estimates.values()], axis=1).round(9)
            self._known_numbers.update(zip((a.key for a in architectures), values))

    # -- what is asked ------------------------------------------------------------------------------------------

    def _most_promising(
        self,
        found: list[Architecture],
        estimates: Mapping[str, np.ndarray],
        told: list[str],
        rng: np.random.Generator,
    ) -> int:
        """The index of the candidate that is expected to improve the front most."""
        pending = self.pending
        metrics = [self.told[key] for key in told]
        measured = points(metrics, self.objectives)
        reference = self._reference(metrics)
        within = [meets(m, self.constraints) for m in metrics]
        learnt = [key for key in self.learnt if key in self.inside]
        lessons = self._inputs([self.inside[key] for key in learnt])
        waiting, new = self._inputs(pending) if pending else None, self._inputs(found)
        half = rng.standard_normal((DRAWS // 2, 1, len(self.objectives)))
        draws = np.concatenate([half, -half])  # antithetic
        outcomes = np.empty((DRAWS, len(found), len(self.objectives)))
        believed = np.empty((len(pending), len(self.objectives)))
        pending_estimates = self._estimate(pending) if pending else {}
        for j, objective in enumerate(self.objectives):
            sign = -1.0 if objective.direction == "max" else 1.0
            if objective.metric in estimates:
                outcomes[:, :, j] = sign * np.asarray(estimates[objective.metric], float)
                if pending:
                    believed[:, j] = sign * np.asarray(pending_estimates[objective.metric], float)
                continue
            rows = [i for i, key in enumerate(learnt) if objective.metric in self.learnt[key]]
            keys = [learnt[i] for i in rows]
            values = sign * np.array([self.learnt[key][objective.metric] for key in keys])
            scale, inputs = _scale(values), Seen(lessons.rows(np.array(rows)), waiting, new)
            kept = self._kept(keys)
            believed[:, j], mean, deviation = self._predict(objective.metric, scale, scale.to(values), kept, inputs)
            outcomes[:, :, j] = scale.back(mean + deviation * draws[:, :, j])
            believed[:, j] = scale.back(believed[:, j])
        front = np.concatenate([measured[within], believed])
        front = front[moocore.is_nondominated(front)] if len(front) else front
        score = expected_improvement(outcomes, front, reference)
        if score.max() <= 0:  # nothing seems to add anything: learn where most may be hidden
            score = outcomes.std(0).sum(1)
        return int(score.argmax())

    def _reference(self, metrics: Sequence[Mapping[str, float]]) -> np.ndarray:
        """(m,) the worst that counts, to be minimised: of what was seen, and within the constraints on objectives."""
        reference = points([default_reference(metrics, self.objectives)], self.objectives)[0]
        for j, objective in enumerate(self.objectives):
            for constraint in self.constraints:
                bound = constraint.upper if objective.direction == "min" else constraint.lower
                if constraint.metric == objective.metric and bound is not None:
                    reference[j] = min(reference[j], bound if objective.direction == "min" else -bound)
        return reference

    def _kept(self, keys: Sequence[str]) -> np.ndarray:
        """Positions of the results that processes are conditioned on: all, or the best and some of all others."""
        if len(keys) <= MOST:
            return np.arange(len(keys))
        finished = np.array([i for i, key in enumerate(keys) if key in self.told])
        best = finished[order([self.told[keys[i]] for i in finished], self.objectives)[: MOST // 2]]
        rest = np.setdiff1d(np.arange(len(keys)), best)
        return np.sort(np.concatenate([best, rest[np.linspace(0, len(rest) - 1, MOST // 2).astype(int)]]))

    def _predict(
        self, metric: str, scale: Scale, values: np.ndarray, kept: np.ndarray, inputs: Seen
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(values believed of the pending asks, mean and deviation of the candidates), on the scale that `values` are on."""
        from evaluators.gaussian_process import GaussianProcess

        mean, spread = values.mean(), max(values.std(), 1e-9)
        parameters = self._hyperparameters(metric, scale, inputs.told, values)
        process = GaussianProcess(inputs.told.rows(kept), (values[kept] - mean) / spread, parameters)
        believed = np.empty(0)
        if inputs.pending is not None:
            believed = process.mean(inputs.pending)
            both = process.inputs.joined(inputs.pending)
            process = GaussianProcess(both, np.concatenate([process.values, believed]), parameters)
        value, deviation = process.predict(inputs.new)
        deviation = np.sqrt(np.maximum(deviation**2 - np.exp(parameters[0]), 0))  # without the noise of measuring
        return mean + spread * believed, mean + spread * value, spread * deviation

    def _hyperparameters(self, metric: str, scale: Scale, inputs: Inputs, values: np.ndarray) -> np.ndarray:
        """The hyperparameters of the process for `metric`; they depend on the first results and the scale that all results have
        now, not on when they were asked for, so that a rebuilt search has the same."""
        from evaluators.gaussian_process import GaussianProcess

        count = self.initial
        while count * REFIT <= len(values):
            count = int(np.ceil(count * REFIT))
        if (metric, scale.name, count) not in self._parameters:
            first = slice(max(0, count - FITTED), count)
            some = values[first]
            standard = (some - some.mean()) / max(some.std(), 1e-9)
            found = GaussianProcess.fit(inputs.rows(first), standard)
            self._parameters[metric, scale.name, count] = found.parameters
        return self._parameters[metric, scale.name, count]


def _scale(values: np.ndarray) -> Scale:
    """The scale that an objective (to be minimised) of these values is modelled on."""
    sign = np.sign(values[0])
    size = np.abs(values)
    if (np.sign(values) == sign).all() and sign != 0 and size.max() > WIDE * size.min():
        return Scale("logarithm", lambda v: sign * np.log(sign * v), lambda u: sign * np.exp(sign * u))
    return Scale("plain", lambda v: v, lambda u: u)


def expected_improvement(outcomes: np.ndarray, front: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """(n,) mean hypervolume that each candidate adds to the front.

    Args:
        outcomes: (draws, n, m) objectives of the candidates, to be minimised.
        front: (k, m) points that do not dominate each other.
        reference: (m,).
    """
    draws, count, dimensions = outcomes.shape
    if dimensions == 1:
        best = min(front.min(initial=np.inf), reference[0])
        return np.maximum(best - outcomes[:, :, 0], 0).mean(0)
    if dimensions == 2:
        return _area_added(outcomes.reshape(-1, 2), front, reference).reshape(draws, count).mean(0)
    # where the mean outcome is best, the improvement of every draw
    whole = moocore.hypervolume(front, ref=reference) if len(front) else 0.0

    def added(point: np.ndarray) -> float:
        return moocore.hypervolume(np.concatenate([front, point[None]]), ref=reference) - whole

    optimistic = outcomes.mean(0) - outcomes.std(0)
    score, first = np.zeros(count), np.array([added(point) for point in optimistic])
    for i in np.argsort(-first)[:FINALISTS]:
        score[i] = np.mean([added(point) for point in outcomes[:: max(1, draws // 8), i]])
    return score


def _area_added(candidates: np.ndarray, front: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """(n,) area that each of the (n, 2) points adds to what the front dominates, all to be minimised."""
    front = front[(front < reference).all(1)]
    front = front[np.argsort(front[:, 0])]
    # between two neighbours of the front its height is that of the left one; left of the first, the reference's
    left = np.concatenate([[-np.inf], front[:, 0]])
    right = np.concatenate([front[:, 0], [reference[0]]])
    height = np.concatenate([[reference[1]], front[:, 1]])
    x, y = candidates[:, :1], candidates[:, 1:]
    width = np.maximum(right - np.maximum(left, x), 0)
    return (width * np.maximum(height - y, 0)).sum(1)


ALGORITHM = Surrogate
