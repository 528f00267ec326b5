"""BoTorch's noisy expected hypervolume improvement behind our protocol: its Gaussian processes, its acquisition function.

    told, and what rejected ones cost -> a process for each objective and bounded metric, over (choices, what is known in advance)
    offspring of the best and random draws, or the whole space where it is small = candidates
        -> qLogNEHVI over the front as the processes see it, pending asks in it -> the best is asked

What differs from BoTorch's own loop:
    - Candidates are a pool, as the space has rules and architectures that were asked before; nothing is optimised by gradients.
    - Metrics that are known in advance are exact: the model of such an objective is its values, a bound on one holds for all candidates,
      and what breaks it is no part of the front.
    - Every ask fits its processes from nothing but what was told, so that a search rebuilt from its record goes on as if it had never
      stopped. A fit ends when a step gains less than a millionth; BoTorch's default takes some ten times as long.
    - Objectives are standardised together with the reference point, which is ours (`default_reference`).
    - BoTorch would compile a C++ kernel when it is first used; here it stays with what is installed.

Sources: S. Ament et al., "Unexpected improvements to expected improvement for Bayesian optimization", NeurIPS 2023
(arXiv:2310.20708); S. Daulton, M. Balandat, E. Bakshy, "Parallel Bayesian optimization of multiple noisy objectives with expected
hypervolume improvement", NeurIPS 2021 (arXiv:2105.08195); M. Balandat et al., "BoTorch: a framework for efficient Monte-Carlo Bayesian
optimization", NeurIPS 2020.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Container, Iterator, Sequence
from typing import Any, NamedTuple

import botorch.acquisition.logei as logei
import botorch.acquisition.multi_objective.logei as multi_logei
import numpy as np
import torch
from botorch.acquisition.multi_objective.objective import IdentityMCMultiOutputObjective
from botorch.acquisition.objective import GenericMCObjective
from botorch.exceptions import ModelFittingError
from botorch.fit import fit_gpytorch_mll
from botorch.models import MixedSingleTaskGP, ModelList, ModelListGP, SingleTaskGP
from botorch.models.deterministic import GenericDeterministicModel
from botorch.models.model import Model
from botorch.sampling.get_sampler import get_sampler
from gpytorch.mlls import ExactMarginalLogLikelihood
from torch import Tensor

from evaluators.inputs import choice_inputs
from search_spaces import Architecture, InputError

from ..objectives import default_reference, meets
from .algorithm import Algorithm, signed_logarithm

ENUMERATED = 3000  # architectures of a space that are all candidates
BRED, PARENTS, CROSSOVER = 128, 16, 0.5
DRAWN = 32  # candidates drawn at random
SAMPLES = 128  # of the objectives, BoTorch's default
BATCH = 256  # candidates that are judged at once
FEW = 2  # results that a process needs
TOLERANCE = 1e-6  # of a fit; SciPy's own takes hundreds of steps to the last digits of what hardly matters


class Outcome(NamedTuple):
    """One output of the model: (sign * metric - mean) / spread, to be maximised where it is an objective."""

    metric: str
    sign: float
    mean: float
    spread: float

    def scaled(self, value: Any) -> Any:
        """A metric, or an array or tensor of it, as the output has it."""
        return (self.sign * value - self.mean) / self.spread

    def metric_of(self, output: Tensor) -> Tensor:
        """The metric in units of its spread, the other way round."""
        return self.sign * (output + self.mean / self.spread)


class Columns(NamedTuple):
    """What the models see of architectures: numbers in [0, 1], of which the last are known metrics, then categories."""

    x: Tensor  # (n, d), told ones and rejected ones first, then pending ones, then candidates
    categories: list[int]
    known: dict[str, tuple[int, float, float]]  # metric -> (column, smallest signed logarithm, span)


class BoTorchNEHVI(Algorithm):
    """Asks what adds most hypervolume by qLogNEHVI; with one objective, what improves most by qLogNEI.

    An ask takes about two seconds, and longer with hundreds of results.

    Args:
        initial: results before the processes are asked; until then draws are random.
    """

    def __init__(self, *args: Any, initial: int = 8, **options: Any) -> None:
        super().__init__(*args, **options)
        if initial < FEW:
            raise InputError(f"initial must be at least {FEW}, not {initial}")
        self.initial = initial
        small = self.space.size <= ENUMERATED
        self._everything = list(self.space.enumerate()) if small else None
        self._logarithms: dict[str, np.ndarray] = {}  # key -> signed logarithms of its known metrics

    def _propose(self, rng: np.random.Generator) -> Architecture | None:
        if len(self.told_inside) < self.initial:
            return self.random_candidate(rng)
        found = self._pool(rng)
        if not found:
            return None
        with _alone(int(rng.integers(2**31))):
            return found[self._most_promising(found, int(rng.integers(2**31)))]

    def _pool(self, rng: np.random.Generator) -> list[Architecture]:
        """The candidates."""
        if self._everything:
            return self.candidates(self._everything)[0]
        parents = self.best(PARENTS)
        pool = [self.space.sample(rng) for _ in range(DRAWN)]
        for _ in range(BRED if parents else 0):
            child = parents[int(rng.integers(len(parents)))]
            if rng.random() < CROSSOVER:
                child = self.space.crossover(child, parents[int(rng.integers(len(parents)))], rng)
            pool.append(self.space.mutate(child, rng))
        return self.candidates(pool)[0] or self.random_candidates(rng, many=True)[0]

    # -- what the models see ------------------------------------------------------------------------------------

    def _columns(self, architectures: Sequence[Architecture]) -> Columns:
        inputs = choice_inputs(architectures)
        numbers, categories = (part[:, np.ptp(part, axis=0) > 0] for part in (inputs.numbers, inputs.categories))
        names, logarithms = self._known(architectures)
        numbers = np.concatenate([numbers, logarithms], axis=1)
        low, span = numbers.min(0, initial=np.inf), np.ptp(numbers, axis=0) if numbers.size else np.zeros(0)
        span = np.where(span > 0, span, 1.0)
        first, count = numbers.shape[1] - len(names), numbers.shape[1]
        return Columns(
            torch.from_numpy(np.concatenate([(numbers - low) / span, categories], axis=1)),
            list(range(count, count + categories.shape[1])),
            {name: (first + i, low[first + i], span[first + i]) for i, name in enumerate(names)},
        )

    def _known(self, architectures: Sequence[Architecture]) -> tuple[list[str], np.ndarray]:
        """(names of the k metrics that are known in advance, their (n, k) signed logarithms)."""
        if not self.has_estimates:
            return [], np.zeros((len(architectures), 0))
        fresh = [a for a in architectures if a.key not in self._logarithms]
        estimates = self._estimate(fresh or architectures[:1])
        # an estimate may depend in its last digits on what it was made with, and a rebuilt search asks in other company
        values = np.stack([signed_logarithm(v) for v in estimates.values()], axis=1).round(9)
        self._logarithms.update(zip((a.key for a in fresh), values))
        return list(estimates), np.stack([self._logarithms[a.key] for a in architectures])

    # -- what is asked ------------------------------------------------------------------------------------------

    def _most_promising(self, found: list[Architecture], seed: int) -> int:
        """The index of the candidate that is expected to add most."""
        learnt = [key for key in self.learnt if key in self.inside]
        pending = sorted(self.pending, key=lambda architecture: architecture.key)
        columns = self._columns([*(self.inside[key] for key in learnt), *pending, *found])
        seen, waiting, new = columns.x.split([len(learnt), len(pending), len(found)])
        outcomes, models = [], []
        for metric, sign in self._wanted(columns.known):
            rows = [i for i, key in enumerate(learnt) for _ in self._values(key, metric)]
            values = [value for key in learnt for value in self._values(key, metric)]
            if metric in columns.known:
                outcome = _outcome(metric, sign, _exact(columns.x, *columns.known[metric]).numpy())
                models.append(_known_model(outcome, *columns.known[metric]))
            elif len(values) >= FEW:
                outcome = _outcome(metric, sign, np.array(values))
                models.append(_process(seen[rows], outcome.scaled(torch.tensor(values).double()), columns.categories))
            else:  # a bounded metric of which nothing was told yet
                continue
            outcomes.append(outcome)
        only_processes = all(isinstance(model, SingleTaskGP) for model in models)
        model = ModelListGP(*models) if only_processes else ModelList(*models)
        exact = [c for c in self.constraints if c.metric in columns.known]
        told = [i for i, key in enumerate(learnt) if key in self.told]
        within = [i for i in told if meets(self.learnt[learnt[i]], exact)]
        with torch.no_grad():
            acquisition = self._acquisition(model, outcomes, set(columns.known), seen[within or told], waiting, seed)
            score = torch.cat([acquisition(part[:, None]) for part in new.split(BATCH)])
        return int(score.argmax())

    def _wanted(self, known: Container[str]) -> Iterator[tuple[str, float]]:
        """(metric, sign) of the objectives, to be maximised, then of what else only evaluations tell to be within a bound."""
        objectives = {o.metric: 1.0 if o.direction == "max" else -1.0 for o in self.objectives}
        bounded = {c.metric: 1.0 for c in self.constraints if c.metric not in objectives and c.metric not in known}
        yield from [*objectives.items(), *bounded.items()]

    def _values(self, key: str, metric: str) -> list[float]:
        """What the evaluations of an architecture gave."""
        return [m[metric] for m in (self.learnt[key], *self.repeats.get(key, ())) if metric in m]

    def _acquisition(
        self,
        model: Model,
        outcomes: Sequence[Outcome],
        known: Container[str],
        baseline: Tensor,
        waiting: Tensor,
        seed: int,
    ) -> Callable[[Tensor], Tensor]:
        """BoTorch's, of (n, 1, d) candidates."""
        bounds = [
            _bound(i, outcome, side, bound)
            for i, outcome in enumerate(outcomes)
            if outcome.metric not in known
            for constraint in self.constraints
            if constraint.metric == outcome.metric
            for side, bound in ((1.0, constraint.upper), (-1.0, constraint.lower))
            if bound is not None
        ]
        count = len(self.objectives)
        sampler = get_sampler(model.posterior(baseline[:1]), torch.Size([SAMPLES]), seed=seed)
        options: dict[str, Any] = {
            "model": model,
            "X_baseline": baseline,
            "sampler": sampler,
            "constraints": bounds or None,
            "X_pending": waiting if len(waiting) else None,
            "prune_baseline": True,
        }
        if count == 1:
            objective = GenericMCObjective(lambda samples, X=None: samples[..., 0])
            return logei.qLogNoisyExpectedImprovement(objective=objective, **options)
        worst = default_reference([self.told[key] for key in self.told_inside], self.objectives)
        return multi_logei.qLogNoisyExpectedHypervolumeImprovement(
            ref_point=[outcome.scaled(worst[outcome.metric]) for outcome in outcomes[:count]],
            objective=IdentityMCMultiOutputObjective(outcomes=list(range(count))),
            **options,
        )


def _outcome(metric: str, sign: float, values: np.ndarray) -> Outcome:
    return Outcome(metric, sign, float(sign * values.mean()), float(values.std()) or 1.0)


def _bound(place: int, outcome: Outcome, side: float, bound: float) -> Callable[[Tensor], Tensor]:
    """What is at most 0 where samples of the outcomes (..., m) meet an upper (side 1) or lower (-1) bound."""
    return lambda samples: side * (outcome.metric_of(samples[..., place]) - bound / outcome.spread)


def _exact(x: Tensor, column: int, low: float, span: float) -> Tensor:
    """(...,) values of a known metric, from the models' inputs (..., d)."""
    logarithms = x[..., column] * span + low
    return logarithms.sign() * logarithms.abs().expm1()


def _known_model(outcome: Outcome, column: int, low: float, span: float) -> Model:
    return GenericDeterministicModel(lambda x: outcome.scaled(_exact(x, column, low, span))[..., None])


def _process(x: Tensor, values: Tensor, categories: list[int]) -> SingleTaskGP:
    """BoTorch's process, fitted: x (n, d), values (n,)."""
    options: dict[str, Any] = {"cat_dims": categories} if categories else {}
    kind = MixedSingleTaskGP if categories else SingleTaskGP
    process = kind(x, values[:, None], outcome_transform=None, **options)
    likelihood = ExactMarginalLogLikelihood(process.likelihood, process)
    with contextlib.suppress(ModelFittingError):  # then it stays as it was begun with
        fit_gpytorch_mll(likelihood, optimizer_kwargs={"options": {"ftol": TOLERANCE}})
    return process


@contextlib.contextmanager
def _alone(seed: int) -> Iterator[None]:
    """Torch's random numbers are ours and then again as they were; BoTorch's advice to programmers goes unheard."""
    multi_logei._load_attempted = True  # to have compiled its kernel
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(seed)
        yield
