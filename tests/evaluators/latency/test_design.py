"""Choosing what to measure."""

import numpy as np
import pytest

from evaluators.latency import LatencyPredictor
from evaluators.latency.design import draw_telling, select
from evaluators.latency.predictor import prior_covariance
from search_spaces import Choice, SearchSpace, YoloSpace

pytestmark = pytest.mark.slow


def test_what_is_chosen_covers_the_space():
    space = YoloSpace()
    chosen = draw_telling(space, 24, seed=3)
    assert len({a.key for a in chosen}) == 24
    assert [a.key for a in chosen] == [a.key for a in draw_telling(space, 24, seed=3)]
    assert {a["neck"] for a in chosen} == {"PAN", "AFPN"}
    sizes = [a["image_size"] for a in chosen]
    assert min(sizes) <= 96 and max(sizes) >= 512


def test_it_beats_chance():
    space = SearchSpace(
        "toy", [Choice(f"op{i}", ["a", "b", "c", "d"]) for i in range(3)] + [Choice("width", [8, 16, 32, 64])]
    )
    everything = list(space.enumerate())
    prices = np.random.default_rng(1).uniform(0.5, 2, (3, 4))
    truth = np.array(
        [a["width"] ** 1.3 * sum(prices[i, "abcd".index(a[f"op{i}"])] for i in range(3)) for a in everything]
    )

    def error(measured):
        predictor = LatencyPredictor.fit([everything[i] for i in measured], truth[measured])
        return np.mean(np.abs(np.log(predictor.predict(everything)[0] / truth)))

    rng = np.random.default_rng(0)
    by_chance = [error(rng.permutation(len(everything))[:16]) for _ in range(5)]
    assert error(select(everything, 16)) < np.mean(by_chance)


def test_the_covariance_is_one():
    space = YoloSpace()
    rng = np.random.default_rng(0)
    covariance, noise = prior_covariance([space.sample(rng) for _ in range(50)])
    assert covariance == pytest.approx(covariance.T) and np.linalg.eigvalsh(covariance).min() > -1e-9
    assert 0 < noise < 0.2
