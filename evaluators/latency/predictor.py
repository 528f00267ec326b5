"""Latency of architectures that were not measured, with a 90% interval, from a few that were.

    layer graph -> work by kind of operator x prices --.
                                                       + -> log latency: value, low, high
    (that sum, pixels)           -> Gaussian process --'
    a space without layer graphs: values of its choices -> Gaussian process -> log latency
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
from scipy.optimize import minimize
from scipy.stats import spearmanr

from search_spaces import Architecture, InputError

from .features import TERMS, Work, choice_inputs, has_graphs, operator_work
from .gaussian_process import GaussianProcess, Inputs, Kernel

FEWEST = 5  # measurements that a predictor can be fitted to
LEVEL = 0.9  # of the interval
FOLDS = 10
RESIDUAL = 0.1  # how much a work model leaves unexplained, as the prior has it
NOISE = 0.03  # standard deviation of the logarithm of a measured latency, before anything is known of a device


@dataclass(frozen=True)
class HeldOut:
    """How well measurements were predicted by predictors that had not seen them (cross-validation).

    Attributes:
        within_10, coverage_90: shares of the measurements predicted within 10%, and inside their 90% interval.
        median_error: median of |predicted / measured - 1|.
        spearman: rank correlation; None for fewer than three measurements.
        value_ms, low_ms, high_ms: the predictions, in the order of the measurements.
    """

    count: int
    folds: int
    within_10: float
    median_error: float
    spearman: float | None
    coverage_90: float
    value_ms: list[float]
    low_ms: list[float]
    high_ms: list[float]


class WorkModel:
    """Latency as the sum over kinds of operators of work times a positive price: ms per operator, MAC or value.

    The prices are fitted to whole networks by maximum a posteriori on the logarithm of the latency. Each price has a
    log-normal prior around a nominal one times the device's speed, or, when `prior` prices are given, around those.
    """

    # ms: 5 us an operator, 20 GMAC/s, 2.5e9 values moved a second
    NOMINAL = {"count": 5e-3, "macs": 2.5e-8, "lanes": 2.5e-8, "read": 4e-7, "written": 4e-7, "weights": 4e-7}
    SPREAD, PRIOR_SPREAD, NOISE = 1.5, 0.5, 0.08  # standard deviations of logarithms

    def __init__(self, prices: np.ndarray):
        self.prices = np.asarray(prices, float)

    @classmethod
    def nominal(cls) -> np.ndarray:
        """The nominal price of every term."""
        return np.array([cls.NOMINAL[term] for _, term in TERMS])

    @classmethod
    def fit(cls, work: np.ndarray, latency_ms: np.ndarray, prior: np.ndarray | None = None) -> WorkModel:
        centre, spread = (cls.nominal(), cls.SPREAD) if prior is None else (prior, cls.PRIOR_SPREAD)
        scaled = torch.from_numpy(work * centre)
        target = torch.from_numpy(np.log(latency_ms))

        def loss(values):
            x = torch.tensor(values, requires_grad=True)  # the speed, then each price relative to it
            error = (scaled @ (x[0] + x[1:]).exp()).log() - target
            value = 0.5 * (error**2).sum() / cls.NOISE**2 + 0.5 * (x[1:] ** 2).sum() / spread**2
            value.backward()
            return value.item(), x.grad.numpy()

        start = np.zeros(1 + len(TERMS))
        start[0] = np.mean(np.log(latency_ms) - np.log(scaled.sum(1).numpy()))
        found = minimize(loss, start, jac=True, method="L-BFGS-B")
        return cls(centre * np.exp(found.x[0] + found.x[1:]))

    def predict(self, work: np.ndarray) -> np.ndarray:
        """(n,) ms of the networks whose work is (n, len(TERMS))."""
        return work @ self.prices


def _names() -> list[str]:
    return [f"{kind} {term}" for kind, term in TERMS]


class LatencyPredictor:
    """Predicts latency in ms; made by `fit` or `from_dict`.

    log latency = log(work model) + Gaussian process over the work model's value and the image's pixels; in spaces without
    layer graphs it is the Gaussian process alone, over the values of the choices.
    """

    def __init__(self, work, process, centre, scale, width, num_classes, held_out, offset=0.0, others=()):
        self.work: WorkModel | None = work
        self.process: GaussianProcess = process
        self.centre, self.scale = np.asarray(centre, float), np.asarray(scale, float)  # of the process' numbers
        self.width = float(width)  # half of the interval, in standard deviations
        self.offset = float(offset)
        self.others: list[LatencyPredictor] = list(others)  # of other devices, whose predictions the process sees
        self.num_classes = num_classes
        self.held_out: HeldOut | None = held_out

    # -- fitting ------------------------------------------------------------------------------------------------

    @classmethod
    def fit(
        cls,
        architectures: Sequence[Architecture],
        latency_ms: Sequence[float],
        *,
        num_classes: int = 80,
        adapt_from: Sequence[LatencyPredictor] = (),
    ) -> LatencyPredictor:
        """A predictor from measured architectures, all of one space.

        Args:
            latency_ms: (n,) measured latencies, one of each architecture.
            num_classes: classes of the networks that were measured.
            adapt_from: predictors of other devices, which this one corrects; then ten measurements or so will do.

        Raises:
            InputError: fewer than five measurements, lengths that differ, or a latency that is not positive.
        """
        architectures = list(architectures)
        latency_ms = np.asarray(latency_ms, float)
        if latency_ms.shape != (len(architectures),):
            raise InputError(f"{len(architectures)} architectures need as many latencies, not {latency_ms.shape}")
        if len(architectures) < FEWEST:
            raise InputError(f"a latency predictor needs {FEWEST} measurements or more, not {len(architectures)}")
        wrong = np.flatnonzero(~(np.isfinite(latency_ms) & (latency_ms > 0)))
        if wrong.size:
            bad = architectures[wrong[0]].key
            raise InputError(f"latency_ms of {bad} is {latency_ms[wrong[0]]:g}; it must be positive and finite")
        seen = _seen(architectures, num_classes)
        folds = min(FOLDS, len(architectures))
        fold = np.random.default_rng(0).permutation(len(architectures)) % folds
        value, deviation = np.empty_like(latency_ms), np.empty_like(latency_ms)
        for k in range(folds):
            rest, held = np.flatnonzero(fold != k), np.flatnonzero(fold == k)
            part = cls._fit(seen.rows(rest), latency_ms[rest], adapt_from)
            value[held], deviation[held] = part._log(seen.rows(held))
        error = np.log(latency_ms) - value
        # the smallest width that would have covered them, with the usual correction for a finite sample
        scores = np.sort(np.abs(error) / deviation)
        width = scores[min(len(scores), int(np.ceil(LEVEL * (len(scores) + 1)))) - 1]
        predictor = cls._fit(seen, latency_ms, adapt_from)
        predictor.width, predictor.num_classes = float(width), num_classes
        low, high = np.exp(value - width * deviation), np.exp(value + width * deviation)
        relative = np.abs(np.exp(-error) - 1)
        predictor.held_out = HeldOut(
            count=len(latency_ms),
            folds=folds,
            within_10=float((relative <= 0.1).mean()),
            median_error=float(np.median(relative)),
            spearman=float(spearmanr(value, latency_ms)[0]),
            coverage_90=float(((low <= latency_ms) & (latency_ms <= high)).mean()),
            value_ms=np.exp(value).tolist(),
            low_ms=low.tolist(),
            high_ms=high.tolist(),
        )
        return predictor

    @classmethod
    def _fit(
        cls, seen: Work | Inputs, latency_ms: np.ndarray, adapt_from: Sequence[LatencyPredictor]
    ) -> LatencyPredictor:
        work, others = None, []
        if isinstance(seen, Work):
            prior = [other.work.prices for other in adapt_from]
            work = WorkModel.fit(seen.table, latency_ms, np.exp(np.mean(np.log(prior), axis=0)) if prior else None)
        else:
            others = list(adapt_from)
        made = cls(work, None, 0.0, 1.0, 1.0, None, None, others=others)
        numbers = made._inputs(seen)[0].numbers
        made.centre, made.scale = numbers.mean(0), np.maximum(numbers.std(0), 1e-6)
        inputs, mean = made._inputs(seen)
        target = np.log(latency_ms) - mean
        made.offset = float(target.mean())
        made.process = GaussianProcess.fit(inputs, target - made.offset, RESIDUAL if work else 1.0)
        return made

    def to_dict(self) -> dict:
        """All numbers of the predictor as plain data; `from_dict` is the way back."""
        inputs = self.process.inputs
        return {
            "num_classes": self.num_classes,
            "prices": None if self.work is None else dict(zip(_names(), self.work.prices.tolist())),
            "centre": np.atleast_1d(self.centre).tolist(),
            "scale": np.atleast_1d(self.scale).tolist(),
            "offset": self.offset,
            "width": self.width,
            "others": [other.to_dict() for other in self.others],
            "process": {
                "parameters": self.process.parameters.tolist(),
                "numbers": inputs.numbers.tolist(),
                "categories": inputs.categories.tolist(),
                "values": self.process.values.tolist(),
            },
        }

    @classmethod
    def from_dict(cls, content: dict) -> LatencyPredictor:
        """The predictor that `to_dict` described; InputError when the numbers do not make one."""
        try:
            prices = content["prices"]
            if prices is not None and set(prices) != set(_names()):
                raise InputError("field predictor.prices: made by another version; fit the profile again")
            process = content["process"]
            count = len(process["values"])
            inputs = Inputs(
                np.array(process["numbers"], float).reshape(count, -1),
                np.array(process["categories"], np.int64).reshape(count, -1),
            )
            made = cls(
                None if prices is None else WorkModel(np.array([prices[name] for name in _names()], float)),
                GaussianProcess(inputs, np.array(process["values"], float), np.array(process["parameters"], float)),
                content["centre"],
                content["scale"],
                content["width"],
                int(content["num_classes"]),
                None,
                content["offset"],
                [cls.from_dict(other) for other in content["others"]],
            )
            numbers = (*made.process.parameters, *made.process.values, *inputs.numbers.flat, made.width, made.offset)
            if not np.isfinite(numbers).all() or (prices is not None and not (made.work.prices > 0).all()):
                raise ValueError("a number that is not finite, or a price that is not positive")
        except InputError:
            raise
        except Exception as error:  # whatever numbers may do to the linear algebra
            raise InputError(f"field predictor: cannot be used ({type(error).__name__}: {error})".splitlines()[0]) from None
        return made

    # -- predicting ---------------------------------------------------------------------------------------------

    def _inputs(self, seen: Work | Inputs) -> tuple[Inputs, np.ndarray]:
        """(what the process sees, the mean of the log latency before it)."""
        if self.work:
            mean = np.log(self.work.predict(seen.table))
            numbers, categories = np.stack([mean, np.log(seen.pixels)], axis=1), np.zeros((len(seen), 0), np.int64)
        else:
            mean, categories = np.zeros(len(seen)), seen.categories
            elsewhere = [other._log(seen)[0][:, None] for other in self.others]
            numbers = np.concatenate([seen.numbers, *elsewhere], axis=1)
        return Inputs((numbers - self.centre) / self.scale, categories), mean

    def _log(self, seen: Work | Inputs) -> tuple[np.ndarray, np.ndarray]:
        """(mean, standard deviation) of the log latency."""
        inputs, mean = self._inputs(seen)
        value, deviation = self.process.predict(inputs)
        return mean + self.offset + value, deviation

    def predict(self, architectures: Sequence[Architecture], num_classes: int | None = None):
        """(value_ms, low_ms, high_ms), each (n,): the prediction and the ends of its 90% interval."""
        architectures = list(architectures)
        if not architectures:
            return np.zeros(0), np.zeros(0), np.zeros(0)
        value, deviation = self._log(_seen(architectures, num_classes or self.num_classes))
        half = self.width * deviation
        return np.exp(value), np.exp(value - half), np.exp(value + half)


def prior_covariance(architectures: Sequence[Architecture], num_classes: int = 80) -> np.ndarray:
    """(n, n) covariance of the log latencies before anything was measured, by the priors of the predictor."""
    seen = _seen(architectures, num_classes)
    if isinstance(seen, Work):
        work = WorkModel(WorkModel.nominal())
        made, amplitude = LatencyPredictor(work, None, 0.0, 1.0, 1.0, None, None), RESIDUAL
        shares = seen.table * work.prices
        shares /= shares.sum(1, keepdims=True)  # the slopes of the log latency in the logarithms of the prices
        covariance = work.SPREAD**2 * shares @ shares.T
        numbers = made._inputs(seen)[0].numbers
        numbers = (numbers - numbers.mean(0)) / np.maximum(numbers.std(0), 1e-6)
        inputs = Inputs(numbers, np.zeros((len(seen), 0), np.int64))
    else:
        inputs, covariance, amplitude = seen, 0.0, 1.0
    kernel = Kernel(inputs.numbers.shape[1], inputs.categories.shape[1], amplitude)
    points = inputs.tensors()
    return covariance + kernel(kernel.prior()[0], points, points).numpy()


def _seen(architectures: Sequence[Architecture], num_classes: int) -> Work | Inputs:
    """What is known of architectures before anything is fitted: their work or, without layer graphs, their choices."""
    if has_graphs(architectures[0].space):
        return operator_work(architectures, num_classes)
    return choice_inputs(architectures)
