"""Where a search begins: the region of interest, which bounds what is asked, and the plain scalings that are asked first."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from evaluators.evaluator import metric_and_device
from search_spaces import Architecture

from ..algorithms.algorithm import Estimate, Prior
from ..objectives import Constraint, Objective, violation

FEWEST, MOST = 3, 8  # plain scalings, where the settings name no number
DIGITS = 6  # of a bound: an estimate depends in its last digits on what it is made with, and the reference lies within


def usual_count(evaluations: float) -> int:
    """How many plain scalings a search of so many evaluations begins with: about a third of them."""
    return round(min(MOST, max(FEWEST, evaluations / 3)))


def costs_of(objectives: Sequence[Objective], known: Collection[str]) -> list[str]:
    """What of the `known` metrics costs are compared by: the latency on every device where one is an objective, else all
    objectives that are to be minimised."""
    costs = [o.metric for o in objectives if o.direction == "min" and o.metric in known]
    if any(_is_latency(name) for name in costs):
        return [name for name in known if _is_latency(name)]
    return costs


def _is_latency(name: str) -> bool:
    return metric_and_device(name)[0] == "latency_ms"


def region_of(reference: Architecture, objectives: Sequence[Objective], estimate: Estimate) -> list[Constraint]:
    """The constraints that leave what costs no more than `reference`; none where no cost that is known beforehand counts."""
    known = estimate([reference])
    return [Constraint(name, upper=_rounded_up(known[name][0].item())) for name in costs_of(objectives, known)]


def _rounded_up(value: float) -> float:
    if isinstance(value, int) or value <= 0:
        return value
    scale = 10.0 ** (DIGITS - 1 - math.floor(math.log10(value)))
    return math.ceil(value * scale) / scale


def first_scalings(
    scalings: Sequence[Architecture],
    count: int,
    objectives: Sequence[Objective],
    constraints: Sequence[Constraint],
    estimate: Estimate,
    *,
    prior: Prior | None = None,
    always: Collection[Architecture] = (),
) -> list[Architecture]:
    """At most `count` of the scalings, spread evenly over the logarithm of the first cost, the dearest first.

    The range of costs of those that meet the constraints is cut into `count` bins of equal width; of each the best is taken,
    and as many as bins are empty then fill the widest gaps. So the front begins with what a user would have tried by hand.

    Args:
        prior: tells which is best, see `Algorithm`; without one it is the one with most MACs.
        always: scalings that are among those taken, where they meet the constraints.
    """
    if not scalings or count < 1:
        return []
    known = {name: np.asarray(values) for name, values in estimate(scalings).items()}
    kept = np.flatnonzero(np.zeros(len(scalings)) + violation(known, constraints) <= 0)
    if not len(kept):
        return []
    within = [scalings[int(i)] for i in kept]
    score = prior(within) if prior else known["macs"][kept] if "macs" in known else np.zeros(len(within))
    name = next(iter(costs_of(objectives, known)), "macs")
    cost = np.log(np.maximum(known[name][kept], 1e-9)) if name in known else np.arange(len(within), dtype=float)
    width = np.ptp(cost) / count or 1.0
    bins = np.minimum(((cost - cost.min()) / width).astype(int), count - 1)
    best_first = sorted(range(len(within)), key=lambda i: (-score[i], cost[i], within[i].key))
    chosen = [i for i, architecture in enumerate(within) if architecture in always][:count]
    for each in range(count):
        if len(chosen) < count and each not in bins[chosen]:
            chosen += [i for i in best_first if bins[i] == each][:1]
    while len(chosen) < min(count, len(within)):
        others = [i for i in best_first if i not in chosen]
        chosen.append(max(others, key=lambda i: np.abs(cost[chosen] - cost[i]).min() if chosen else 0.0))
    return [within[i] for i in sorted(chosen, key=lambda i: (-cost[i], within[i].key))]


def within_bounds(
    architectures: Mapping[str, Architecture], constraints: Sequence[Constraint], estimate: Estimate
) -> list[str]:
    """The names of those that meet the constraints on what is known of them."""
    if not architectures:
        return []
    known = estimate(list(architectures.values()))
    broken = np.zeros(len(architectures)) + violation(known, constraints)
    return [name for name, much in zip(architectures, broken) if much <= 0]
