"""Ask/tell search algorithms, one per file."""

from __future__ import annotations

from search_spaces import InputError
from search_spaces.errors import one_of

from .algorithm import Algorithm, SpaceExhausted
from .evolution import Evolution
from .random import RandomSearch

ALGORITHMS = {"random": RandomSearch, "evolution": Evolution}


def make_algorithm(name: str, space, objectives, **options) -> Algorithm:
    """The algorithm called `name`; `options` go to its constructor. InputError when there is none of that name."""
    if name not in ALGORITHMS:
        raise InputError(f"no algorithm {name!r}; there are {one_of(ALGORITHMS)}")
    return ALGORITHMS[name](space, objectives, **options)


__all__ = ["ALGORITHMS", "Algorithm", "Evolution", "RandomSearch", "SpaceExhausted", "make_algorithm"]
