"""How noisy figures are that trainings give, and what can be said of a front in spite of it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

# What the accuracy of one and the same small detector, trained for some epochs with several seeds, usually deviates by.
USUAL = {"map50_95": 0.03, "map50": 0.04}
FREEDOM = 2  # degrees of freedom that a usual deviation is worth
NODES = 64  # of the integral over what an evaluation's true figures may be


@dataclass(frozen=True)
class Noise:
    """The standard deviation of a metric over trainings of the same architecture.

    Attributes:
        trainings, architectures: that it was estimated from: all trainings of the architectures that have two or more.
        measured: whether it was estimated at all; otherwise it is what is usual, or 0 where nothing is.
    """

    deviation: float
    trainings: int = 0
    architectures: int = 0
    measured: bool = True

    def error(self, trainings: int) -> float:
        """The standard error of a mean over so many trainings."""
        return self.deviation / math.sqrt(trainings)


def pooled(values: Iterable[Sequence[float]], usual: float | None) -> Noise:
    """The noise of a metric: its deviation within architectures, pooled over them and shrunk to a usual one.

    With s² the pooled variance of f degrees of freedom: sqrt((2 usual² + f s²) / (2 + f)), the scale of the posterior under a
    scaled inverse chi-square prior of 2 degrees of freedom (A. Gelman et al., Bayesian Data Analysis, 3rd edition, 2013,
    section 2.6).

    Args:
        values: of every architecture, those of its trainings.
        usual: the deviation that is expected beforehand. It stays, as one that is not measured, where there are no repeats and
            where all agree, as accuracies of 0 do. None: nothing is expected, and what agrees is exact.
    """
    groups = [np.asarray(group, float) for group in values if len(group) > 1]
    trainings, squares = sum(map(len, groups)), float(sum(((group - group.mean()) ** 2).sum() for group in groups))
    freedom = trainings - len(groups)
    if usual is None:
        return Noise(math.sqrt(squares / freedom) if freedom else 0.0, trainings, len(groups), freedom > 0)
    if not squares:
        return Noise(usual, trainings, len(groups), False)
    return Noise(math.sqrt((FREEDOM * usual**2 + squares) / (FREEDOM + freedom)), trainings, len(groups))


def differs(difference: float, error: float, other: float) -> bool:
    """Whether two means with these standard errors differ measurably: by 1.64 standard errors of their difference, beyond which
    a difference of 0 falls once in ten times."""
    return abs(difference) >= 1.64 * math.hypot(error, other) if error or other else difference != 0


def chance_dominated(means: np.ndarray, errors: np.ndarray, of: Iterable[int] | None = None) -> np.ndarray:
    """The probability that each of some results is in truth dominated by at least one of all.

    Every figure is normal about its mean, independently of the others, or exact where its error is 0. Given what the figures
    of one result are, the others dominate it or not independently of each other; over what they are is integrated at `NODES`
    quantiles, of several noisy objectives at a Latin hypercube of them (M. McKay et al., Technometrics 21(2), 1979).

    Args:
        means: (n, m) objectives, to be minimised.
        errors: (n, m) standard errors.
        of: the results that it is wanted of; None is all.

    Returns:
        (k,) probabilities.
    """
    count, dimensions = means.shape
    wanted = range(count) if of is None else list(of)
    middles = np.array([NormalDist().inv_cdf((i + 0.5) / NODES) for i in range(NODES)])
    rng = np.random.default_rng(0)
    nodes = np.stack([middles, *(rng.permutation(middles) for _ in range(dimensions - 1))], axis=1)
    spread = np.where(errors > 0, errors, 1)
    chances = np.empty(len(wanted))
    for row, i in enumerate(wanted):
        exact = errors == 0
        may = ((means <= means[i]) | ~exact | (errors[i] > 0)).all(1)  # the others are worse in something that is known
        may &= ~((means == means[i]) & exact & exact[i]).all(1)  # equal in all is not dominated
        may[i] = False
        if not may.any():
            chances[row] = 0.0
            continue
        truth = (means[i] + errors[i] * nodes)[:, None, :]
        better = np.where(exact[may], means[may] <= truth, normal_cdf((truth - means[may]) / spread[may]))
        chances[row] = 1 - (1 - better.prod(2)).prod(1).mean()
    return chances


def normal_cdf(values: np.ndarray) -> np.ndarray:
    """The standard normal distribution function, to 1e-7 (M. Abramowitz, I. Stegun, Handbook of Mathematical Functions, 26.2.17)."""
    size = np.abs(values)
    t = 1 / (1 + 0.2316419 * size)
    series = t * (0.319381530 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))))
    tail = np.exp(-(size**2) / 2) / math.sqrt(2 * math.pi) * series
    return np.where(values > 0, 1 - tail, tail)
