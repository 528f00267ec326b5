"""The region of interest and the plain scalings that are asked first: what they leave out, and what they spread over."""

import numpy as np
import pytest

from nas import Constraint, Objective
from nas.launch.region import costs_of, first_scalings, region_of, usual_count, within_bounds
from search_spaces import Choice, SearchSpace

SPACE = SearchSpace("toy", [Choice("cost", list(range(1, 101))), Choice("worth", list(range(10)))])
ACCURATE, FAST = Objective("map50_95", "max"), Objective("latency_ms", "min")


def at(cost, worth=0):
    return SPACE.architecture(cost=cost, worth=worth)


def estimate(architectures):
    costs = np.array([a["cost"] for a in architectures], float)
    return {"params": (costs * 1000).astype(int), "macs": costs**2, "latency_ms": costs / 7}


def on_two_devices(architectures):
    known = estimate(architectures)
    return {"macs": known["macs"], "latency_ms@a": known["latency_ms"], "latency_ms@b": 1 / known["latency_ms"]}


def bounds(constraints):
    return {c.metric: c.upper for c in constraints}


def test_the_region_is_what_is_no_slower_and_its_reference_is_in():
    constraints = region_of(at(50), [ACCURATE, FAST], estimate)
    assert bounds(constraints) == {"latency_ms": pytest.approx(50 / 7, rel=1e-5)}
    named = {"reference": at(50), "faster": at(49), "slower": at(51)}
    assert within_bounds(named, constraints, estimate) == ["reference", "faster"]
    # estimates differ in their last digits with what they are made beside
    assert constraints[0].upper > 50 / 7 * (1 + 1e-9)


@pytest.mark.parametrize("value", [3.412517, 0.0123456789, 120.0, 98765.4321])
def test_bounds_are_rounded_up_to_six_digits(value):
    (constraint,) = region_of(at(1), [FAST], lambda _: {"latency_ms": np.array([value])})
    assert value <= constraint.upper <= value * (1 + 1e-5)


def test_every_device_s_latency_is_bounded_whichever_is_an_objective():
    for objectives in ([ACCURATE, Objective("latency_ms@b", "min")], [Objective("latency_ms@a", "min"), ACCURATE]):
        assert list(bounds(region_of(at(7), objectives, on_two_devices))) == ["latency_ms@a", "latency_ms@b"]


def test_where_latency_is_no_objective_the_costs_that_are_bound():
    objectives = [ACCURATE, Objective("params", "min"), Objective("macs", "min"), Objective("train_seconds", "min")]
    assert bounds(region_of(at(20), objectives, estimate)) == {"params": 20_000, "macs": 400.0}
    assert region_of(at(20), [ACCURATE], estimate) == []
    assert costs_of([Objective("params", "max")], ["params"]) == []


@pytest.mark.parametrize(("evaluations", "count"), [(1, 3), (9, 3), (14, 5), (24, 8), (1000, 8), (float("inf"), 8)])
def test_a_third_of_the_evaluations_are_plain_scalings(evaluations, count):
    assert usual_count(evaluations) == count


ALL = [at(cost, worth) for cost in range(1, 101) for worth in (0, 3)]


def chosen(count=5, scalings=ALL, constraints=(), **options):
    return first_scalings(scalings, count, [ACCURATE, FAST], constraints, estimate, **options)


def test_they_are_spread_evenly_over_the_logarithm_of_the_cost():
    costs = [a["cost"] for a in chosen()]
    assert costs == sorted(costs, reverse=True) and len(costs) == 5
    # one in each fifth of the range from 1 to 100, the one with most MACs
    assert [int(5 * np.log(c) / np.log(100.0001)) for c in costs] == [4, 3, 2, 1, 0] and costs[0] == 100
    assert chosen(scalings=ALL[::-1]) == chosen()


def test_a_prior_tells_which_is_best_of_its_bin():
    assert {a["worth"] for a in chosen(prior=lambda some: np.array([a["worth"] for a in some], float))} == {3}
    low = chosen(prior=lambda some: -np.array([a["cost"] for a in some], float))
    assert low[-1]["cost"] == 1 and low[0]["cost"] < 100


def test_only_what_meets_the_constraints_is_taken_and_the_reference_always():
    constraints = [Constraint("latency_ms", upper=10)]
    taken = chosen(constraints=constraints, always=[at(37), at(90)])
    assert at(37) in taken and at(90) not in taken and len(taken) == 5
    assert max(a["cost"] for a in taken) <= 70
    assert chosen(constraints=[Constraint("latency_ms", upper=0.1)]) == chosen(scalings=[]) == chosen(count=0) == []


def test_empty_bins_go_to_the_widest_gaps_and_few_are_all_taken():
    some = [at(1), at(2), at(98), at(99), at(100)]
    assert {a["cost"] for a in chosen(4, some)} == {1, 2, 98, 100}
    taken = [a["cost"] for a in chosen(3, some)]
    assert len(taken) == 3 and {1, 2} & set(taken) and {98, 99, 100} & set(taken)
    assert set(chosen(9, some)) == set(some) and len(chosen(3, some[:1])) == 1
    same = [at(5, worth) for worth in range(4)]
    assert len(chosen(3, same)) == 3
