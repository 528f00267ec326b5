"""How one architecture is measured: the Evaluator protocol, the known metrics, and how an evaluation can end."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from search_spaces import Architecture, InputError


@dataclass(frozen=True)
class Metric:
    """A measured quantity: its name (with the unit in it where it has one), unit, and which way is better."""

    name: str
    unit: str
    direction: str  # "min" or "max"


METRICS = {
    metric.name: metric
    for metric in (
        Metric("map50_95", "", "max"),
        Metric("map50", "", "max"),
        Metric("latency_ms", "ms", "min"),
        Metric("latency_low_ms", "ms", "min"),
        Metric("latency_high_ms", "ms", "min"),
        Metric("latency_measured_ms", "ms", "min"),
        Metric("latency_difference_percent", "%", "min"),
        Metric("params", "", "min"),
        Metric("macs", "MACs", "min"),
        Metric("peak_activation_bytes", "bytes", "min"),
        Metric("train_seconds", "s", "min"),
        Metric("file_bytes", "bytes", "min"),
    )
}


def metric_on(metric: str, device: str | None) -> str:
    """The name of a metric on one of several devices: latency_ms@pi4."""
    return f"{metric}@{device}" if device else metric


def metric_and_device(name: str) -> tuple[str, str | None]:
    """("latency_ms", "pi4") of latency_ms@pi4; the device is None where the name has none."""
    metric, _, device = name.partition("@")
    return metric, device or None


class EvaluationError(Exception):
    """The architecture could not be evaluated and trying again would not help; the message is the recorded reason."""


class Rejected(Exception):
    """A hard constraint was found violated during the evaluation, so the rest of it was not paid for.

    Attributes:
        metrics: what had been measured by then.
    """

    def __init__(self, reason: str, metrics: Mapping[str, float]) -> None:
        super().__init__(reason, dict(metrics))
        self.metrics = dict(metrics)

    def __str__(self) -> str:
        return self.args[0]


class Evaluator:
    """Measures architectures. Must be picklable: it travels to the workers.

    Its life: `prepare` once in the driver, then `setup` once in every process that evaluates, then `evaluate` for one
    architecture after another; `estimate` may be called in the driver from `prepare` on.

    A subclass may say in `metrics` what `evaluate` returns; then a search that wants something else is refused at once.

    Attributes:
        fidelities: ascending amounts of work (epochs, say) after which an evaluation can be judged and put aside; the last
            is all of it. Where there are any, `evaluate` is called with each in turn, as far as the architecture is worth
            it, and goes on from what the call before left in the folder; it returns what is new or has changed.
    """

    metrics: tuple[str, ...] = ()
    fidelities: tuple[float, ...] = ()

    def prepare(self, directory: Path) -> None:
        """What is done once for a search, in the driver, before anything is asked; `directory` is the run's folder.

        Raises:
            InputError: the search cannot begin.
        """

    def subject(self) -> Any:
        """What is measured on, a dataset say, as plain data that is kept with a run; called after `prepare`."""
        return None

    def check_subject(self, before: Any) -> None:
        """Whether a run that was measured on `before`, what `subject` said when it began, may go on with this evaluator.

        Raises:
            InputError: it may not; names what has changed.
        """
        if before != json.loads(json.dumps(self.subject())):  # as it comes back from the run
            raise InputError("what this run was measured on has changed; put it back, or start a new run")

    def setup(self) -> None:
        """What is done once in a process that evaluates, before its first evaluation: data read, models loaded.

        Raises:
            InputError: nothing can be evaluated here.
        """

    def discard(self, directory: Path) -> None:
        """Remove from the folder of an architecture what only going on with it would need: it never will."""

    def estimate(self, architectures: Sequence[Architecture]) -> dict[str, np.ndarray]:
        """Metrics that are known without an evaluation, exactly or as a prediction, for many architectures at once: name -> (n,) array.

        Called in the driver with thousands of candidates, so it must be cheap. Nothing by default.
        """
        return {}

    def evaluate(
        self, architecture: Architecture, directory: Path, fidelity: float | None = None
    ) -> Mapping[str, float]:
        """Measure one architecture; files worth keeping go into `directory`, which exists.

        An evaluator without `fidelities` is never given one and need not take it.

        Raises:
            EvaluationError: the architecture cannot be evaluated.
            Rejected: a hard constraint is violated.
        """
        raise NotImplementedError

    def repeated(self, repeat: int) -> Evaluator | None:
        """An evaluator that does the same with other random numbers: a training with another seed, say.

        Of one that was set up it is set up. Same `repeat`, same random numbers, in whatever process.

        Args:
            repeat: which of them, from 1 on.

        Returns:
            None where there are no random numbers to change, as here: a repeat would tell nothing.
        """
        return None


class FunctionEvaluator(Evaluator):
    """A plain function `Architecture -> dict of metrics` as an Evaluator.

    One that has an argument `repeat` draws random numbers: it is called without it first, and with 1, 2, ... where an
    architecture is evaluated again.
    """

    def __init__(self, function: Callable[[Architecture], Mapping[str, float]]) -> None:
        self.function = function

    def evaluate(
        self, architecture: Architecture, directory: Path, fidelity: float | None = None
    ) -> Mapping[str, float]:
        return self.function(architecture)

    def repeated(self, repeat: int) -> FunctionEvaluator | None:
        try:
            arguments = inspect.signature(self.function).parameters
        except (TypeError, ValueError):  # some that are written in C have none that could be looked at
            return None
        function: Callable[..., Mapping[str, float]] = self.function
        return FunctionEvaluator(partial(function, repeat=repeat)) if "repeat" in arguments else None
