"""Fronts and hypervolumes against brute force."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.objectives import Constraint, Objective, default_reference, front, hypervolume, meets, order, own_hypervolume
from search_spaces import InputError

OBJECTIVES = [Objective("accuracy", "max"), Objective("latency_ms", "min")]
results = st.lists(
    st.fixed_dictionaries({"accuracy": st.integers(0, 9).map(float), "latency_ms": st.integers(1, 9).map(float)}),
    min_size=1,
    max_size=25,
)


def dominates(a, b):
    at_least = a["accuracy"] >= b["accuracy"] and a["latency_ms"] <= b["latency_ms"]
    return at_least and (a["accuracy"] > b["accuracy"] or a["latency_ms"] < b["latency_ms"])


@given(results)
def test_front_is_what_nothing_dominates(metrics):
    assert front(metrics, OBJECTIVES) == [i for i, m in enumerate(metrics) if not any(dominates(o, m) for o in metrics)]


@given(results)
def test_hypervolume_counts_dominated_cells(metrics):
    # unit cells from (accuracy, latency) to (accuracy + 1, latency + 1), reference (0, 10)
    cells = itertools.product(range(10), range(1, 10))
    dominated = sum(any(m["accuracy"] >= a + 1 and m["latency_ms"] <= b for m in metrics) for a, b in cells)
    assert hypervolume(metrics, OBJECTIVES, {"accuracy": 0, "latency_ms": 10}) == pytest.approx(dominated)


@given(results)
def test_order_puts_the_front_first_and_agrees_with_the_reference_implementation(metrics):
    from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting

    ordered = order(metrics, OBJECTIVES)
    assert sorted(ordered) == list(range(len(metrics)))
    values = np.array([[-m["accuracy"], m["latency_ms"]] for m in metrics])
    ranks = np.empty(len(metrics), int)
    for rank, members in enumerate(NonDominatedSorting().do(values)):
        ranks[members] = rank
    assert (np.diff(ranks[ordered]) >= 0).all()


def test_reference_is_zero_for_gains_and_the_worst_for_costs():
    metrics = [{"accuracy": 0.3, "latency_ms": 4.0}, {"accuracy": 0.5, "latency_ms": 9.0}]
    assert default_reference(metrics, OBJECTIVES) == {"accuracy": 0.0, "latency_ms": 9.0}


def test_constraints():
    bound = Constraint("params", upper=2_000_000)
    assert meets({"params": 2_000_000}, [bound]) and not meets({"params": 2_000_001}, [bound])
    assert meets({"other": 1}, [bound])
    assert bound.violation(3_000_000) == pytest.approx(0.5)
    assert Constraint("accuracy", lower=0.5).violation([0.4, 0.6]) == pytest.approx([0.2, 0])
    assert str(bound) == "params <= 2,000,000"


def test_nothing_has_no_front():
    assert front([], OBJECTIVES) == [] and hypervolume([], OBJECTIVES, {"accuracy": 0, "latency_ms": 1}) == 0


def test_a_direction_is_min_or_max():
    with pytest.raises(InputError, match="'latency_ms': direction must be min or max, not 'less'"):
        Objective("latency_ms", "less")


@pytest.mark.parametrize("bound", ["9", float("nan"), True, [1]])
def test_a_bound_must_be_a_number(bound):
    with pytest.raises(InputError, match="constraint on 'cost': upper must be a finite number"):
        Constraint("cost", upper=bound)


def test_a_bound_is_a_plain_number():
    assert type(Constraint("cost", upper=np.int64(9)).upper) is int
    assert type(Constraint("cost", lower=np.float32(0.5)).lower) is float


def test_the_own_hypervolume_is_up_to_the_worst_that_was_seen():
    objectives = [Objective("map50_95", "max"), Objective("latency_ms", "min")]
    metrics = [{"map50_95": 0.4, "latency_ms": 9.0}, {"map50_95": 0.1, "latency_ms": 2.0}]
    assert own_hypervolume(metrics, objectives) == pytest.approx(0.1 * 7.0)
    assert own_hypervolume(metrics[:1], objectives) is None and own_hypervolume([], objectives) is None
