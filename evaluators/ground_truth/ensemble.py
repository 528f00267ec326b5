"""A regression of some tens of points on some tens of numbers: linear, trees and a Gaussian process, over bootstrap samples."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..inputs import Inputs

if TYPE_CHECKING:
    from ..gaussian_process import GaussianProcess

MEMBERS = 10  # bootstrap samples
STRENGTHS = np.geomspace(0.1, 1e3, 17)  # of ridge regression on standardised numbers
JITTER = 1e-6  # of variance 1
CORRECTED = 0.5  # share of what trees find in the residuals of a line that is believed


class Ensemble:
    """Mean of members, each fitted to another bootstrap sample of n points with d numbers.

    A member is the mean of a ridge regression, whose residuals are corrected by gradient boosting, and of a Gaussian process
    (conditioned on the sample; its hyperparameters are those of all points).
    """

    def __init__(self, numbers: np.ndarray, values: np.ndarray, members: int = MEMBERS) -> None:
        from sklearn.ensemble import GradientBoostingRegressor
        from sklearn.linear_model import RidgeCV

        from ..gaussian_process import GaussianProcess

        self._centre, self._scale = numbers.mean(0), np.where(numbers.std(0) > 1e-9, numbers.std(0), 1.0)
        self._mean, self._spread = float(values.mean()), max(float(values.std()), 1e-9)
        x, y = self._standard(numbers), (values - self._mean) / self._spread
        self._process = GaussianProcess.fit(_inputs(x), y)
        rng = np.random.default_rng(0)
        samples = rng.integers(len(y), size=(members, len(y)))
        self._lines = [RidgeCV(STRENGTHS).fit(x[rows], y[rows]) for rows in samples]
        self._trees = [
            GradientBoostingRegressor(n_estimators=60, max_depth=2, subsample=0.7, random_state=seed).fit(
                x[rows], y[rows] - line.predict(x[rows])
            )
            for seed, (rows, line) in enumerate(zip(samples, self._lines))
        ]
        # processes of the same kernel differ in the weights of the points only: their kernel is computed once for all
        self._weights = np.stack([_weights(self._process, rows) for rows in samples], axis=1)

    def _standard(self, numbers: np.ndarray) -> np.ndarray:
        return (numbers - self._centre) / self._scale

    def members(self, numbers: np.ndarray) -> np.ndarray:
        """(members, n) what each member says of n points."""
        x = self._standard(numbers)
        lines = np.stack([line.predict(x) for line in self._lines])
        trees = np.stack([model.predict(x) for model in self._trees])
        processes = _covariance(self._process, x).dot(self._weights).T
        return self._mean + self._spread * (lines + CORRECTED * trees + processes) / 2

    def predict(self, numbers: np.ndarray) -> np.ndarray:
        """(n,) means over the members."""
        return self.members(numbers).mean(0)


def _inputs(x: np.ndarray) -> Inputs:
    return Inputs(x, np.zeros((len(x), 0), np.int64))


def _covariance(process: GaussianProcess, x: np.ndarray) -> np.ndarray:
    """(n, k) covariances of n points with the k points of a process."""
    import torch

    kernel = process.kernel
    with torch.no_grad():
        parameters = torch.from_numpy(process.parameters)
        return kernel(parameters, kernel.points(_inputs(x)), kernel.points(process.inputs)).numpy()


def _weights(process: GaussianProcess, rows: np.ndarray) -> np.ndarray:
    """(k,) weights of the k points of a process, were it conditioned on some of them, a point twice where it is there twice."""
    covariance = _covariance(process, process.inputs.numbers[rows])[:, rows]
    noise = np.exp(process.parameters[0]) + JITTER
    weights = np.linalg.solve(covariance + noise * np.eye(len(rows)), process.values[rows])
    return np.bincount(rows, weights, len(process.values))


def cross_validated(numbers: np.ndarray, values: np.ndarray, folds: int, members: int = 4) -> np.ndarray:
    """(n,) what ensembles say of points that they have not seen."""
    order = np.random.default_rng(0).permutation(len(values))
    result = np.empty(len(values))
    for part in np.array_split(order, min(folds, len(values))):
        rest = np.setdiff1d(order, part)
        result[part] = Ensemble(numbers[rest], values[rest], members).predict(numbers[part])
    return result


class Line:
    """y = a + b x + features c, by ridge regression in the features; `deviation` is that of the residuals."""

    def __init__(self, x: np.ndarray, y: np.ndarray, features: np.ndarray | None = None) -> None:
        from sklearn.linear_model import RidgeCV

        slope = float(np.cov(x, y, bias=True)[0, 1] / max(x.var(), 1e-9))
        self.slope, self.offset = slope, float(y.mean() - slope * x.mean())
        rest = y - self.offset - slope * x
        self.rest = None
        if features is not None:
            self.centre, self.scale = features.mean(0), np.where(features.std(0) > 1e-9, features.std(0), 1.0)
            self.rest = RidgeCV(STRENGTHS).fit((features - self.centre) / self.scale, rest)
            rest = rest - self.rest.predict((features - self.centre) / self.scale)
        self.deviation = float(rest.std())

    def predict(self, x: float, features: np.ndarray | None = None) -> float:
        """y of one point."""
        value = self.offset + self.slope * x
        if self.rest is not None and features is not None:
            value += float(self.rest.predict(((features - self.centre) / self.scale)[None])[0])
        return value
