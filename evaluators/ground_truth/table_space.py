"""The space that holds exactly the architectures of a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from search_spaces import Architecture, InputError, SearchSpace
from search_spaces.space import Rng, generator

NEIGHBOURS = 8  # architectures of a table that count as the neighbours of one


class _Holds:
    """The rule of a space that holds some architectures only."""

    def __init__(self, architectures: Sequence[Architecture]) -> None:
        self.keys = {architecture.key for architecture in architectures}

    def __call__(self, values: Mapping[str, Any]) -> bool:
        return isinstance(values, Architecture) and values.key in self.keys


class TableSpace(SearchSpace):
    """Exactly the architectures of a table, as networks of the space that they are of.

    They are too few among the combinations of their values for random draws and changes of single choices to meet any. So
    draws are of the table, and the neighbours of an architecture are those that differ from it in fewest choices.
    """

    def __init__(self, whole: SearchSpace, architectures: Sequence[Architecture]) -> None:
        super().__init__(whole.name, whole.choices, valid=_Holds(architectures))
        self._origin = whole
        self.family, self.topology_choices = whole.family, whole.topology_choices  # type: ignore[misc]
        if hasattr(whole, "lower_values"):
            self.lower_values = whole.lower_values
        self._listed = [architecture.codes for architecture in architectures]

    @cached_property
    def held(self) -> list[Architecture]:
        """The architectures, of a restricted space those that are left."""
        whole = [Architecture(self.unrestricted, codes) for codes in self._listed]
        return [self.adopt(a) for a in whole if all(a[name] in self[name].values for name in a)]

    @cached_property
    def _codes(self) -> np.ndarray:
        return self.code_matrix(self.held)

    @cached_property
    def size(self) -> int:
        return len(self.held)

    @property
    def size_is_exact(self) -> bool:
        return True

    def enumerate(self) -> Iterator[Architecture]:
        return iter(self.held)

    def sample(self, rng: Rng) -> Architecture:
        self._check_any()
        return self.held[int(generator(rng).integers(len(self.held)))]

    def mutate(self, architecture: Architecture, rng: Rng, changes: float = 1.5) -> Architecture:
        """One of the nearest architectures, however many `changes` it is away."""
        near = self.neighbours(architecture, rng)
        return near[int(generator(rng).integers(len(near)))] if near else architecture

    def crossover(self, first: Architecture, second: Architecture, rng: Rng) -> Architecture:
        """The architecture nearest to a child of the two."""
        self._check_any()
        one, other = self.code_matrix([first, second])
        child = np.where(generator(rng).random(len(one)) < 0.5, one, other)
        return self.held[int((self._codes != child).sum(1).argmin())]

    def neighbours(self, architecture: Architecture, rng: Rng) -> list[Architecture]:
        codes = self.code_matrix([self.adopt(architecture)])
        different = (self._codes != codes).sum(1)
        order = np.argsort(different, kind="stable")
        return [self.held[i] for i in order if different[i]][:NEIGHBOURS]

    def _check_any(self) -> None:
        if not self.held:
            raise InputError(f"space {self.name!r}: its restrictions leave no architecture of the table")
