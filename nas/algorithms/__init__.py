"""Ask/tell search algorithms, one per file."""

from __future__ import annotations

from search_spaces import InputError
from search_spaces.errors import one_of

from .algorithm import Algorithm, SpaceExhausted
from .evolution import Evolution
from .local import LocalSearch
from .random import RandomSearch
from .regularized import RegularizedEvolution
from .surrogate import Surrogate

ALGORITHMS = {
    "random": RandomSearch,
    "evolution": Evolution,
    "regularized": RegularizedEvolution,
    "local": LocalSearch,
    "surrogate": Surrogate,
}


def make_algorithm(name: str, space, objectives, **options) -> Algorithm:
    """The algorithm called `name`; `options` go to its constructor. InputError when there is none of that name."""
    if name not in ALGORITHMS:
        raise InputError(f"no algorithm {name!r}; there are {one_of(ALGORITHMS)}")
    return ALGORITHMS[name](space, objectives, **options)


__all__ = ["ALGORITHMS", "Algorithm", "SpaceExhausted", "make_algorithm"]
