"""Latency of architectures that were not measured, with a 90% interval, from a few that were.

layer graph -> work by kind of operator x prices --.
                                                   + -> log latency: value, low, high
(that sum, pixels)           -> Gaussian process --'
a space without layer graphs: values of its choices -> Gaussian process -> log latency
    (and what predictors of other devices say) ---------'
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from search_spaces import Architecture, InputError

from ..hyperparameters import hyperparameters
from ..inputs import Inputs, choice_inputs
from .features import TERMS, Seen, Work, has_graphs, operator_work
from .work_model import WorkModel

# torch and scipy take seconds to import: they are, where something is fitted or predicted, not where profiles are read
if TYPE_CHECKING:
    from ..gaussian_process import GaussianProcess

FEWEST = 5  # measurements that a predictor can be fitted to
LEVEL = 0.9  # of the interval
FOLDS = 10
MOST_FOLDED = 200  # measurements that are left out in folds; of more, each one alone, at the same hyperparameters
MISMATCH = "a latency predictor of a space with layer graphs says nothing of one without, nor the other way round"
RESIDUAL = 0.1  # how much a work model leaves unexplained, as the prior has it
RESIDUAL_ELSEWHERE = 0.3  # how far latencies stray from what other devices say, as a share of how far they vary there


@dataclass(frozen=True)
class HeldOut:
    """How well measurements were predicted by predictors that had not seen them (cross-validation).

    Attributes:
        folds: parts that took turns in being left out.
        within_10, coverage_90: shares of the measurements predicted within 10%, and inside their 90% interval.
        median_error: median of |predicted / measured - 1|.
        spearman: rank correlation.
        value_ms, low_ms, high_ms: the predictions, in the order of the measurements.
    """

    count: int
    folds: int
    within_10: float
    median_error: float
    spearman: float
    coverage_90: float
    value_ms: list[float]
    low_ms: list[float]
    high_ms: list[float]


def _unusable(error: Exception) -> InputError:
    return InputError(f"field predictor: cannot be used ({type(error).__name__}: {error})".splitlines()[0])


def _names() -> list[str]:
    return [f"{kind} {term}" for kind, term in TERMS]


class LatencyPredictor:
    """Predicts latency in ms; made by `fit` or `from_dict`.

    log latency = log(work model) + Gaussian process over the work model's value and the image's pixels; in spaces without
    layer graphs it is the Gaussian process alone, over the values of the choices.
    """

    def __init__(
        self,
        inputs: Inputs,
        values: np.ndarray,
        parameters: np.ndarray,
        *,
        offset: float,
        work: WorkModel | None = None,
        centre: ArrayLike = 0.0,
        scale: ArrayLike = 1.0,
        others: Sequence[LatencyPredictor] = (),
        width: float = 1.0,
        num_classes: int = 80,
        held_out: HeldOut | None = None,
    ) -> None:
        self.inputs, self.values, self.parameters = inputs, values, parameters  # of the process
        self.work, self.offset = work, float(offset)
        # of the numbers that the process sees beside a work model; those of choices are standardised by their values
        self.centre, self.scale = np.asarray(centre, float), np.asarray(scale, float)
        self.others = list(others)  # predictors of other devices, whose predictions the process sees
        self.width = float(width)  # half of the interval, in standard deviations
        self.num_classes, self.held_out = num_classes, held_out

    @cached_property
    def process(self) -> GaussianProcess:
        """The Gaussian process; InputError when the numbers do not make one."""
        from ..gaussian_process import GaussianProcess

        try:
            return GaussianProcess(self.inputs, self.values, self.parameters, len(self.others))
        except Exception as error:  # whatever numbers from a file may do to the linear algebra
            raise _unusable(error) from None

    # -- fitting ------------------------------------------------------------------------------------------------

    @classmethod
    def fit(
        cls,
        architectures: Sequence[Architecture],
        latency_ms: Sequence[float] | np.ndarray,
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
        from scipy.stats import spearmanr

        architectures, measured = list(architectures), np.asarray(latency_ms, float)
        if measured.shape != (len(architectures),):
            raise InputError(f"{len(architectures)} architectures need as many latencies, not {measured.shape}")
        if len(architectures) < FEWEST:
            raise InputError(f"a latency predictor needs {FEWEST} measurements or more, not {len(architectures)}")
        wrong = np.flatnonzero(~(np.isfinite(measured) & (measured > 0)))
        if wrong.size:
            bad = architectures[wrong[0]].key
            raise InputError(f"latency_ms of {bad} is {measured[wrong[0]]:g}; it must be positive and finite")
        seen = _seen(architectures, num_classes, adapt_from)
        predictor = cls._fit(seen, measured, adapt_from)
        folds = min(FOLDS, len(architectures))
        fold = np.random.default_rng(0).permutation(len(architectures)) % folds
        if len(architectures) > MOST_FOLDED and not predictor.work:
            folds = len(architectures)
            value, deviation = predictor.process.leave_one_out()
            value = value + predictor.offset + predictor._inputs(seen)[1]
        else:
            value, deviation = np.empty_like(measured), np.empty_like(measured)
            for k in range(folds):
                rest, held = np.flatnonzero(fold != k), np.flatnonzero(fold == k)
                part = cls._fit(seen.rows(rest), measured[rest], adapt_from)
                value[held], deviation[held] = part._log(seen.rows(held))
        error = np.log(measured) - value
        scores = np.abs(error) / deviation
        predictor.width, predictor.num_classes = _width(scores), num_classes
        # the coverage that is stated is of widths that the measurement had no part in
        width = np.array([_width(scores[fold != k]) for k in fold])
        low, high = np.exp(value - width * deviation), np.exp(value + width * deviation)
        relative = np.abs(np.exp(-error) - 1)
        predictor.held_out = HeldOut(
            count=len(measured),
            folds=folds,
            within_10=float((relative <= 0.1).mean()),
            median_error=float(np.median(relative)),
            spearman=float(spearmanr(value, measured)[0]),
            coverage_90=float(((low <= measured) & (measured <= high)).mean()),
            value_ms=np.exp(value).tolist(),
            low_ms=low.tolist(),
            high_ms=high.tolist(),
        )
        return predictor

    @classmethod
    def _fit(
        cls, seen: Work | Seen, latency_ms: np.ndarray, adapt_from: Sequence[LatencyPredictor]
    ) -> LatencyPredictor:
        from ..gaussian_process import GaussianProcess

        work, others = None, adapt_from
        if isinstance(seen, Work):
            work, others = WorkModel.fit(seen.table, latency_ms, _mean_prices(adapt_from)), ()
        inputs, mean = _process_inputs(seen, work)
        centre, scale = _standard(inputs.numbers) if work else (0.0, 1.0)
        inputs = Inputs((inputs.numbers - centre) / scale, inputs.categories)
        target = np.log(latency_ms) - mean
        offset = target.mean()
        amplitude, spread = _amplitudes(work, others)
        process = GaussianProcess.fit(inputs, target - offset, amplitude, len(others), spread)
        return cls(
            inputs,
            process.values,
            process.parameters,
            offset=offset,
            work=work,
            centre=centre,
            scale=scale,
            others=others,
        )

    def to_dict(self) -> dict[str, Any]:
        """All numbers of the predictor as plain data; `from_dict` is the way back."""
        return {
            "num_classes": self.num_classes,
            "prices": None if self.work is None else dict(zip(_names(), self.work.prices.tolist())),
            "doubt": None if self.work is None else self.work.doubt.tolist(),
            "centre": np.atleast_1d(self.centre).tolist(),
            "scale": np.atleast_1d(self.scale).tolist(),
            "offset": self.offset,
            "width": self.width,
            "others": [other.to_dict() for other in self.others],
            "process": {
                "parameters": self.parameters.tolist(),
                "numbers": self.inputs.numbers.tolist(),
                "categories": self.inputs.categories.tolist(),
                "values": self.values.tolist(),
            },
        }

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> LatencyPredictor:
        """The predictor that `to_dict` described.

        Raises:
            InputError: a number is missing or absurd. Numbers that only together make no Gaussian process are found out
                when something is predicted.
        """
        try:
            prices = content["prices"]
            if prices is not None and set(prices) != set(_names()):
                raise InputError("field predictor.prices: made by another version; fit the profile again")
            work = None
            if prices is not None:
                doubt = np.array(content["doubt"], float).reshape(len(TERMS), len(TERMS))
                work = WorkModel(np.array([prices[name] for name in _names()], float), doubt)
            process = content["process"]
            count = len(process["values"])
            inputs = Inputs(
                np.array(process["numbers"], float).reshape(count, -1),
                np.array(process["categories"], np.int64).reshape(count, -1),
            )
            others = [cls.from_dict(other) for other in content["others"]]
            values, parameters = (np.array(process[name], float) for name in ("values", "parameters"))
            priors = hyperparameters(
                inputs.numbers.shape[1] - len(others), inputs.categories.shape[1], others=len(others)
            )
            if len(parameters) != sum(count for count, _, _ in priors.values()):
                raise ValueError(f"{len(parameters)} parameters are not what this process has")
            made = cls(
                inputs,
                values,
                parameters,
                work=work,
                others=others,
                num_classes=int(content["num_classes"]),
                **{name: content[name] for name in ("offset", "centre", "scale", "width")},
            )
            numbers = (*parameters, *values, *inputs.numbers.flat, made.width, made.offset)
            if not np.isfinite(numbers).all() or not made.width > 0:
                raise ValueError("a number that is not finite, or a width that is not positive")
            if work and not ((work.prices > 0).all() and np.isfinite(work.doubt).all()):
                raise ValueError("a price that is not positive, or a doubt that is not finite")
        except InputError:
            raise
        except Exception as error:  # whatever may stand there instead of numbers
            raise _unusable(error) from None
        return made

    # -- predicting ---------------------------------------------------------------------------------------------

    def _inputs(self, seen: Work | Seen) -> tuple[Inputs, np.ndarray]:
        """(what the process sees, standardised, the mean of the log latency before it)."""
        inputs, mean = _process_inputs(seen, self.work)
        return Inputs((inputs.numbers - self.centre) / self.scale, inputs.categories), mean

    def _log(self, seen: Work | Seen) -> tuple[np.ndarray, np.ndarray]:
        """(mean, standard deviation) of the log latency."""
        inputs, mean = self._inputs(seen)
        value, spread = self.process.predict(inputs)
        if self.work and isinstance(seen, Work):
            spread = np.sqrt(spread**2 + self.work.variance(seen.table))
        return mean + self.offset + value, spread

    def _standardised(self, seen: Work | Seen) -> np.ndarray:
        """(n,) means of the log latency, as they vary around the middle of what was measured."""
        inputs, mean = self._inputs(seen)
        return (mean + self.process.mean(inputs)) / max(self.spread, 1e-6)

    @property
    def spread(self) -> float:
        """How far the logarithms of the measured latencies vary."""
        return float(self.values.std())

    def predict(
        self, architectures: Sequence[Architecture], num_classes: int | None = None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(value_ms, low_ms, high_ms), each (n,): the prediction and the ends of its 90% interval.

        Raises:
            InputError: the predictor was fitted to another kind of space, or its numbers make no Gaussian process.
        """
        architectures = list(architectures)
        if not architectures:
            return np.zeros(0), np.zeros(0), np.zeros(0)
        return self._predict(_seen(architectures, num_classes or self.num_classes, self.others))

    def predict_work(self, work: Work) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The same of networks of which only their work is known; raises InputError likewise."""
        return self._predict(work)

    def _predict(self, seen: Work | Seen) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        with np.errstate(all="ignore"):  # absurd numbers are told below
            value, deviation = self._log(seen)
            half = self.width * deviation
            predicted = np.exp(value), np.exp(value - half), np.exp(value + half)
        if not np.isfinite(predicted).all():
            raise _unusable(ValueError("what it predicts is no latency"))
        return predicted


def _seen(
    architectures: Sequence[Architecture], num_classes: int, others: Sequence[LatencyPredictor] = ()
) -> Work | Seen:
    """What is known of architectures before anything is fitted: their work or, without layer graphs, their choices."""
    if has_graphs(architectures[0].space):
        return operator_work(architectures, num_classes)
    choices = choice_inputs(architectures)
    elsewhere = np.zeros((len(architectures), len(others)))
    for i, other in enumerate(others):
        seen = _seen(architectures, num_classes, other.others) if other.others else Seen(choices, elsewhere[:, :0])
        elsewhere[:, i] = other._standardised(seen)
    return Seen(choices, elsewhere)


def _process_inputs(seen: Work | Seen, work: WorkModel | None) -> tuple[Inputs, np.ndarray]:
    """(what the process sees, the mean of the log latency before it)."""
    if work is None and isinstance(seen, Seen):
        numbers = np.concatenate([seen.elsewhere, seen.choices.numbers], axis=1)
        return Inputs(numbers, seen.choices.categories), np.zeros(len(seen))
    if work is not None and isinstance(seen, Work):
        mean = np.log(work.predict(seen.table))
        return Inputs(np.stack([mean, np.log(seen.pixels)], axis=1), np.zeros((len(seen), 0), np.int64)), mean
    raise InputError(MISMATCH)


def _standard(numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(means, standard deviations) of columns."""
    return numbers.mean(0), np.maximum(numbers.std(0), 1e-6)


def _mean_prices(predictors: Sequence[LatencyPredictor]) -> np.ndarray | None:
    """Prices that other devices have on average."""
    prices = [predictor.work.prices for predictor in predictors if predictor.work]
    if len(prices) < len(predictors):
        raise InputError(MISMATCH)
    return np.exp(np.mean(np.log(prices), axis=0)) if prices else None


def _amplitudes(work: WorkModel | None, others: Sequence[LatencyPredictor]) -> tuple[float, float]:
    """(how far the process is expected to vary, how far latencies vary on other devices)."""
    if work:
        return RESIDUAL, 1.0
    if not others:
        return 1.0, 1.0
    spread = float(np.exp(np.mean([np.log(max(other.spread, 1e-6)) for other in others])))
    return RESIDUAL_ELSEWHERE * spread, spread


def _width(scores: np.ndarray) -> float:
    """The smallest width that covers errors of these many deviations, with the usual correction for a finite sample."""
    return float(np.sort(scores)[min(len(scores), int(np.ceil(LEVEL * (len(scores) + 1)))) - 1])


def prior_covariance(
    architectures: Sequence[Architecture], num_classes: int = 80, adapt_from: Sequence[LatencyPredictor] = ()
) -> tuple[np.ndarray, float]:
    """(covariance (n, n), standard deviation of a measurement) of log latencies before anything was measured.

    These are the priors that `LatencyPredictor.fit` starts from.
    """
    from ..gaussian_process import Kernel

    seen = _seen(architectures, num_classes, adapt_from)
    work, others, of_prices = None, adapt_from, 0.0
    if isinstance(seen, Work):
        prior, others = _mean_prices(adapt_from), ()
        spread = WorkModel.SPREAD if prior is None else WorkModel.PRIOR_SPREAD
        work = WorkModel(WorkModel.nominal() if prior is None else prior, spread**2 * np.eye(len(TERMS)))
        shares = work.shares(seen.table)
        of_prices = shares @ work.doubt @ shares.T
    inputs, _ = _process_inputs(seen, work)
    if work:
        centre, scale = _standard(inputs.numbers)
        inputs = Inputs((inputs.numbers - centre) / scale, inputs.categories)
    amplitude, spread = _amplitudes(work, others)
    kernel = Kernel(inputs.numbers.shape[1] - len(others), inputs.categories.shape[1], amplitude, len(others), spread)
    covariance, noise = kernel.prior_covariance(inputs)
    return of_prices + covariance, noise
