"""Which architectures to measure: those that tell a latency predictor most about all the others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from search_spaces import Architecture, SearchSpace

from .predictor import LatencyPredictor, prior_covariance

POOL = 2000  # architectures that a choice is made among


def most_telling(covariance: np.ndarray, count: int, noise: float) -> list[int]:
    """Points that, measured one after another, each leave the least variance over all points.

    Greedy A-optimal design for a Gaussian process; it needs no measurement, so all can be chosen at once. Cohn, Neural
    network exploration using optimal experiment design, 1996; Seo et al., Gaussian process regression: active data
    selection, 2000.

    Args:
        covariance: (n, n) prior covariance.
        noise: standard deviation of a measurement.
    """
    left = covariance.copy()
    chosen: list[int] = []
    while len(chosen) < min(count, len(left)):
        variance = left.diagonal() + noise**2
        gain = (left**2).sum(0) / variance
        gain[chosen] = -1
        best = int(gain.argmax())
        chosen.append(best)
        left -= np.outer(left[best], left[best]) / variance[best]
    return chosen


def select(
    architectures: Sequence[Architecture],
    count: int,
    num_classes: int = 80,
    adapt_from: Sequence[LatencyPredictor] = (),
) -> list[int]:
    """Positions of the `count` architectures (all of one space) to measure, the most telling first."""
    covariance, noise = prior_covariance(architectures, num_classes, adapt_from)
    return most_telling(covariance, count, noise)


def choose(
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
