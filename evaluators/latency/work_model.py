"""Latency as work times price: what can be said of a network from its operators alone."""

from __future__ import annotations

import numpy as np

from .features import TERMS


class WorkModel:
    """Latency as the sum over kinds of operators of work times a positive price: ms per operator, MAC or value.

    The prices are fitted to whole networks by maximum a posteriori on the logarithm of the latency. Each price has a
    log-normal prior around a nominal one times the device's speed, or, when `prior` prices are given, around those.

    Args:
        prices: (len(TERMS),) ms.
        doubt: covariance of the logarithms of the prices.
    """

    # ms: 5 us an operator, 20 GMAC/s, 2.5e9 values moved a second
    NOMINAL = {
        "count": 5e-3,
        "macs": 2.5e-8,
        "lanes": 2.5e-8,
        "ragged": 2.5e-8,
        "read": 4e-7,
        "written": 4e-7,
        "weights": 4e-7,
    }
    SPREAD, PRIOR_SPREAD, NOISE = 1.5, 0.5, 0.08  # standard deviations of logarithms

    def __init__(self, prices: np.ndarray, doubt: np.ndarray) -> None:
        self.prices, self.doubt = np.asarray(prices, float), np.asarray(doubt, float)

    @classmethod
    def nominal(cls) -> np.ndarray:
        """The nominal price of every term."""
        return np.array([cls.NOMINAL[term] for _, term in TERMS])

    @classmethod
    def fit(cls, work: np.ndarray, latency_ms: np.ndarray, prior: np.ndarray | None = None) -> WorkModel:
        """The model of n networks from their work, (n, len(TERMS)), and latencies in ms, (n,).

        Args:
            prior: (len(TERMS),) prices in ms that the prior is around; None takes the nominal ones.
        """
        import torch
        from scipy.optimize import minimize

        centre, spread = (cls.nominal(), cls.SPREAD) if prior is None else (prior, cls.PRIOR_SPREAD)
        scaled = torch.from_numpy(work * centre)
        target = torch.from_numpy(np.log(latency_ms))

        def loss(values: np.ndarray) -> tuple[float, np.ndarray]:
            x = torch.tensor(values, requires_grad=True)  # the speed, then each price relative to it
            error = (scaled @ (x[0] + x[1:]).exp()).log() - target
            value = 0.5 * (error**2).sum() / cls.NOISE**2 + 0.5 * (x[1:] ** 2).sum() / spread**2
            (slopes,) = torch.autograd.grad(value, x)
            return value.item(), slopes.numpy()

        start = np.zeros(1 + len(TERMS))
        start[0] = np.mean(np.log(latency_ms) - np.log(scaled.sum(1).numpy()))
        found = minimize(loss, start, jac=True, method="L-BFGS-B")
        made = cls(centre * np.exp(found.x[0] + found.x[1:]), np.zeros((len(TERMS), len(TERMS))))
        # Laplace's approximation, with the Hessian of Gauss and Newton
        slopes = np.concatenate([np.ones((len(work), 1)), made.shares(work)], axis=1)
        precision = slopes.T @ slopes / cls.NOISE**2 + np.diag([1e-6, *np.full(len(TERMS), spread**-2)])
        total = np.concatenate([np.ones((len(TERMS), 1)), np.eye(len(TERMS))], axis=1)  # speed and price
        made.doubt = total @ np.linalg.solve(precision, total.T)
        return made

    def predict(self, work: np.ndarray) -> np.ndarray:
        """(n,) ms of the networks whose work is (n, len(TERMS))."""
        return work @ self.prices

    def shares(self, work: np.ndarray) -> np.ndarray:
        """(n, len(TERMS)) shares of the latency: the slopes of its logarithm in the logarithms of the prices."""
        parts = work * self.prices
        return parts / parts.sum(1, keepdims=True)

    def variance(self, work: np.ndarray) -> np.ndarray:
        """(n,) variance of the log latency that the doubt about the prices leaves."""
        shares = self.shares(work)
        return ((shares @ self.doubt) * shares).sum(1)
