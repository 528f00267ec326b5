"""Aging evolution: the oldest results die, whatever they are worth; the best of a random few breeds.

Source: E. Real et al., "Regularized evolution for image classifier architecture search", AAAI 2019; of several objectives,
the best of a tournament is the one with the lowest non-dominated rank, then the least crowded.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from search_spaces import Architecture, InputError

from ..objectives import order
from .algorithm import Algorithm


class RegularizedEvolution(Algorithm):
    """Mutations of the best of `tournament` random results among the latest `population_size`.

    Args:
        initial: results before breeding starts; until then architectures are drawn at random.
    """

    name = "regularized"

    def __init__(
        self, *args: Any, population_size: int = 40, tournament: int = 8, initial: int = 10, **options: Any
    ) -> None:
        super().__init__(*args, **options)
        if min(population_size, tournament, initial) < 1:
            raise InputError(
                f"population_size, tournament and initial must be at least 1, not {population_size}, {tournament}, {initial}"
            )
        self.population_size, self.tournament, self.initial = population_size, tournament, initial

    def _propose(self, rng: np.random.Generator) -> Architecture | None:
        alive = self.feasible[-self.population_size :]
        if len(alive) >= self.initial:
            some = [alive[i] for i in rng.permutation(len(alive))[: self.tournament]]
            parent = self.inside[some[order([self.told[key] for key in some], self.objectives)[0]]]
            for _ in range(16):
                found, _ = self.candidates([self.space.mutate(parent, rng)])
                if found:
                    return found[0]
        return self.random_candidate(rng)


ALGORITHM = RegularizedEvolution
