"""Another run's results as a prior."""

import numpy as np
import pytest

from nas.algorithms.elsewhere import prior_from
from search_spaces import Choice, SearchSpace

SPACE = SearchSpace("toy", [Choice("a", list(range(12))), Choice("b", list(range(12))), Choice("c", ["x", "y"])])


def value(architecture):
    return architecture["a"] - 0.5 * architecture["b"] + 3 * (architecture["c"] == "y")


def found(count, space=SPACE):
    rng = np.random.default_rng(0)
    return [(a, value(a)) for a in (space.sample(rng) for _ in range(count))]


def test_it_knows_architectures_that_the_other_run_did_not_try():
    results = found(25)
    prior = prior_from(results, SPACE)
    new = [a for a in SPACE.enumerate() if a not in [b for b, _ in results]]
    scores = prior(new)
    assert np.corrcoef(scores, [value(a) for a in new])[0, 1] > 0.95
    told = prior([a for a, _ in results])
    assert told.mean() == pytest.approx(0, abs=0.05) and told.std() == pytest.approx(1, abs=0.1)


def test_a_space_that_was_restricted_sees_all_results():
    narrow = SPACE.restrict({"a": [0, 1, 2, 3]})
    whole, restricted = prior_from(found(25), SPACE), prior_from(found(25), narrow)
    architectures = list(narrow.enumerate())
    assert restricted(architectures) == pytest.approx(whole([SPACE.adopt(a) for a in architectures]))


def test_what_the_space_does_not_hold_is_left_out():
    other = SearchSpace("toy", [Choice("a", [20, 30]), Choice("b", [1, 2]), Choice("c", ["x", "y"])])
    assert prior_from(found(6, other), SPACE) is None


def test_few_results_leave_the_prior_that_there_is():
    def below(architectures):
        return np.zeros(len(architectures))

    assert prior_from(found(2), SPACE, below) is below
    assert prior_from([(a, 1.0) for a, _ in found(9)], SPACE, below) is below


def test_it_stands_on_the_prior_that_there_is():
    """Where the results say little, what is known without them shows."""
    below = prior_from(found(60), SPACE)
    new = list(SPACE.enumerate())
    truth = [value(a) for a in new]
    with_it, without = prior_from(found(4), SPACE, below), prior_from(found(4), SPACE)
    assert np.corrcoef(with_it(new), truth)[0, 1] > np.corrcoef(without(new), truth)[0, 1]
