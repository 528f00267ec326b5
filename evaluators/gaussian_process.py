"""Gaussian-process regression over numbers and categories, with hyperparameters by maximum a posteriori."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeAlias

import numpy as np
import torch

from .hyperparameters import hyperparameters
from .inputs import Inputs

Points: TypeAlias = tuple[torch.Tensor, torch.Tensor, torch.Tensor]  # (numbers, values elsewhere, categories)

JITTER = 1e-8
MOST = 400  # points that hyperparameters are fitted to; further ones are only conditioned on
CHUNK = 2000  # points that are predicted at once


class Kernel:
    """Covariance of two points x, y with numbers x_j and categories x_g; every amplitude and length is learnt.

    ::

        constant + sum_j a_j x_j y_j + sum_j s_j M(|x_j - y_j| / t_j)        a line and a curve in each number
        + sum_g b_g [x_g = y_g]                                             an offset for each category
        + sum_g [x_g = y_g] sum_j (c_j x_j y_j + d_j M(|x_j - y_j| / t_j))  a line and a curve for each category
        + m M(sqrt(sum_j (x_j - y_j)^2 / l_j^2 + sum_g [x_g != y_g] / l_g^2))    the rest
        + o mean_i z_i w_i                                                  what is known from elsewhere

    with M the Matern kernel of order 5/2. The parameters are logarithms, so that a normal prior on each is a log-normal
    one on the number. Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006, chapters 4 and 5; additive
    terms: Duvenaud, Nickisch, Rasmussen, Additive Gaussian processes, 2011.

    Args:
        numbers, categories: how many.
        amplitude: how far the values are expected to vary.
        others: the first so many numbers (beside `numbers`) are z, the standardised values of the same points elsewhere.
        spread: how far values vary there.
        noise: mean and standard deviation of the normal prior on the logarithm of the noise's variance; None is the usual one.
    """

    def __init__(
        self,
        numbers: int,
        categories: int,
        amplitude: float = 1.0,
        others: int = 0,
        spread: float = 1.0,
        noise: tuple[float, float] | None = None,
    ) -> None:
        self.numbers, self.categories, self.others = numbers, categories, others
        self.priors = hyperparameters(numbers, categories, amplitude, others, spread, noise)
        self.size = sum(count for count, _, _ in self.priors.values())

    def prior(self) -> tuple[torch.Tensor, torch.Tensor]:
        """(means, standard deviations) of all parameters."""
        rows = [(mean, sd) for count, mean, sd in self.priors.values() for _ in range(count)]
        means, deviations = np.array(rows).T
        return torch.from_numpy(means.copy()), torch.from_numpy(deviations.copy())

    def prior_covariance(self, inputs: Inputs) -> tuple[np.ndarray, float]:
        """(covariance (n, n), standard deviation of a measurement) at the centre of the priors."""
        means, points = self.prior()[0], self.points(inputs)
        return self(means, points, points).numpy(), float(np.exp(means[0] / 2))

    def split(self, parameters: torch.Tensor) -> dict[str, torch.Tensor]:
        """Name -> the numbers whose logarithms the parameters are."""
        counts = [count for count, _, _ in self.priors.values()]
        return {name: part.exp() for name, part in zip(self.priors, parameters.split(counts))}

    def points(self, inputs: Inputs) -> Points:
        """The inputs as tensors."""
        numbers = torch.from_numpy(np.asarray(inputs.numbers, np.float64))
        categories = torch.from_numpy(np.asarray(inputs.categories, np.int64))
        return numbers[:, self.others :], numbers[:, : self.others], categories

    def __call__(self, parameters: torch.Tensor, a: Points, b: Points) -> torch.Tensor:
        """(n, m) covariances of the n points `a` with the m points `b`."""
        p = self.split(parameters)
        (xa, za, ca), (xb, zb, cb) = a, b
        k = p["constant"] + (xa * p["linear"]) @ xb.T
        trend = (xa * p["category_linear"]) @ xb.T if self.categories else None
        for j in range(self.numbers):
            curve = _matern(((xa[:, j, None] - xb[None, :, j]) / p["curve_length"][j]) ** 2)
            k = k + p["curve"][j] * curve
            if self.categories:
                trend = trend + p["category_curve"][j] * curve
        scaled_a, scaled_b = xa / p["length"], xb / p["length"]
        squared = (scaled_a**2).sum(1)[:, None] + (scaled_b**2).sum(1) - 2 * scaled_a @ scaled_b.T
        if self.categories:
            hot_a, hot_b = _one_hot(ca, cb)

            def matches(weights: torch.Tensor) -> torch.Tensor:
                """(n, m) sums of the weights of the categories that two points share."""
                return (hot_a * weights[:, None]).flatten(1) @ hot_b.flatten(1).T

            k = k + matches(p["offset"])
            if self.numbers:
                k = k + matches(torch.ones_like(p["offset"])) * trend
            squared = squared + (p["category_length"] ** -2).sum() - matches(p["category_length"] ** -2)
        if self.others:
            k = k + p["elsewhere"] * (za @ zb.T) / self.others
        return k + p["matern"] * _matern(squared)

    def diagonal(self, parameters: torch.Tensor, a: Points) -> torch.Tensor:
        """(n,) variances of the n points."""
        p = self.split(parameters)
        x, z, _ = a
        k = p["constant"] + x**2 @ p["linear"] + p["curve"].sum() + p["matern"]
        if self.categories:
            k = k + p["offset"].sum()
            k = k + self.categories * (x**2 @ p["category_linear"] + p["category_curve"].sum())
        return k + (p["elsewhere"] * (z**2).mean(1) if self.others else 0)


def most_telling(covariance: np.ndarray, count: int, noise: float, measured: Sequence[int] = ()) -> list[int]:
    """Points that, measured one after another, each leave the least variance over all points.

    Greedy A-optimal design for a Gaussian process; it needs no measurement, so all can be chosen at once. Cohn, Neural
    network exploration using optimal experiment design, 1996; Seo et al., Gaussian process regression: active data
    selection, 2000.

    Args:
        covariance: (n, n) prior covariance.
        noise: standard deviation of a measurement.
        measured: points that are measured whatever is chosen.
    """
    left = covariance.copy()
    taken: list[int] = []

    def take(point: int) -> None:
        nonlocal left
        taken.append(point)
        left = left - np.outer(left[point], left[point]) / (left[point, point] + noise**2)

    for point in measured:
        take(point)
    while len(taken) < min(len(measured) + count, len(left)):
        gain = (left**2).sum(0) / (left.diagonal() + noise**2)
        gain[taken] = -1
        take(int(gain.argmax()))
    return taken[len(measured) :]


def _matern(squared: torch.Tensor) -> torch.Tensor:
    """Matern kernel of order 5/2 at squared distances."""
    distance = (5 * squared.clamp(min=1e-12)).sqrt()  # the root has no slope at 0
    return (1 + distance + distance**2 / 3) * torch.exp(-distance)


def _one_hot(a: torch.Tensor, b: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Categories (n, g), (m, g) as (n, g, levels), (m, g, levels) of zeros and ones."""
    levels = int(max(a.max(), b.max())) + 2  # -1 is a level
    return tuple(torch.nn.functional.one_hot(c + 1, levels).double() for c in (a, b))


class GaussianProcess:
    """The posterior given some values; `fit` finds the hyperparameters, the constructor only conditions on data.

    Args:
        inputs, values: the n points and their (n,) values.
        parameters: of the kernel, the noise's variance first.
        others: how many of the numbers are values elsewhere.
        counts: (n,) of how many measurements each value is the mean; None where all are of one.
    """

    def __init__(
        self,
        inputs: Inputs,
        values: np.ndarray,
        parameters: np.ndarray,
        others: int = 0,
        counts: np.ndarray | None = None,
    ) -> None:
        self.inputs, self.values, self.parameters = inputs, np.asarray(values, float), np.asarray(parameters, float)
        self.counts = np.ones(len(inputs)) if counts is None else np.asarray(counts, float)
        self.kernel = Kernel(inputs.numbers.shape[1] - others, inputs.categories.shape[1], others=others)
        self._points = self.kernel.points(inputs)
        self._theta = torch.from_numpy(self.parameters)
        with torch.no_grad():
            covariance = _covariance(self.kernel, self._theta, self._points, torch.from_numpy(self.counts))
            self._cholesky = torch.linalg.cholesky(covariance)
            self._weights = torch.cholesky_solve(torch.from_numpy(self.values)[:, None], self._cholesky)

    @classmethod
    def fit(
        cls,
        inputs: Inputs,
        values: np.ndarray,
        amplitude: float = 1.0,
        others: int = 0,
        spread: float = 1.0,
        noise: tuple[float, float] | None = None,
        counts: np.ndarray | None = None,
    ) -> GaussianProcess:
        """Hyperparameters at the maximum of their posterior that L-BFGS finds from the prior's centre.

        Args:
            amplitude, others, spread, noise: of `Kernel`.
            counts: of the constructor.
        """
        from scipy.optimize import minimize

        kernel = Kernel(inputs.numbers.shape[1] - others, inputs.categories.shape[1], amplitude, others, spread, noise)
        some = np.random.default_rng(0).permutation(len(inputs))[:MOST]
        points, target = kernel.points(inputs.rows(some)), torch.from_numpy(np.asarray(values, float)[some])
        measurements = torch.from_numpy((np.ones(len(inputs)) if counts is None else np.asarray(counts, float))[some])
        means, deviations = kernel.prior()

        def loss(theta: np.ndarray) -> tuple[float, np.ndarray]:
            parameters = torch.tensor(theta, requires_grad=True)
            try:
                cholesky = torch.linalg.cholesky(_covariance(kernel, parameters, points, measurements))
            except torch.linalg.LinAlgError:
                return 1e10, np.zeros_like(theta)
            half = torch.linalg.solve_triangular(cholesky, target[:, None], upper=False)
            value = 0.5 * (half**2).sum() + cholesky.diagonal().log().sum()
            value = value + 0.5 * (((parameters - means) / deviations) ** 2).sum()
            value.backward()
            return value.item(), parameters.grad.numpy()

        found = minimize(loss, means.numpy(), jac=True, method="L-BFGS-B", bounds=[(-14, 8)] * kernel.size)
        return cls(inputs, values, found.x, others, counts)

    def predict(self, inputs: Inputs) -> tuple[np.ndarray, np.ndarray]:
        """(mean, standard deviation) of new measurements at n points, each (n,), noise included."""
        means, deviations = [], []
        with torch.no_grad():
            for points in self._chunks(inputs):
                across = self.kernel(self._theta, points, self._points)
                half = torch.linalg.solve_triangular(self._cholesky, across.T, upper=False)
                variance = self.kernel.diagonal(self._theta, points) - (half**2).sum(0) + self._theta[0].exp()
                means.append((across @ self._weights)[:, 0].numpy())
                deviations.append(variance.clamp(min=0).sqrt().numpy())
        return np.concatenate(means), np.concatenate(deviations)

    def mean(self, inputs: Inputs) -> np.ndarray:
        """(n,) the means of `predict` alone, for a fraction of its time."""
        with torch.no_grad():
            parts = [
                (self.kernel(self._theta, points, self._points) @ self._weights)[:, 0].numpy()
                for points in self._chunks(inputs)
            ]
        return np.concatenate(parts)

    def _chunks(self, inputs: Inputs) -> Iterator[Points]:
        for at in range(0, max(1, len(inputs)), CHUNK):
            yield self.kernel.points(inputs.rows(slice(at, at + CHUNK)))

    def leave_one_out(self) -> tuple[np.ndarray, np.ndarray]:
        """(mean, standard deviation) for every point from all others, at the same hyperparameters.

        Rasmussen and Williams, equations 5.10 to 5.12.
        """
        inverse = torch.cholesky_inverse(self._cholesky).diagonal().numpy()
        return self.values - self._weights[:, 0].numpy() / inverse, inverse**-0.5


def _covariance(kernel: Kernel, parameters: torch.Tensor, points: Points, counts: torch.Tensor) -> torch.Tensor:
    return kernel(parameters, points, points) + torch.diag(parameters[0].exp() / counts + JITTER)
