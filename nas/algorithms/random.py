"""Random search: the baseline that every other algorithm has to beat."""

from __future__ import annotations

import numpy as np

from search_spaces import Architecture

from .algorithm import Algorithm


class RandomSearch(Algorithm):
    """Uniform draws among what meets the constraints and is not known yet."""

    name = "random"

    def _propose(self, rng: np.random.Generator) -> Architecture | None:
        return self.random_candidate(rng)


ALGORITHM = RandomSearch
