"""Which architectures to measure: those that tell a latency predictor most about all the others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from search_spaces import Architecture, SearchSpace

from ..gaussian_process import most_telling
from .predictor import LatencyPredictor, prior_covariance

POOL = 2000  # architectures that a choice is made among


def select(
    architectures: Sequence[Architecture],
    count: int,
    num_classes: int = 80,
    adapt_from: Sequence[LatencyPredictor] = (),
) -> list[int]:
    """Positions of the `count` architectures (all of one space) to measure, the most telling first."""
    covariance, noise = prior_covariance(architectures, num_classes, adapt_from)
    return most_telling(covariance, count, noise)


def draw_telling(
    space: SearchSpace,
    count: int,
    seed: int = 0,
    num_classes: int = 80,
    adapt_from: Sequence[LatencyPredictor] = (),
) -> list[Architecture]:
    """`count` architectures of the space to measure, out of a random pool."""
    rng = np.random.default_rng(seed)
    pool = list({a.key: a for a in (space.sample(rng) for _ in range(max(POOL, 2 * count)))}.values())
    return [pool[i] for i in select(pool, count, num_classes, adapt_from)]
