"""What is believed of one objective: a Gaussian process about a trend, over results that may be noisy and repeated.

    y(x) = constant + slope * t(x) + process(x),   a result = y(x) + noise,   a mean of n results = y(x) + noise / sqrt(n)

with t what is known of the objective beforehand, the first of the inputs' numbers. The slope is normal about the usual one: its mean is
taken off here, and how far it may be from that is what the kernel has for values known from elsewhere (Rasmussen and Williams,
Gaussian Processes for Machine Learning, 2006, section 2.7). What is known beforehand and worth nothing is so unlearnt within a few
results.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np

from evaluators.inputs import Inputs

# From the values of an objective to the scale that it is modelled on, or back
Map: TypeAlias = Callable[[np.ndarray], np.ndarray]

FITTED = 150  # results, the latest, that tell the hyperparameters
REFIT = 1.25  # hyperparameters are found anew when there are so many times more results
WIDE = 8.0  # a positive objective whose values differ by more than this factor is modelled by its logarithm
UNSURE = 2.0  # usual deviation of the slope from the usual one
NOISE, DOUBT = (
    2 * np.log(0.1),
    2.0,
)  # of the logarithm of the noise's variance, in shares of the results': usual, and how surely


class Seen(NamedTuple):
    """What a process sees of the results, the pending asks (None where there are none) and the candidates."""

    told: Inputs
    pending: Inputs | None
    new: Inputs


class Belief(NamedTuple):
    """Values without noise: of the (n,) results, the (p,) pending asks, and the (c,) candidates with their deviations."""

    told: np.ndarray
    pending: np.ndarray
    mean: np.ndarray
    deviation: np.ndarray


class Scale(NamedTuple):
    """What an objective is modelled on, by name, and the way there and back."""

    name: str
    to: Map
    back: Map


PLAIN = Scale("plain", lambda v: v, lambda u: u)


def scale_of(values: np.ndarray) -> Scale:
    """The scale that an objective (to be minimised) of these values is modelled on."""
    sign = np.sign(values[0])
    size = np.abs(values)
    if (np.sign(values) == sign).all() and sign != 0 and size.max() > WIDE * size.min():
        return Scale("logarithm", lambda v: sign * np.log(sign * v), lambda u: sign * np.exp(sign * u))
    return PLAIN


class Process:
    """The Gaussian process of one objective.

    Args:
        slope: the usual one, of standardised values over t; 0 where nothing is known beforehand, and there is no t.
    """

    def __init__(self, slope: float = 0.0) -> None:
        self.slope, self.others = slope, int(slope != 0)
        self._parameters: dict[tuple[str, int, int], np.ndarray] = {}

    def believe(self, results: Sequence[np.ndarray], scale: Scale, seen: Seen, kept: np.ndarray, fewest: int) -> Belief:
        """What the results say, all on the scale.

        Args:
            results: of every architecture its evaluations' values, in the order of telling.
            kept: positions of the results that the process is conditioned on.
            fewest: results that hyperparameters are found from first.
        """
        from evaluators.gaussian_process import GaussianProcess

        counts = np.array([len(values) for values in results])
        means = np.array([values.mean() for values in results])
        mean, spread = means.mean(), max(means.std(), 1e-9)
        centre = self._trend(seen.told).mean()

        def trend(inputs: Inputs) -> np.ndarray:
            return self._trend(inputs) - centre

        left = (means - mean) / spread - trend(seen.told)
        parameters = self._hyperparameters(results, scale, seen.told, fewest)
        process = GaussianProcess(seen.told.rows(kept), left[kept], parameters, self.others, counts[kept])
        told, pending = process.mean(seen.told) + trend(seen.told), np.empty(0)
        if seen.pending is not None:
            believed = process.mean(seen.pending)
            pending = believed + trend(seen.pending)
            both = process.inputs.joined(seen.pending)
            certain = np.concatenate([process.counts, np.full(len(believed), 1.0)])
            process = GaussianProcess(
                both, np.concatenate([process.values, believed]), parameters, self.others, certain
            )
        value, deviation = process.predict(seen.new)
        deviation = np.sqrt(np.maximum(deviation**2 - np.exp(parameters[0]), 0))  # without the noise of measuring
        value = value + trend(seen.new)
        return Belief(mean + spread * told, mean + spread * pending, mean + spread * value, spread * deviation)

    def _trend(self, inputs: Inputs) -> np.ndarray:
        return self.slope * inputs.numbers[:, 0] if self.others else np.zeros(len(inputs))

    def _hyperparameters(self, results: Sequence[np.ndarray], scale: Scale, inputs: Inputs, fewest: int) -> np.ndarray:
        """The process's hyperparameters; they depend on the first results, what they were repeated and the scale that all results
        have now, not on when they were asked for, so that a rebuilt search has the same."""
        from evaluators.gaussian_process import GaussianProcess

        count = min(fewest, len(results))
        while count * REFIT <= len(results):
            count = int(np.ceil(count * REFIT))
        repeats = sum(map(len, results)) - len(results)
        if (scale.name, count, repeats) not in self._parameters:
            first = slice(max(0, count - FITTED), count)
            means = np.array([values.mean() for values in results[first]])
            spread = max(means.std(), 1e-9)
            trend = self._trend(inputs.rows(first))
            found = GaussianProcess.fit(
                inputs.rows(first),
                (means - means.mean()) / spread - trend + trend.mean(),
                others=self.others,
                spread=UNSURE,
                noise=noise_prior(results, spread),
                counts=np.array([len(values) for values in results[first]]),
            )
            self._parameters[scale.name, count, repeats] = found.parameters
        return self._parameters[scale.name, count, repeats]


def noise_prior(results: Sequence[np.ndarray], spread: float) -> tuple[float, float]:
    """(mean, standard deviation) of the logarithm of the noise's variance, in units of spread^2, as repeated results tell it.

    The logarithm of a variance pooled over d degrees of freedom is about normal (M. Bartlett, D. Kendall, "The statistical analysis
    of variance-heterogeneity and the logarithmic transformation", 1946), and is weighed against the usual one.
    """
    from scipy.special import polygamma, psi

    degrees = sum(len(values) - 1 for values in results)
    squares = sum(((values - values.mean()) ** 2).sum() for values in results)
    if not degrees or not squares > 0:
        return NOISE, DOUBT
    found = np.log(squares / degrees / spread**2) - psi(degrees / 2) + np.log(degrees / 2)
    usual, precision = DOUBT**-2, 1 / float(polygamma(1, degrees / 2))
    return (usual * NOISE + precision * found) / (usual + precision), (usual + precision) ** -0.5
