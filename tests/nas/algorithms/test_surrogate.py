"""Surrogate search: what it makes of bounds that only an evaluation tells, and of a record that it is rebuilt from."""

import pytest

from nas import Constraint, Objective, make_algorithm
from search_spaces import Choice, SearchSpace

SPACE = SearchSpace("toy", [Choice("a", list(range(60))), Choice("b", list(range(60)))])
OBJECTIVES = [Objective("gain", "max"), Objective("cost", "min")]


def gain(architecture):
    return architecture["a"] + 0.3 * (architecture["b"] % 7)


def cost(architecture):
    return architecture["a"] + architecture["b"]


def test_nothing_beyond_a_bound_on_an_objective_counts():
    """Where gain and cost grow together, most of what improves the front lies beyond the bound."""
    algorithm = make_algorithm("surrogate", SPACE, OBJECTIVES, seed=0, constraints=[Constraint("cost", upper=20)])
    costs = []
    for _ in range(24):
        architecture = algorithm.ask()
        costs.append(cost(architecture))
        algorithm.tell(architecture, {"gain": gain(architecture), "cost": costs[-1]})
    assert sum(cost > 20 for cost in costs[algorithm.initial :]) <= 8  # all 16 without


def test_what_a_rejected_architecture_costs_is_learnt():
    """Evaluations that break the bound end before their gain is known."""
    algorithm = make_algorithm("surrogate", SPACE, OBJECTIVES, seed=0, constraints=[Constraint("cost", upper=40)])
    rejected = []
    while len(algorithm.told) < 20 and len(rejected) < 60:
        architecture = algorithm.ask()
        rejected.append(cost(architecture) > 40)
        if rejected[-1]:
            algorithm.tell_rejected(architecture, {"cost": cost(architecture)})
        else:
            algorithm.tell(architecture, {"gain": gain(architecture), "cost": cost(architecture)})
    assert sum(rejected[-12:]) <= 3, rejected


@pytest.mark.parametrize("widens", [6, 9])
def test_cut_anywhere_and_rebuilt_it_asks_what_it_would_have_asked(widens):
    """Also where the range of an objective comes to need another scale, and after rejections."""

    def tell(algorithm, number, architecture):
        value = 1 + gain(architecture) / 100 + (30 if number == widens else 0)
        if number % 5 == 2:
            algorithm.tell_rejected(architecture, {"cost": cost(architecture)})
        else:
            algorithm.tell(architecture, {"gain": value, "cost": cost(architecture)})

    def make():
        return make_algorithm("surrogate", SPACE, OBJECTIVES, seed=0, initial=3)

    whole, asked = make(), []
    for number in range(14):
        asked.append(whole.ask())
        tell(whole, number, asked[-1])
    for cut in range(4, 14):
        rebuilt = make()
        for number, architecture in enumerate(asked[:cut]):
            tell(rebuilt, number, architecture)
        assert rebuilt.ask() == asked[cut], f"cut after {cut}"
