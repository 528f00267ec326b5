"""The metrics that a search wants: said to be measured, known in advance, and returned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from evaluators.evaluator import Evaluator
from search_spaces import Architecture, InputError, SearchSpace
from search_spaces.errors import one_of

from ..objectives import Constraint, Objective, check_metrics, is_number
from .listener import Listener
from .outcome import Ending, Outcome

Wanted = Sequence[Objective | Constraint]


def check_measured(evaluator: Evaluator, space: SearchSpace, wanted: Wanted) -> None:
    """Raise InputError where an evaluator that says what it measures does not measure what is optimised and bounded."""
    if not evaluator.metrics:
        return
    given = [*evaluator.metrics, *evaluator.estimate([space.sample(0)])]
    for each in wanted:
        if each.metric not in given:
            raise InputError(f"the evaluator does not measure {each.metric}; it measures {one_of(given)}")


def estimates_of(evaluator: Evaluator, architecture: Architecture) -> dict[str, float]:
    """What is known of an architecture without an evaluation. Raises InputError where it is no finite number."""
    estimates = {}
    for name, values in evaluator.estimate([architecture]).items():
        value = values[0]
        if not is_number(value):
            raise InputError(f"the evaluator estimates {name} as {value!r}, not a finite number")
        estimates[name] = value.item() if hasattr(value, "item") else value
    return estimates


def checked(outcome: Outcome, known: Mapping[str, float], wanted: Wanted, listener: Listener) -> Outcome:
    """A finished outcome with the metrics that were known before; a failure where one that is wanted is not there or no number."""
    if outcome.status != Ending.FINISHED:
        return outcome
    for name, text in outcome.ignored.items():
        if name in {each.metric for each in wanted}:
            return replace(outcome, status=Ending.FAILED, reason=f"metric {name} is {text}, not a finite number")
        listener.once(f"metric {name} is not recorded: {text} is not a finite number", about=name)
    metrics = {**known, **outcome.metrics}
    try:
        check_metrics(metrics, wanted)
    except InputError as error:
        return replace(outcome, status=Ending.FAILED, reason=str(error))
    return replace(outcome, metrics=metrics)
