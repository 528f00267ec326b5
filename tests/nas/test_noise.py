"""Noise: pooled, shrunk, and what it lets one say of a front."""

import math

import numpy as np
import pytest
from scipy.stats import norm

from nas.noise import Noise, chance_dominated, differs, normal_cdf, pooled


def test_few_trainings_say_little_against_what_is_usual_and_many_say_all():
    few = pooled([[0.50, 0.50 + 0.2 * math.sqrt(2)]], 0.03)  # a deviation of .2, of one degree of freedom
    assert few == Noise(pytest.approx(math.sqrt((2 * 0.03**2 + 0.2**2) / 3)), 2, 1)
    rng = np.random.default_rng(0)
    many = pooled(rng.normal([[1.0], [5.0]], 0.2, (2, 500)), 0.03)
    assert many.deviation == pytest.approx(0.2, rel=0.1) and (many.trainings, many.architectures) == (1000, 2)


def test_architectures_that_differ_are_no_noise():
    assert pooled([[1.0, 1.1], [5.0, 5.1], [9.0]], None).deviation == pytest.approx(0.1 / math.sqrt(2))


@pytest.mark.parametrize("values", [[], [[0.3], [0.4]], [[0.0, 0.0, 0.0], [0.1]]])
def test_what_cannot_be_estimated_stays_usual_and_says_so(values):
    noise = pooled(values, 0.03)
    assert noise.deviation == 0.03 and not noise.measured


def test_without_anything_usual_what_agrees_is_exact():
    assert pooled([[3.0, 3.0]], None) == Noise(0.0, 2, 1)
    assert pooled([[3.0]], None) == Noise(0.0, measured=False)


def test_the_error_of_a_mean():
    assert Noise(0.06).error(4) == pytest.approx(0.03)


def test_a_measurable_difference():
    assert differs(0.05, 0.02, 0.02) and not differs(-0.04, 0.02, 0.02)
    assert differs(1e-9, 0.0, 0.0) and not differs(0.0, 0.0, 0.0)


def test_the_normal_distribution():
    values = np.linspace(-6, 6, 1001)
    assert np.abs(normal_cdf(values) - norm.cdf(values)).max() < 1e-7


@pytest.mark.parametrize(("errors", "tolerance"), [((0.8, 0.0), 0.02), ((0.8, 0.5), 0.03)])
def test_chances_are_those_of_drawing(errors, tolerance):
    rng = np.random.default_rng(0)
    means = np.stack([np.sort(rng.normal(size=12)), -np.sort(rng.normal(size=12))], axis=1)
    errors = np.broadcast_to(errors, (12, 2)) * rng.uniform(0.3, 1.5, (12, 1))
    drawn = means + errors * rng.standard_normal((20_000, 12, 2))
    found = chance_dominated(means, errors)
    for i in range(12):
        mine = drawn[:, i : i + 1]
        is_dominated = ((drawn <= mine).all(2) & (drawn < mine).any(2)).any(1)
        assert found[i] == pytest.approx(is_dominated.mean(), abs=tolerance)
    assert ((found > 0.1) & (found < 0.9)).sum() >= 3
    assert (chance_dominated(means, errors, [3, 7]) == found[[3, 7]]).all()


def test_without_noise_it_is_dominance():
    means = np.array([[1.0, 1.0], [1.0, 1.0], [2.0, 0.5], [2.0, 1.0]])
    assert chance_dominated(means, np.zeros((4, 2))).tolist() == [0.0, 0.0, 0.0, 1.0]
