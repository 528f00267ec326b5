"""Local search on the front: architectures that differ from one of its members in a single choice.

Source: L. Paquete, M. Chiarandini, T. Stuetzle, "Pareto local optimum sets in the biobjective traveling salesman problem",
2004 (Pareto local search); C. White, S. Nolen, Y. Savani, "Exploring the loss landscape in neural architecture search",
UAI 2021 (local search is a strong baseline).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from search_spaces import Architecture, InputError

from ..objectives import front
from .algorithm import Algorithm


class LocalSearch(Algorithm):
    """A random new neighbour of a random member of the front; when none has one, a random draw.

    Args:
        initial: results before the front is looked at; until then architectures are drawn at random.
    """

    name = "local"

    def __init__(self, *args: Any, initial: int = 6, **options: Any) -> None:
        super().__init__(*args, **options)
        if initial < 1:
            raise InputError(f"initial must be at least 1, not {initial}")
        self.initial = initial

    def _propose(self, rng: np.random.Generator) -> Architecture | None:
        feasible = self.feasible
        if len(feasible) >= self.initial:
            members = [feasible[i] for i in front([self.told[key] for key in feasible], self.objectives)]
            for i in rng.permutation(len(members)):
                found, _ = self.candidates(self.space.neighbours(self.inside[members[i]], rng))
                if found:
                    return found[int(rng.integers(len(found)))]
        return self.random_candidate(rng)


ALGORITHM = LocalSearch
