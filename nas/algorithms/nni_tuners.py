"""NNI's tuners behind our protocol. They optimise one number, so every ask has one of its own, as in ParEGO.

    weights drawn for the ask -> every result one number: augmented Tchebycheff of the normalised objectives
    a tuner fed with all results under that number -> what it generates is asked

What differs from an NNI experiment:
    - The number changes from ask to ask, so the tuner's state is made anew from the results, in the order of telling.
    - Every choice is an NNI `choice`. An inactive one is left out of what TPE learns from; for evolution, which needs a
      value, it is a random one. What a tuner generates for a choice that turns out inactive is ignored.
    - What is generated again or not allowed is generated anew. NNI's own deduplication would walk a grid instead.
    - Failed and rejected architectures are left out; results that break a constraint rank after all others.

Sources: J. Knowles, "ParEGO: a hybrid algorithm with on-line landscape approximation for expensive multiobjective
optimization problems", IEEE TEC 10(1), 2006; J. Bergstra et al., "Algorithms for hyper-parameter optimization", NeurIPS
2011; E. Real et al., "Large-scale evolution of image classifiers", ICML 2017; NNI: https://github.com/microsoft/nni.
"""

from __future__ import annotations

import contextlib
import logging
import random
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from nni.algorithms.hpo.evolution_tuner import EvolutionTuner, Individual
from nni.algorithms.hpo.tpe_tuner import TpeTuner

from search_spaces import Architecture, InputError

from ..objectives import points, violation
from .algorithm import Algorithm

DRAWS = 32  # parameters generated for an ask before a random draw
AUGMENTATION = 0.05  # Knowles's rho: the share of the sum beside the maximum

logging.getLogger("nni.tuner.tpe").setLevel(logging.WARNING)  # it would print the seed of every ask


class NNITuner(Algorithm):
    """Asks what a tuner generates for a random weighting of the objectives."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._search_space = {
            choice.name: {"_type": "choice", "_value": list(range(len(choice.values)))} for choice in self.space.choices
        }

    def _propose(self, rng: np.random.Generator) -> Architecture | None:
        told = self.told_inside
        generate = self._generator([self.inside[key] for key in told], self._losses(told, rng), rng)
        if generate is None:
            return self.random_candidate(rng)
        for _ in range(DRAWS):
            codes = generate()
            values = {choice.name: choice.values[codes[choice.name]] for choice in self.space.choices}
            with contextlib.suppress(InputError):
                found, _ = self.candidates([self.space.project(values)])
                if found:
                    return found[0]
        return self.random_candidate(rng)

    def _generator(
        self, architectures: list[Architecture], losses: np.ndarray, rng: np.random.Generator
    ) -> Callable[[], dict[str, int]] | None:
        """What generates choice -> position of its value; None as long as random draws are due."""
        raise NotImplementedError

    def _losses(self, told: list[str], rng: np.random.Generator) -> np.ndarray:
        """(n,) augmented Tchebycheff values under random weights; behind all of them those that break a constraint."""
        weights = rng.dirichlet(np.ones(len(self.objectives)))
        if not told:
            return np.zeros(0)
        metrics = [self.told[key] for key in told]
        values = points(metrics, self.objectives)
        span = np.ptp(values, axis=0)
        weighted = weights * (values - values.min(axis=0)) / np.where(span > 0, span, 1)
        losses = weighted.max(axis=1) + AUGMENTATION * weighted.sum(axis=1)
        broken = np.array([float(violation(m, self.constraints)) for m in metrics])
        return np.where(broken > 0, losses.max() + broken, losses)


class NNITPE(NNITuner):
    """NNI's tree-structured Parzen estimators with its defaults; pending asks count as good as the best, NNI's lie."""

    def _generator(
        self, architectures: list[Architecture], losses: np.ndarray, rng: np.random.Generator
    ) -> Callable[[], dict[str, int]] | None:
        tuner = TpeTuner("minimize", seed=int(rng.integers(2**31)))
        tuner.update_search_space(self._search_space)
        tuner.dedup = lambda parameters: parameters
        # The tuner's own import of data leaves the liar without results.
        tuner._running_params = dict(enumerate(map(self._parameters, architectures)))
        for i, loss in enumerate(losses):
            tuner.receive_trial_result(i, None, float(loss))
        tuner._running_params = dict(enumerate(map(self._parameters, self.pending)))

        def generate() -> dict[str, int]:
            codes = tuner.generate_parameters(-1)
            tuner.trial_end(-1, False)
            return codes

        return generate

    def _parameters(self, architecture: Architecture) -> dict[tuple[str], int]:
        return {(name,): self.space[name].index(value) for name, value in architecture.items()}


class NNIEvolution(NNITuner):
    """NNI's evolution: of a random pair the worse dies and a mutation of the better is asked.

    The results are replayed for every ask: where the population is full, the tuner generates, so that one dies, and
    the next result comes in.

    Args:
        population_size: results that breed. NNI's own default is 32; this is that of our `evolution`.
    """

    def __init__(self, *args: Any, population_size: int = 24, **options: Any) -> None:
        super().__init__(*args, **options)
        if population_size < 2:
            raise InputError(f"population_size must be at least 2, not {population_size}")
        self.population_size = population_size
        self._tuner = EvolutionTuner("minimize", population_size)
        self._tuner.update_search_space(self._search_space)
        self._sizes = [len(choice.values) for choice in self.space.choices]

    def _generator(
        self, architectures: list[Architecture], losses: np.ndarray, rng: np.random.Generator
    ) -> Callable[[], dict[str, int]] | None:
        if len(architectures) < self.population_size:
            return None
        tuner, seed = self._tuner, int(rng.integers(2**31))
        tuner.random_state = np.random.RandomState(seed)
        codes = self.space.code_matrix(architectures)
        codes = np.where(codes >= 0, codes, rng.integers(self._sizes, size=codes.shape))
        tuner.population = []
        with seeded(seed):
            for i, (row, loss) in enumerate(zip(codes.tolist(), losses)):
                if i >= self.population_size:
                    tuner.generate_parameters(i)
                config = {
                    choice.name: {"_index": code, "_value": code} for choice, code in zip(self.space.choices, row)
                }
                tuner.running_trials[i] = Individual(config)
                tuner.receive_trial_result(i, None, float(loss))
        population = tuner.population
        seeds = iter(range(seed + 1, seed + 1 + DRAWS))

        def generate() -> dict[str, int]:
            tuner.population = list(population)  # a draw again is from the same parents
            with seeded(next(seeds)):
                return tuner.generate_parameters(-1)

        return generate


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Python's global generator starts from `seed` inside, and is what it was after; NNI's evolution draws from it."""
    state = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(state)
