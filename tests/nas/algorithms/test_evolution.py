"""Evolution beats random search, and spreads what it evaluates."""

import numpy as np
import pytest

from nas.algorithms import make_algorithm
from nas.objectives import Objective, hypervolume
from search_spaces import Choice, SearchSpace

pytestmark = pytest.mark.slow

SPACE = SearchSpace("wide", [Choice(f"c{i}", list(range(8))) for i in range(10)])
OBJECTIVES = [Objective("gain", "max"), Objective("cost", "min")]


def measure(architecture):
    values = np.array(list(architecture.values()), float)
    # each choice gains by itself and in step with its neighbour; all of them cost
    return {"gain": float(np.sqrt(values).sum() - np.abs(np.diff(values)).sum() / 4), "cost": float(values.sum())}


def estimate(architectures):
    return {"cost": np.array([sum(a.values()) for a in architectures])}


def volume(name, seed, **options):
    algorithm = make_algorithm(name, SPACE, OBJECTIVES, seed=seed, **options)
    told = []
    for _ in range(120):
        architecture = algorithm.ask()
        told.append(measure(architecture))
        algorithm.tell(architecture, told[-1])
    return hypervolume(told, OBJECTIVES, {"gain": -20, "cost": 70})


def test_evolution_beats_random_and_known_costs_help_it_further():
    random, plain, informed = (
        np.mean([volume(name, seed, **options) for seed in range(5)])
        for name, options in (("random", {}), ("evolution", {}), ("evolution", {"estimate": estimate}))
    )
    assert random < plain < informed
