"""Surrogate search: a Gaussian process for each expensive objective, expected hypervolume improvement per second over a bred pool.

    told, and what rejected ones cost -> processes over (choices, logarithms of what is known in advance, prior)
        -> value and deviation of every candidate
    front (what was told, without its noise, and pending asks, as they are believed) -> offspring = candidates
    known objectives exactly + believed ones with their doubt -> expected hypervolume improvement, over the seconds that the
        candidate is expected to take -> the best is asked

Sources: M. Emmerich, K. Giannakoglou, B. Naujoks, "Single- and multiobjective evolutionary optimization assisted by Gaussian
random field metamodels", IEEE TEC 10(4), 2006 (the criterion); D. Ginsbourger, R. Le Riche, L. Carraro, "Kriging is
well-suited to parallelize optimization", 2010 (pending asks are believed to end as predicted); J. Snoek, H. Larochelle,
R. Adams, "Practical Bayesian optimization of machine learning algorithms", NeurIPS 2012 (improvement per second); S. Daulton,
M. Balandat, E. Bakshy, "Parallel Bayesian optimization of multiple noisy objectives with expected hypervolume improvement",
NeurIPS 2021 (the front is that of what is believed, not of noisy values; here in its plug-in form). The trend and the noise are in
belief.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import moocore
import numpy as np

from evaluators.inputs import Inputs, choice_inputs
from search_spaces import Architecture, InputError

from ..durations import Durations
from ..objectives import default_reference, meets, order, points
from .algorithm import Algorithm, Unaffordable, signed_logarithm
from .belief import Process, Seen, scale_of
from .improvement import expected_improvement

ENUMERATED = 3000  # architectures of a space that are all candidates
# No candidate is drawn at random where there are parents: of a large space, what is unlike anything told is believed to be anything, so
# that such draws are asked one after another, and most architectures are poor.
BRED, PARENTS, CROSSOVER = 160, 16, 0.5
CHANGES = (1.5, 1.5, 4.0)  # of a child's choices, on average
TELLING = 400  # candidates for the first asks
FEW = 3  # results before the processes are asked where something is known beforehand
DRAWS = 32  # of every candidate's objectives
MOST = 300  # results that a process is conditioned on
SAMPLE = 256  # architectures that tell how known metrics vary over the space
SLOPE = 0.4  # the usual one, of the leading objective's standardised results over the prior's scores


class Surrogate(Algorithm):
    """Asks what promises to add most hypervolume per second, as Gaussian processes see it.

    Args:
        initial: results before the processes are asked; until then, what tells them most. Where there is a prior, or an objective
            is known in advance, three are enough.
        cost_metric: the metric that says how many seconds an evaluation took; None counts all as equally long.

    Attributes:
        affordable: most seconds that what is asked next may be expected to take, None for any.
    """

    name = "surrogate"

    def __init__(self, *args: Any, initial: int = 8, cost_metric: str | None = "train_seconds", **options: Any) -> None:
        super().__init__(*args, **options)
        if initial < FEW:
            raise InputError(f"initial must be at least {FEW}, not {initial}")
        self.initial = initial
        self.cost_metric = cost_metric
        small = self.space.size <= ENUMERATED
        self._everything = list(self.space.enumerate()) if small else None
        self._names: list[str] = []  # of the metrics that are known in advance
        self._known_numbers: dict[str, np.ndarray] = {}  # key -> logarithms of its known metrics
        self._scores: dict[str, float] = {}  # key -> the prior's score
        self._survey: tuple[np.ndarray, np.ndarray, dict[str, tuple[float, float]]] | None = None
        self._processes: dict[str, Process] = {}

    def _propose(self, rng: np.random.Generator) -> Architecture | None:
        told = self.told_inside
        if len(told) < self._fewest:
            return self._most_telling(rng)
        found, estimates = self._affordable(*self._pool(rng))
        if not found:
            return None
        return found[self._most_promising(found, estimates, told, rng)]

    @property
    def _fewest(self) -> int:
        """Results before the processes are asked."""
        known = self._ranges if self.has_estimates else {}
        beforehand = self.prior is not None or any(o.metric in known for o in self.objectives)
        return FEW if beforehand else self.initial

    # -- candidates ---------------------------------------------------------------------------------------------

    def _pool(self, rng: np.random.Generator) -> tuple[list[Architecture], dict[str, np.ndarray]]:
        """The candidates, with what is known of them."""
        if self._everything:
            return self.candidates(self._everything)
        parents = self.best(PARENTS)
        pool = [] if parents else [self.space.sample(rng) for _ in range(BRED)]
        for _ in range(BRED if parents else 0):
            child = parents[int(rng.integers(len(parents)))]
            if rng.random() < CROSSOVER:
                child = self.space.crossover(child, parents[int(rng.integers(len(parents)))], rng)
            pool.append(self.space.mutate(child, rng, changes=CHANGES[int(rng.integers(len(CHANGES)))]))
        found, estimates = self.candidates(pool)
        return (found, estimates) if found else self.random_candidates(rng, many=True)

    def _affordable(
        self, found: list[Architecture], estimates: dict[str, np.ndarray]
    ) -> tuple[list[Architecture], dict[str, np.ndarray]]:
        """Those that are expected to take no longer than is affordable. Raises Unaffordable where there is none."""
        seconds = self.expected_seconds(found) if self.affordable is not None and found else None
        if seconds is None or self.affordable is None:
            return found, estimates
        keep = np.flatnonzero(seconds <= self.affordable)
        if not len(keep):
            raise Unaffordable(f"nothing new is expected to take {self.affordable:.0f} s or less")
        return [found[i] for i in keep], {name: values[keep] for name, values in estimates.items()}

    def _most_telling(self, rng: np.random.Generator) -> Architecture | None:
        """The candidate that, by the processes' priors, leaves the least variance over all of them."""
        from evaluators.gaussian_process import Kernel, most_telling

        if self._everything:
            new, estimates = self.candidates(self._everything)
            some = rng.permutation(len(new))[:TELLING]
            new, estimates = [new[i] for i in some], {name: values[some] for name, values in estimates.items()}
        else:
            new, estimates = self.random_candidates(rng, many=True)
        new, _ = self._affordable(new, estimates)
        if not new:
            return None
        asked = list(self.inside.values())
        inputs = self._inputs([*asked, *new])
        kernel = Kernel(inputs.numbers.shape[1], inputs.categories.shape[1])
        covariance, noise = kernel.prior_covariance(inputs)
        (best,) = most_telling(covariance, 1, noise, measured=range(len(asked)))
        return new[best - len(asked)]

    # -- what is known beforehand -------------------------------------------------------------------------------

    def _inputs(self, architectures: Sequence[Architecture], with_prior: bool = False) -> Inputs:
        """The prior's scores, where a process looks for its trend, then choices, then what is known in advance."""
        choices = choice_inputs(architectures)
        columns = [self._prior_scores(architectures)[:, None]] if with_prior else []
        columns.append(choices.numbers)
        if self.has_estimates:
            mean, deviation, _ = self._surveyed()
            columns.append((self._logarithms(architectures) - mean) / deviation)
        return Inputs(np.concatenate(columns, axis=1), choices.categories)

    def _prior_scores(self, architectures: Sequence[Architecture]) -> np.ndarray:
        fresh = [a for a in architectures if a.key not in self._scores]
        if fresh and self.prior is not None:
            scores = np.asarray(self.prior(fresh), float)
            if scores.shape != (len(fresh),) or not np.isfinite(scores).all():
                raise InputError(f"the prior must give {len(fresh)} finite scores for as many architectures")
            self._scores.update(zip((a.key for a in fresh), scores.round(9)))
        return np.array([self._scores[a.key] for a in architectures])

    def _logarithms(self, architectures: Sequence[Architecture]) -> np.ndarray:
        """(n, k) signed logarithms of the k metrics that are known in advance."""
        fresh = [a for a in architectures if a.key not in self._known_numbers]
        if fresh:
            estimates = self._estimate(fresh)
            self._names = list(estimates)
            # an estimate may depend in its last digits on what it was made with, and a rebuilt search asks in other company
            values = np.stack([signed_logarithm(v) for v in estimates.values()], axis=1).round(9)
            self._known_numbers.update(zip((a.key for a in fresh), values))
        return np.stack([self._known_numbers[a.key] for a in architectures])

    def _surveyed(self) -> tuple[np.ndarray, np.ndarray, dict[str, tuple[float, float]]]:
        """(means, deviations) of the known logarithms over the space, and the ranges of known metrics within the constraints."""
        if self._survey is None:
            rng = np.random.default_rng(self.seed)
            sample = self._everything or [self.space.sample(rng) for _ in range(SAMPLE)]
            logarithms = self._logarithms(sample)
            values = dict(zip(self._names, (np.sign(logarithms) * np.expm1(np.abs(logarithms))).T))
            fits = self._violation(values, len(sample)) <= 0
            ranges = {name: (v[fits].min(), v[fits].max()) for name, v in values.items()} if fits.any() else {}
            self._survey = logarithms.mean(0), np.maximum(logarithms.std(0), 1e-9), ranges
        return self._survey

    @property
    def _ranges(self) -> dict[str, tuple[float, float]]:
        return self._surveyed()[2] if self.has_estimates else {}

    def expected_seconds(self, architectures: Sequence[Architecture]) -> np.ndarray | None:
        """(n,) seconds that evaluations are expected to take; None where nothing has told yet."""
        durations = Durations()
        timed = [key for key in self.told_inside if self.cost_metric in self.told[key]]
        known = self._known([self.inside[key] for key in timed])
        for i, key in enumerate(timed):
            of_this = {name: values[i] for name, values in known.items()}
            durations.learn(of_this, self.told[key][str(self.cost_metric)])
        if not len(durations):
            return None
        expected = durations.expect(self._known(architectures))
        return None if expected is None else np.broadcast_to(expected, len(architectures))

    def _known(self, architectures: Sequence[Architecture]) -> dict[str, np.ndarray]:
        """Name -> (n,) array of what is known in advance."""
        if not architectures or not self.has_estimates:
            return {}
        logarithms = self._logarithms(architectures)
        return dict(zip(self._names, (np.sign(logarithms) * np.expm1(np.abs(logarithms))).T))

    # -- what is asked ------------------------------------------------------------------------------------------

    def _most_promising(
        self,
        found: list[Architecture],
        estimates: Mapping[str, np.ndarray],
        told: list[str],
        rng: np.random.Generator,
    ) -> int:
        """The index of the candidate that is expected to improve the front most for its time."""
        pending = self.pending
        metrics = [self.told[key] for key in told]
        within = np.array([meets(m, self.constraints) for m in metrics], bool)
        half = rng.standard_normal((DRAWS // 2, 1, len(self.objectives)))
        draws = np.concatenate([half, -half])  # antithetic
        outcomes = np.empty((DRAWS, len(found), len(self.objectives)))
        measured = points(metrics, self.objectives)
        believed = np.empty((len(pending), len(self.objectives)))
        pending_estimates = self._estimate(pending) if pending else {}
        for j, objective in enumerate(self.objectives):
            sign = -1.0 if objective.direction == "max" else 1.0
            if objective.metric in estimates:
                outcomes[:, :, j] = sign * np.asarray(estimates[objective.metric], float)
                if pending:
                    believed[:, j] = sign * np.asarray(pending_estimates[objective.metric], float)
                continue
            keys = [key for key in self.learnt if key in self.inside and objective.metric in self.learnt[key]]
            values = [sign * self._values(key, objective.metric) for key in keys]
            scale = scale_of(np.concatenate(values))
            # the prior is of the leading objective; all are to be minimised
            slope = -SLOPE if j == 0 and self.prior is not None else 0.0
            process = self._processes.setdefault(objective.metric, Process(slope))
            see = partial(self._inputs, with_prior=slope != 0)
            seen = Seen(see([self.inside[key] for key in keys]), see(pending) if pending else None, see(found))
            belief = process.believe([scale.to(v) for v in values], scale, seen, self._kept(keys), self._fewest)
            place = {key: i for i, key in enumerate(keys)}
            measured[:, j] = scale.back(belief.told[[place[key] for key in told]])
            believed[:, j] = scale.back(belief.pending)
            outcomes[:, :, j] = scale.back(belief.mean + belief.deviation * draws[:, :, j])
        front = np.concatenate([measured[within], believed])
        front = front[moocore.is_nondominated(front)] if len(front) else front
        score = expected_improvement(outcomes, front, self._reference(metrics))
        if score.max() <= 0:  # nothing seems to add anything: learn where most may be hidden
            score = outcomes.std(0).sum(1)
        seconds = self.expected_seconds(found)
        return int((score if seconds is None else score / seconds).argmax())

    def _values(self, key: str, metric: str) -> np.ndarray:
        """What the evaluations of an architecture gave."""
        repeats = [metrics[metric] for metrics in self.repeats.get(key, ()) if metric in metrics]
        return np.array([self.learnt[key][metric], *repeats], float)

    def _reference(self, metrics: Sequence[Mapping[str, float]]) -> np.ndarray:
        """(m,) the worst that counts, to be minimised: of what was seen, or is known to be there, and within the constraints on
        objectives."""
        seen = points([default_reference(metrics, self.objectives)], self.objectives)[0]
        for j, objective in enumerate(self.objectives):
            if objective.metric in self._ranges and objective.direction == "min":
                seen[j] = max(seen[j], self._ranges[objective.metric][1])
            for constraint in self.constraints:
                bound = constraint.upper if objective.direction == "min" else constraint.lower
                if constraint.metric == objective.metric and bound is not None:
                    seen[j] = min(seen[j], bound if objective.direction == "min" else -bound)
        return seen

    def _kept(self, keys: Sequence[str]) -> np.ndarray:
        """Positions of the results that processes are conditioned on: all, or the best and some of all others."""
        if len(keys) <= MOST:
            return np.arange(len(keys))
        finished = np.array([i for i, key in enumerate(keys) if key in self.told])
        best = finished[order([self.told[keys[i]] for i in finished], self.objectives)[: MOST // 2]]
        rest = np.setdiff1d(np.arange(len(keys)), best)
        return np.sort(np.concatenate([best, rest[np.linspace(0, len(rest) - 1, MOST // 2).astype(int)]]))


ALGORITHM = Surrogate
