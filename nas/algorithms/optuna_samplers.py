"""Optuna's samplers behind our protocol: TPE, NSGA-II and Gaussian processes, each for several objectives.

What differs from `study.optimize`:
    - The study holds the results in the order of telling, and every ask has a new sampler with a seed of its own; that
      way a search rebuilt from its record goes on as if it had never stopped. NSGA-II's generations are filled in that
      order too, and an ask never waits for one to be full.
    - An ordered number is suggested as its position, any other choice as a category, a conditional one only where it
      is active (TPE models it there; the other two draw it at random, as always where trials differ in parameters).
    - Pending asks are running trials, which TPE and the Gaussian processes keep away from; so are the draws of an ask that
      were repeats or not allowed, until the ask ends.
    - Failed and rejected architectures are left out, as Optuna leaves out failed trials. All others go in with how far they
      are from every bound, on either side of it: TPE and NSGA-II see what is beyond, the Gaussian processes model both.
    - Optuna 5 has the defaults that are used here: TPE, also for several objectives and for trials that run beside each other,
      and logEHVI with constraints.

Sources: T. Akiba et al., "Optuna: a next-generation hyperparameter optimization framework", KDD 2019; Y. Ozaki et al.,
"Multiobjective tree-structured Parzen estimator", JAIR 73, 2022; K. Deb et al., "A fast and elitist multiobjective
genetic algorithm: NSGA-II", IEEE TEC 6(2), 2002; S. Daulton, M. Balandat, E. Bakshy, "Differentiable expected
hypervolume improvement for parallel multi-objective Bayesian optimization", NeurIPS 2020.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import optuna
from optuna.distributions import CategoricalDistribution, IntDistribution
from optuna.samplers import BaseSampler, GPSampler, NSGAIISampler, TPESampler
from optuna.trial import TrialState, create_trial

from search_spaces import Architecture, InputError

from ..objectives import points
from .algorithm import Algorithm


class OptunaSampler(Algorithm):
    """Asks what a sampler suggests; where its suggestions are not new or not allowed, a random draw."""

    draws = 32  # suggestions tried for an ask

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._distributions = {
            choice.name: IntDistribution(0, len(choice.values) - 1)
            if choice.is_numeric
            else CategoricalDistribution(range(len(choice.values)))
            for choice in self.space.choices
        }
        verbosity = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(optuna.logging.WARNING)  # it would announce the study
        self._study = optuna.create_study(directions=["minimize"] * len(self.objectives))
        optuna.logging.set_verbosity(verbosity)
        self._finished = 0  # results that are in the study

    def _propose(self, rng: np.random.Generator) -> Architecture | None:
        self._finish()
        self._study.sampler = self._sampler(int(rng.integers(2**31)))
        for architecture in self.pending:
            self._study.add_trial(create_trial(state=TrialState.RUNNING, **self._parameters(architecture)))
        try:
            for _ in range(self.draws):
                found, _ = self.candidates(self._suggested(self._study.ask()))
                if found:
                    return found[0]
        finally:
            for trial in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
                self._study.tell(trial.number, state=TrialState.FAIL)
        return self.random_candidate(rng)

    def _sampler(self, seed: int) -> BaseSampler:
        """The sampler of one ask."""
        raise NotImplementedError

    def _attributes(self, position: int) -> dict[str, Any]:
        """What the sampler would have noted of the trial with the result at `position`."""
        return {}

    def _finish(self) -> None:
        """Take the results told since the last ask into the study."""
        told = self.told_inside
        for position in range(self._finished, len(told)):
            metrics = self.told[told[position]]
            trial = create_trial(
                values=points([metrics], self.objectives)[0].tolist(),
                constraints=self._distances(metrics),
                system_attrs=self._attributes(position),
                **self._parameters(self.inside[told[position]]),
            )
            self._study.add_trial(trial)
        self._finished = len(told)

    def _distances(self, metrics: Mapping[str, float]) -> dict[str, float]:
        """How far the metrics are beyond every bound, as a share of it; below 0 within it, 0 where they do not tell."""
        beyond = {}
        for constraint in self.constraints:
            value = metrics.get(constraint.metric)
            for side, bound in ((1, constraint.upper), (-1, constraint.lower)):
                if bound is not None:
                    name = f"{constraint.metric} {'<=' if side > 0 else '>='} {bound}"
                    beyond[name] = 0.0 if value is None else side * (value - bound) / (abs(bound) or 1)
        return beyond

    def _parameters(self, architecture: Architecture) -> dict[str, Any]:
        return {
            "params": {name: self.space[name].index(value) for name, value in architecture.items()},
            "distributions": {name: self._distributions[name] for name in architecture},
        }

    def _suggested(self, trial: optuna.Trial) -> list[Architecture]:
        """The architecture that the trial suggests, or nothing where the space does not allow it."""
        values: dict[str, Any] = {}
        for choice in self.space.choices:
            if all(parent in values and values[parent] in allowed for parent, allowed in choice.when.items()):
                if choice.is_numeric:
                    code = trial.suggest_int(choice.name, 0, len(choice.values) - 1)
                else:
                    code = trial.suggest_categorical(choice.name, range(len(choice.values)))
                values[choice.name] = choice.values[code]
        with contextlib.suppress(InputError):
            return [self.space.architecture(**values)]
        return []


class OptunaTPE(OptunaSampler):
    """Multi-objective tree-structured Parzen estimators, with Optuna's defaults."""

    def _sampler(self, seed: int) -> BaseSampler:
        return TPESampler(seed=seed)


class OptunaNSGA2(OptunaSampler):
    """Optuna's NSGA-II.

    Args:
        population_size: results of a generation. Optuna's own default, 50, leaves a short search little but random
            draws; this is that of our `evolution`.
    """

    def __init__(self, *args: Any, population_size: int = 24, **options: Any) -> None:
        super().__init__(*args, **options)
        if population_size < 2:
            raise InputError(f"population_size must be at least 2, not {population_size}")
        self.population_size = population_size

    def _sampler(self, seed: int) -> BaseSampler:
        sampler = NSGAIISampler(population_size=self.population_size, seed=seed)
        # Parents come in one order when they are selected and in another from Optuna's cache; always the second.
        sampler.get_parent_population(self._study, self._finished // self.population_size)
        return sampler

    def _attributes(self, position: int) -> dict[str, Any]:
        return {NSGAIISampler._get_generation_key(): position // self.population_size}


class OptunaGP(OptunaSampler):
    """Gaussian processes and expected hypervolume improvement, with Optuna's defaults.

    An ask takes up to seconds, most of all with hundreds of results. Optuna has no rules over several parameters, so
    where the space's own rule refuses much, many asks end in a random draw.
    """

    draws = 4  # each takes as long as the first

    def _sampler(self, seed: int) -> BaseSampler:
        return GPSampler(seed=seed, warn_independent_sampling=False)
