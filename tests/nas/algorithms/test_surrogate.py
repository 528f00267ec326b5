"""Surrogate search: what it makes of bounds that only an evaluation tells."""

from nas import Constraint, Objective, make_algorithm
from search_spaces import Choice, SearchSpace


def test_nothing_beyond_a_bound_on_an_objective_counts():
    """Where gain and cost grow together, most of what improves the front lies beyond the bound."""
    space = SearchSpace("toy", [Choice("a", list(range(60))), Choice("b", list(range(60)))])
    objectives = [Objective("gain", "max"), Objective("cost", "min")]
    algorithm = make_algorithm("surrogate", space, objectives, seed=0, constraints=[Constraint("cost", upper=20)])
    costs = []
    for _ in range(24):
        architecture = algorithm.ask()
        a, b = architecture["a"], architecture["b"]
        costs.append(a + b)
        algorithm.tell(architecture, {"gain": a + 0.3 * (b % 7), "cost": a + b})
    assert sum(cost > 20 for cost in costs[algorithm.initial :]) <= 8  # all 16 without
