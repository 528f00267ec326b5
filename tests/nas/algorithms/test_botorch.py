"""BoTorch's acquisition function over our candidates: what is known is exact, what is open counts, bounds hold, noise is learnt."""

import numpy as np
import pytest

from nas.algorithms import make_algorithm
from nas.objectives import Constraint, Objective, default_reference, hypervolume, meets
from search_spaces import Choice, InputError, SearchSpace

pytest.importorskip("botorch")
pytestmark = pytest.mark.slow

OBJECTIVES = [Objective("gain", "max"), Objective("cost", "min")]
SPACE = SearchSpace(
    "toy", [Choice("kind", ["a", "b", "c"]), Choice("x", list(range(1, 13))), Choice("y", [1, 2, 4, 8])]
)


@pytest.fixture(autouse=True)
def quick_fits(monkeypatch):
    monkeypatch.setattr("nas.algorithms.botorch_nehvi.TOLERANCE", 1e-4)


def worth(architecture):
    """Gains bend with cost, and one kind is better than the others."""
    x, y = architecture["x"], architecture["y"]
    cost = float(x * y)
    return {"gain": cost**0.5 + x / 4 - 2 * (architecture["kind"] != "b"), "cost": cost}


def make(**options):
    return make_algorithm("botorch-qlognehvi", SPACE, options.pop("objectives", OBJECTIVES), **options)


def estimate_all(architectures):
    return {name: np.array([worth(a)[name] for a in architectures]) for name in ("gain", "cost")}


@pytest.mark.parametrize("constraints", [[], [Constraint("cost", upper=24)], [Constraint("gain", lower=3)]])
def test_where_everything_is_known_the_largest_gain_of_hypervolume_is_asked(constraints):
    """What was told and breaks a bound is no part of the front."""
    algorithm = make(estimate=estimate_all, constraints=constraints)
    rng = np.random.default_rng(3)
    for _ in range(12):
        architecture = SPACE.sample(rng)
        algorithm.tell(architecture, worth(architecture))
    for _ in range(3):
        reference = default_reference(list(algorithm.told.values()), OBJECTIVES)
        front = [metrics for metrics in algorithm.told.values() if meets(metrics, constraints)]
        now = hypervolume(front, OBJECTIVES, reference)
        left = [a for a in SPACE.enumerate() if a.key not in algorithm.known and meets(worth(a), constraints)]
        best = max(hypervolume([*front, worth(a)], OBJECTIVES, reference) for a in left) - now
        asked = algorithm.ask()
        found = hypervolume([*front, worth(asked)], OBJECTIVES, reference) - now
        assert found == pytest.approx(best, rel=0.02)
        algorithm.tell(asked, worth(asked))


def test_what_is_being_evaluated_counts_as_it_is_expected_to_end():
    """Once the best of what is known is being evaluated, it and what it dominates add nothing."""
    algorithm = make(estimate=estimate_all)
    rng = np.random.default_rng(3)
    for _ in range(12):
        architecture = SPACE.sample(rng)
        algorithm.tell(architecture, worth(architecture))
    reference = default_reference(list(algorithm.told.values()), OBJECTIVES)
    believed = list(algorithm.told.values())
    for _ in range(4):
        now = hypervolume(believed, OBJECTIVES, reference)
        left = [a for a in SPACE.enumerate() if a.key not in algorithm.known]
        best = max(hypervolume([*believed, worth(a)], OBJECTIVES, reference) for a in left) - now
        believed.append(worth(algorithm.ask()))
        assert hypervolume(believed, OBJECTIVES, reference) - now == pytest.approx(best, rel=0.02)


def test_it_learns_what_pays():
    """With the cost known, most of what is asked is of the better kind."""

    def estimate(architectures):
        return {"cost": np.array([worth(a)["cost"] for a in architectures])}

    algorithm, kinds = make(estimate=estimate, seed=1), []
    for _ in range(18):
        architecture = algorithm.ask()
        kinds.append(architecture["kind"])
        algorithm.tell(architecture, worth(architecture))
    assert kinds[12:].count("b") >= 5, kinds


def test_one_objective_alone_is_improved():
    algorithm = make(objectives=[Objective("gain", "max")], constraints=[Constraint("cost", upper=40)])
    best = max(worth(a)["gain"] for a in SPACE.enumerate() if worth(a)["cost"] <= 40)
    for _ in range(16):
        architecture = algorithm.ask()
        algorithm.tell(architecture, worth(architecture))
    found = max(m["gain"] for m in algorithm.told.values() if m["cost"] <= 40)
    assert found > 0.9 * best


def test_cut_and_rebuilt_it_asks_what_it_would_have_asked():
    """With rejections, a bound that only some told of, repeats and open asks."""
    constraints = [Constraint("cost", upper=60), Constraint("memory", upper=50)]

    def tell(algorithm, number, architecture):
        metrics = worth(architecture)
        if number == 4:
            algorithm.tell_rejected(architecture, {"cost": metrics["cost"]})
        elif number == 6:
            algorithm.tell_failure(architecture, "out of memory")
        elif number < 9:
            algorithm.tell(architecture, {**metrics, **({"memory": metrics["cost"]} if number > 4 else {})})
        if number == 2:
            algorithm.tell_repeat(architecture, {**metrics, "gain": metrics["gain"] + 0.3})

    whole, rebuilt = (make(seed=2, initial=4, constraints=constraints) for _ in range(2))
    asked = []
    for number in range(12):
        asked.append(whole.ask())
        tell(whole, number, asked[-1])
    for number, architecture in enumerate(asked):
        rebuilt.expect(architecture)
        tell(rebuilt, number, architecture)
    assert [whole.ask() for _ in range(2)] == [rebuilt.ask() for _ in range(2)]


def test_a_further_evaluation_of_the_same_changes_what_is_believed():
    """Two evaluations that disagree say that the results are noisy."""

    def asked(repeated):
        algorithm = make(seed=0)
        rng = np.random.default_rng(0)
        for _ in range(12):
            architecture = SPACE.sample(rng)
            algorithm.tell(architecture, worth(architecture))
            if repeated:
                algorithm.tell_repeat(architecture, {**worth(architecture), "gain": float(rng.normal(0, 4))})
        return [algorithm.ask() for _ in range(3)]

    assert asked(False) != asked(True)


def test_other_users_of_torchs_random_numbers_notice_nothing(recwarn):
    import torch

    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    algorithm = make(initial=3)
    recwarn.clear()
    for _ in range(5):
        architecture = algorithm.ask()
        algorithm.tell(architecture, worth(architecture))
    assert torch.rand(1) == expected
    assert not recwarn.list


def test_too_few_results_to_begin_with_are_refused():
    with pytest.raises(InputError, match="initial must be at least 2, not 1"):
        make(initial=1)
