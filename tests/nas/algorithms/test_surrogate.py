"""Surrogate search: bounds that only an evaluation tells, a record that it is rebuilt from, and what it makes of a prior, noise, cost."""

import numpy as np
import pytest

from nas import Constraint, Objective, make_algorithm
from nas.algorithms import Unaffordable
from nas.objectives import hypervolume
from search_spaces import Choice, InputError, SearchSpace

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


# -- what is known beforehand, noise and cost -------------------------------------------------------------------------

WIDE = SearchSpace("wide", [Choice(f"c{i}", [0, 1, 2, 3]) for i in range(8)])
WEIGHTS = np.array([0.1, 0.9, 0.2, 1.5, 0.4, 0.7, 0.3, 1.1])  # of accuracy; what it costs is the sum of all
ACCURACY = [Objective("accuracy", "max"), Objective("cost", "min")]


def levels(architectures):
    return np.array([[a[f"c{i}"] for i in range(8)] for a in architectures], float)


def accuracy(architectures):
    return np.tanh((levels(architectures) - 1.5) @ WEIGHTS / 4)


def costs(architectures):
    return {"cost": levels(architectures).sum(1)}


def useless(architectures):
    """Scores that say nothing of the accuracy, though something of the choices."""
    return (levels(architectures) - 1.5) @ np.array([1, -0.8, 1, -0.4, 1, -0.6, 1, 0.3]) / 2.5


def searched(seed, count, prior=None):
    """Hypervolume of what is asked, after every evaluation."""
    algorithm = make_algorithm("surrogate", WIDE, ACCURACY, seed=seed, estimate=costs, prior=prior)
    told, volumes = [], []
    for _ in range(count):
        asked = algorithm.ask()
        told.append({"accuracy": float(accuracy([asked])[0]), "cost": float(costs([asked])["cost"][0])})
        algorithm.tell(asked, told[-1])
        volumes.append(hypervolume(told, ACCURACY, {"accuracy": -1, "cost": 24}))
    return np.array(volumes)


def test_a_good_prior_is_ahead_from_the_start_and_a_useless_one_is_unlearnt():
    seeds, count = range(3), 16
    without = np.mean([searched(seed, count) for seed in seeds], axis=0)
    good = np.mean([searched(seed, count, lambda a: 2 * accuracy(a)) for seed in seeds], axis=0)
    bad = np.mean([searched(seed, count, useless) for seed in seeds], axis=0)
    assert good[5] > 1.1 * without[5] and good[-1] >= without[-1]
    assert bad[-1] > 0.95 * without[-1]


def test_a_prior_that_gives_no_scores_is_refused():
    algorithm = make_algorithm("surrogate", WIDE, ACCURACY, estimate=costs, prior=lambda a: np.full(len(a), np.nan))
    for _ in range(3):
        asked = algorithm.ask()
        algorithm.tell(asked, {"accuracy": 0.0, "cost": 1.0})
    with pytest.raises(InputError, match=r"the prior must give \d+ finite scores"):
        algorithm.ask()


def noisy(seed, repeats):
    """(values asked first with their repeats told, algorithm)."""
    rng = np.random.default_rng(seed)
    algorithm = make_algorithm("surrogate", WIDE, ACCURACY, seed=seed, estimate=costs, prior=accuracy)

    def measure(architecture):
        value = float(accuracy([architecture])[0] + 0.3 * rng.standard_normal())
        return {"accuracy": value, "cost": float(costs([architecture])["cost"][0])}

    asked = []
    for number in range(12):
        asked.append(algorithm.ask())
        algorithm.tell(asked[-1], measure(asked[-1]))
        if number in repeats:
            algorithm.tell_repeat(asked[-1], measure(asked[-1]))
    return algorithm, asked


def test_rebuilt_with_a_prior_and_repeats_it_asks_the_same():
    algorithm, asked = noisy(0, repeats=(1, 5))
    rebuilt = make_algorithm("surrogate", WIDE, ACCURACY, seed=0, estimate=costs, prior=accuracy)
    for architecture in asked:
        rebuilt.tell(architecture, algorithm.told[architecture.key])
        for metrics in algorithm.repeats.get(architecture.key, ()):
            rebuilt.tell_repeat(architecture, metrics)
    assert rebuilt.ask() == algorithm.ask()


def timed(**options):
    """Costly ones take long, and are told to: a second for every two units of cost to the third power."""

    def known(architectures):
        cost = costs(architectures)["cost"]
        return {"cost": cost, "macs": 1e6 * (1 + cost) ** 3}

    algorithm = make_algorithm("surrogate", WIDE, ACCURACY, seed=0, estimate=known, **options)
    seconds = []
    for _ in range(14):
        asked = algorithm.ask()
        cost = float(costs([asked])["cost"][0])
        seconds.append((1 + cost) ** 3 / 2)
        metrics = {"accuracy": float(accuracy([asked])[0]), "cost": cost, "train_seconds": seconds[-1]}
        algorithm.tell(asked, metrics)
    return algorithm, np.array(seconds)


def test_what_takes_long_is_asked_later():
    _, by_the_second = timed()
    _, by_the_ask = timed(cost_metric=None)
    assert by_the_second[3:].sum() < 0.7 * by_the_ask[3:].sum()


def test_no_more_than_is_affordable_is_asked():
    algorithm, seconds = timed()
    everything = [WIDE.sample(np.random.default_rng(seed)) for seed in range(50)]
    expected = algorithm.expected_seconds(everything)
    assert np.corrcoef(np.log(expected), np.log1p(costs(everything)["cost"]))[0, 1] > 0.99
    algorithm.affordable = float(np.median(expected)) / 4
    for _ in range(4):
        asked = algorithm.ask()
        assert algorithm.expected_seconds([asked])[0] <= algorithm.affordable
    algorithm.affordable = 1e-3
    with pytest.raises(Unaffordable, match="nothing new is expected to take"):
        algorithm.ask()


def test_seconds_are_unknown_until_an_evaluation_tells():
    algorithm = make_algorithm("surrogate", WIDE, ACCURACY, estimate=costs)
    assert algorithm.expected_seconds([WIDE.sample(0)]) is None
    algorithm.affordable = 1.0
    assert algorithm.ask() in algorithm.pending
