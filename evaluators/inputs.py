"""What models see of architectures: numbers and categories, as plain arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from search_spaces import Architecture


@dataclass(frozen=True)
class Inputs:
    """n points: numbers (n, d), standardised, and categories (n, g), as integers from -1 (none)."""

    numbers: np.ndarray
    categories: np.ndarray

    def __len__(self) -> int:
        return len(self.numbers)

    def rows(self, index: slice | np.ndarray) -> Inputs:
        """Some of the points."""
        return Inputs(self.numbers[index], self.categories[index])

    def joined(self, other: Inputs) -> Inputs:
        """These points, then those of `other`."""
        return Inputs(
            np.concatenate([self.numbers, other.numbers]), np.concatenate([self.categories, other.categories])
        )


def choice_inputs(architectures: Sequence[Architecture]) -> Inputs:
    """Architectures as their choices: numbers (logarithms where all values of a choice are positive) and categories.

    Numbers have zero mean and unit variance over the choice's values; an inactive one is at the mean.
    """
    space = architectures[0].space
    codes = space.code_matrix(architectures)
    numbers, categories = [], []
    for position, choice in enumerate(space.choices):
        if not choice.is_numeric or len(choice.values) < 2:
            categories.append(codes[:, position])
            continue
        values = np.array(choice.values, float)
        values = np.log(values) if (values > 0).all() else values
        values = np.append((values - values.mean()) / values.std(), 0.0)  # code -1 is the last
        numbers.append(values[codes[:, position]])
    count = len(architectures)
    return Inputs(
        np.stack(numbers, axis=1) if numbers else np.zeros((count, 0)),
        np.stack(categories, axis=1).astype(np.int64) if categories else np.zeros((count, 0), np.int64),
    )
