"""Steady-state NSGA-II: every result enters the population at once, there is no generation to wait for.

Source: K. Deb et al., "A fast and elitist multiobjective genetic algorithm: NSGA-II", IEEE TEC 6(2), 2002; steady state
as in J. Durillo et al., "On the effect of the steady-state selection scheme in multi-objective genetic algorithms",
EMO 2009.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from search_spaces import Architecture, InputError

from .algorithm import Algorithm, signed_logarithm

CROSSOVER = 0.9  # share of offspring with two parents
OFFSPRING = 16  # bred for every ask, of which one is chosen; of many more it would always be an extreme one


class Evolution(Algorithm):
    """Steady-state NSGA-II with preselection of offspring by what is known about them without an evaluation.

    Args:
        population_size: how many of the best results breed.
        initial: architectures known before breeding starts; until then they are drawn at random.
    """

    name = "evolution"

    def __init__(self, *args: Any, population_size: int = 24, initial: int = 6, **options: Any) -> None:
        super().__init__(*args, **options)
        if population_size < 2 or initial < 1:
            raise InputError(
                f"population_size must be at least 2 and initial at least 1, not {population_size}, {initial}"
            )
        self.population_size, self.initial = population_size, initial

    def _propose(self, rng: np.random.Generator) -> Architecture | None:
        population = self.best(self.population_size) if len(self.known) >= self.initial else []
        if population:
            found, estimates = self.candidates(self._child(population, rng) for _ in range(OFFSPRING))
            if found:
                return found[self._loneliest(found, estimates)]
        found, estimates = self.random_candidates(rng, many=True)
        return found[self._loneliest(found, estimates)] if found else None

    def _child(self, population: Sequence[Architecture], rng: np.random.Generator) -> Architecture:
        def parent() -> Architecture:
            # the population is sorted, so the better of two is the one that comes first
            return population[int(rng.integers(len(population), size=2).min())]

        child = parent()
        if rng.random() < CROSSOVER:
            child = self.space.crossover(child, parent(), rng)
        return self.space.mutate(child, rng)

    def _loneliest(self, candidates: Sequence[Architecture], estimates: Mapping[str, np.ndarray]) -> int:
        """Index of the candidate farthest from everything known in the logarithms of the estimated metrics.

        Offspring of good parents differ in what they cost; taking the one where the least has been tried spreads the
        evaluations along the front. Without estimates it is the first.
        """
        if not estimates or not self.inside:
            return 0
        known = self._estimate(list(self.inside.values()))
        new, old = (
            np.stack([signed_logarithm(values[name]) for name in estimates], axis=1) for values in (estimates, known)
        )
        scale = np.ptp(np.concatenate([new, old]), axis=0)
        scale[scale == 0] = 1
        distance = np.linalg.norm((new[:, None] - old[None]) / scale, axis=2).min(axis=1)
        return int(distance.argmax())


ALGORITHM = Evolution
