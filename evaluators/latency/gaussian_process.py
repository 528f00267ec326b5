"""Gaussian-process regression over numbers and categories, with hyperparameters by maximum a posteriori."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

JITTER = 1e-8


@dataclass(frozen=True)
class Inputs:
    """n points: numbers (n, d), standardised, and categories (n, g), as integers."""

    numbers: np.ndarray
    categories: np.ndarray

    def __len__(self) -> int:
        return len(self.numbers)

    def rows(self, index) -> Inputs:
        return Inputs(self.numbers[index], self.categories[index])

    def tensors(self):
        return torch.from_numpy(np.asarray(self.numbers, np.float64)), torch.from_numpy(
            np.asarray(self.categories, np.int64)
        )


class Kernel:
    """Covariance of two points x, y with numbers x_j and categories x_g; every amplitude and length is learnt.

    ::

        constant + sum_j a_j x_j y_j + sum_j s_j M(|x_j - y_j| / t_j)        a line and a curve in each number
        + sum_g b_g [x_g = y_g]                                             an offset for each category
        + sum_g [x_g = y_g] sum_j (c_j x_j y_j + d_j M(|x_j - y_j| / t_j))  a line and a curve for each category
        + m M(sqrt(sum_j (x_j - y_j)^2 / l_j^2 + sum_g [x_g != y_g] / l_g^2))    the rest

    with M the Matern kernel of order 5/2. The parameters are logarithms, so that a normal prior on each is a log-normal
    one on the number. Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006, chapters 4 and 5; additive
    terms: Duvenaud, Nickisch, Rasmussen, Additive Gaussian processes, 2011.
    """

    def __init__(self, numbers: int, categories: int, amplitude: float = 1.0):
        self.numbers, self.categories = numbers, categories
        scale = 2 * np.log(amplitude)
        # name -> (how many, mean and standard deviation of the prior on the logarithm)
        by_category = numbers if categories else 0
        self.priors = {
            "noise": (1, np.log(0.03**2), 1.5),
            "constant": (1, scale + 0.0, 1.5),
            "linear": (numbers, scale + np.log(0.3), 1.5),
            "curve": (numbers, scale + np.log(0.02), 1.5),
            "curve_length": (numbers, np.log(1.0), 0.7),
            "offset": (categories, scale + np.log(0.1), 1.5),
            "category_linear": (by_category, scale + np.log(0.01), 1.5),
            "category_curve": (by_category, scale + np.log(0.005), 1.5),
            "matern": (1, scale + np.log(0.05), 1.5),
            "length": (numbers, np.log(2.0), 1.0),
            "category_length": (categories, np.log(1.5), 1.0),
        }
        self.size = sum(count for count, _, _ in self.priors.values())

    def prior(self) -> tuple[torch.Tensor, torch.Tensor]:
        """(means, standard deviations) of all parameters."""
        rows = [(mean, sd) for count, mean, sd in self.priors.values() for _ in range(count)]
        means, deviations = np.array(rows).T
        return torch.from_numpy(means.copy()), torch.from_numpy(deviations.copy())

    def split(self, parameters: torch.Tensor) -> dict[str, torch.Tensor]:
        counts = [count for count, _, _ in self.priors.values()]
        return {name: part.exp() for name, part in zip(self.priors, parameters.split(counts))}

    def __call__(self, parameters: torch.Tensor, a: tuple, b: tuple) -> torch.Tensor:
        p = self.split(parameters)
        (xa, ca), (xb, cb) = a, b
        k = p["constant"] + (xa * p["linear"]) @ xb.T
        trend = (xa * p["category_linear"]) @ xb.T if self.categories else None
        for j in range(self.numbers):
            curve = _matern(((xa[:, j, None] - xb[None, :, j]) / p["curve_length"][j]) ** 2)
            k = k + p["curve"][j] * curve
            if self.categories:
                trend = trend + p["category_curve"][j] * curve
        scaled_a, scaled_b = xa / p["length"], xb / p["length"]
        squared = (scaled_a**2).sum(1)[:, None] + (scaled_b**2).sum(1) - 2 * scaled_a @ scaled_b.T
        for g in range(self.categories):
            same = (ca[:, g, None] == cb[None, :, g]).double()
            k = k + same * (p["offset"][g] + trend)
            squared = squared + (1 - same) / p["category_length"][g] ** 2
        return k + p["matern"] * _matern(squared)

    def diagonal(self, parameters: torch.Tensor, a: tuple) -> torch.Tensor:
        p = self.split(parameters)
        x, _ = a
        k = p["constant"] + x**2 @ p["linear"] + p["curve"].sum() + p["matern"]
        if self.categories:
            trend = x**2 @ p["category_linear"] + p["category_curve"].sum()
            k = k + p["offset"].sum() + self.categories * trend
        return k


def _matern(squared: torch.Tensor) -> torch.Tensor:
    """Matern kernel of order 5/2 at squared distances."""
    distance = (5 * squared.clamp(min=1e-12)).sqrt()  # the root has no slope at 0
    return (1 + distance + distance**2 / 3) * torch.exp(-distance)


class GaussianProcess:
    """The posterior given some values; `fit` finds the hyperparameters, the constructor only conditions on data.

    Args:
        inputs, values: the n points and their (n,) values.
        parameters: of the kernel, the noise's variance first.
    """

    def __init__(self, inputs: Inputs, values: np.ndarray, parameters: np.ndarray):
        self.inputs, self.values, self.parameters = inputs, np.asarray(values, float), np.asarray(parameters, float)
        self.kernel = Kernel(inputs.numbers.shape[1], inputs.categories.shape[1])
        self._points = inputs.tensors()
        self._theta = torch.from_numpy(self.parameters)
        with torch.no_grad():
            covariance = _covariance(self.kernel, self._theta, self._points)
            self._cholesky = torch.linalg.cholesky(covariance)
            self._weights = torch.cholesky_solve(torch.from_numpy(self.values)[:, None], self._cholesky)

    @classmethod
    def fit(cls, inputs: Inputs, values: np.ndarray, amplitude: float = 1.0) -> GaussianProcess:
        """Hyperparameters at the maximum of their posterior that L-BFGS finds from the prior's centre.

        Args:
            amplitude: how far the values are expected to vary, in their own unit.
        """
        from scipy.optimize import minimize

        kernel = Kernel(inputs.numbers.shape[1], inputs.categories.shape[1], amplitude)
        points, target = inputs.tensors(), torch.from_numpy(np.asarray(values, float))
        means, deviations = kernel.prior()

        def loss(theta):
            parameters = torch.tensor(theta, requires_grad=True)
            try:
                cholesky = torch.linalg.cholesky(_covariance(kernel, parameters, points))
            except torch.linalg.LinAlgError:
                return 1e10, np.zeros_like(theta)
            half = torch.linalg.solve_triangular(cholesky, target[:, None], upper=False)
            value = 0.5 * (half**2).sum() + cholesky.diagonal().log().sum()
            value = value + 0.5 * (((parameters - means) / deviations) ** 2).sum()
            value.backward()
            return value.item(), parameters.grad.numpy()

        found = minimize(loss, means.numpy(), jac=True, method="L-BFGS-B", bounds=[(-14, 8)] * kernel.size)
        return cls(inputs, values, found.x)

    def predict(self, inputs: Inputs, deviation: bool = True) -> tuple[np.ndarray, np.ndarray | None]:
        """(mean, standard deviation) of new measurements at n points, noise included."""
        points = inputs.tensors()
        with torch.no_grad():
            across = self.kernel(self._theta, points, self._points)
            mean = (across @ self._weights)[:, 0].numpy()
            if not deviation:
                return mean, None
            half = torch.linalg.solve_triangular(self._cholesky, across.T, upper=False)
            variance = self.kernel.diagonal(self._theta, points) - (half**2).sum(0) + self._theta[0].exp()
        return mean, variance.clamp(min=0).sqrt().numpy()

    def leave_one_out(self) -> tuple[np.ndarray, np.ndarray]:
        """(mean, standard deviation) for every point from all others, at the same hyperparameters.

        Rasmussen and Williams, equations 5.10 to 5.12.
        """
        inverse = torch.cholesky_inverse(self._cholesky).diagonal().numpy()
        return self.values - self._weights[:, 0].numpy() / inverse, inverse**-0.5


def _covariance(kernel: Kernel, parameters: torch.Tensor, points: tuple) -> torch.Tensor:
    count = len(points[0])
    noise = parameters[0].exp() + JITTER
    return kernel(parameters, points, points) + noise * torch.eye(count, dtype=torch.float64)
