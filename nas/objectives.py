"""Objectives, constraints, and the multi-objective measures of a set of results."""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, overload

import moocore
import numpy as np
from numpy.typing import ArrayLike

from search_spaces import InputError


@dataclass(frozen=True)
class Objective:
    """A metric with the direction that is better: "min" or "max"."""

    metric: str
    direction: str

    def __post_init__(self) -> None:
        if self.direction not in ("min", "max"):
            raise InputError(f"objective {self.metric!r}: direction must be min or max, not {self.direction!r}")


@dataclass(frozen=True)
class Constraint:
    """A metric with a bound that must hold: at most `upper`, at least `lower`."""

    metric: str
    upper: float | None = None
    lower: float | None = None

    def __post_init__(self) -> None:
        for name in ("upper", "lower"):
            bound = getattr(self, name)
            if bound is None:
                continue
            if not is_number(bound):
                raise InputError(f"constraint on {self.metric!r}: {name} must be a finite number, not {bound!r}")
            object.__setattr__(self, name, int(bound) if isinstance(bound, numbers.Integral) else float(bound))

    def violation(self, values: ArrayLike) -> np.ndarray | float:
        """By how much the values break the bound, as a share of it; 0 where it holds. A number or an array, as they are."""
        given = np.asarray(values, float)
        broken = np.zeros(given.shape)
        if self.upper is not None:
            broken = np.maximum(broken, (given - self.upper) / (abs(self.upper) or 1))
        if self.lower is not None:
            broken = np.maximum(broken, (self.lower - given) / (abs(self.lower) or 1))
        return broken

    def __str__(self) -> str:
        bounds = [f"{sign} {bound:,}" for sign, bound in ((">=", self.lower), ("<=", self.upper)) if bound is not None]
        return f"{self.metric} {' and '.join(bounds)}"


@overload
def violation(metrics: Mapping[str, float], constraints: Sequence[Constraint]) -> float: ...


@overload
def violation(metrics: Mapping[str, np.ndarray], constraints: Sequence[Constraint]) -> np.ndarray | float: ...


def violation(metrics: Mapping[str, Any], constraints: Sequence[Constraint]) -> Any:
    """By how much metrics, measured or estimated, break the constraints on them, in all. A number or an array, as they are."""
    return sum(c.violation(metrics[c.metric]) for c in constraints if c.metric in metrics)


def meets(metrics: Mapping[str, float], constraints: Sequence[Constraint]) -> bool:
    """Whether metrics, measured or estimated, meet every constraint on them."""
    return violation(metrics, constraints) <= 0


def is_number(value: object) -> bool:
    """Whether a value can be a metric: one finite number."""
    if not isinstance(value, numbers.Real) or isinstance(value, (bool, np.bool_, np.timedelta64)):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def check_metrics(metrics: Mapping[str, float], wanted: Iterable[Objective | Constraint]) -> None:
    """Raise InputError unless everything that is optimised or bounded is a finite number in `metrics`."""
    for name in (each.metric for each in wanted):
        if name not in metrics:
            raise InputError(f"the evaluation gave no {name}; it gave {', '.join(metrics) or 'nothing'}")
        if not is_number(metrics[name]):
            raise InputError(f"metric {name} is {metrics[name]!r}, not a finite number")


def points(metrics: Sequence[Mapping[str, float]], objectives: Sequence[Objective]) -> np.ndarray:
    """(n, m) array of the objectives, all to be minimised."""
    signs = [-1.0 if objective.direction == "max" else 1.0 for objective in objectives]
    rows = [[sign * m[o.metric] for sign, o in zip(signs, objectives)] for m in metrics]
    return np.array(rows, float).reshape(len(rows), len(signs))


def front(metrics: Sequence[Mapping[str, float]], objectives: Sequence[Objective]) -> list[int]:
    """Indices of the non-dominated results; results that are equal in every objective are all kept."""
    if not metrics:
        return []
    return np.flatnonzero(moocore.is_nondominated(points(metrics, objectives), keep_weakly=True)).tolist()


def ranks(metrics: Sequence[Mapping[str, float]], objectives: Sequence[Objective]) -> np.ndarray:
    """(n,) non-dominated ranks: 0 for the front, 1 for the front of what is left without it, and so on."""
    return moocore.pareto_rank(points(metrics, objectives)) if metrics else np.zeros(0, int)


def crowding_distance(values: np.ndarray) -> np.ndarray:
    """(n,) crowding distances of (n, m) points of one rank: Deb et al., NSGA-II, IEEE TEC 6(2), 2002."""
    count, dimensions = values.shape
    distance = np.zeros(count)
    for d in range(dimensions):
        order = np.argsort(values[:, d], kind="stable")
        column = values[order, d]
        span = column[-1] - column[0]
        distance[order[[0, -1]]] = np.inf
        if span > 0:
            distance[order[1:-1]] += (column[2:] - column[:-2]) / span
    return distance


def order(metrics: Sequence[Mapping[str, float]], objectives: Sequence[Objective]) -> list[int]:
    """Indices from best to worst: by non-dominated rank, then the less crowded first."""
    values, rank = points(metrics, objectives), ranks(metrics, objectives)
    crowding = np.zeros(len(values))
    for level in np.unique(rank):
        members = np.flatnonzero(rank == level)
        crowding[members] = crowding_distance(values[members])
    return sorted(range(len(values)), key=lambda i: (rank[i], -crowding[i]))


def hypervolume(
    metrics: Sequence[Mapping[str, float]], objectives: Sequence[Objective], reference: Mapping[str, float]
) -> float:
    """Volume that the results dominate up to `reference` (metric -> its worst value that counts)."""
    if not metrics:
        return 0.0
    return float(moocore.hypervolume(points(metrics, objectives), ref=points([reference], objectives)[0]))


def default_reference(metrics: Sequence[Mapping[str, float]], objectives: Sequence[Objective]) -> dict[str, float]:
    """A reference where the user gives none: 0 for what is maximised, the worst seen for what is minimised.

    It moves while a search finds worse extremes, so volumes of different searches need a common reference.
    """
    return {
        o.metric: min(0.0, *(m[o.metric] for m in metrics))
        if o.direction == "max"
        else max(m[o.metric] for m in metrics)
        for o in objectives
    }


def own_hypervolume(metrics: Sequence[Mapping[str, float]], objectives: Sequence[Objective]) -> float | None:
    """Hypervolume of some results up to their own `default_reference`; None where they are fewer than two."""
    return hypervolume(metrics, objectives, default_reference(metrics, objectives)) if len(metrics) > 1 else None
