"""What is believed of one objective."""

import numpy as np
import pytest

from evaluators.inputs import Inputs
from nas.algorithms.belief import DOUBT, NOISE, PLAIN, Process, Seen, noise_prior, scale_of


def points(count, seed=0, trend=False):
    numbers = np.random.default_rng(seed).standard_normal((count, 2 + trend))
    return Inputs(numbers, np.zeros((count, 0), np.int64))


def believe(inputs, results, new, process=None, pending=None):
    each = [np.atleast_1d(np.asarray(values, float)) for values in results]
    return (process or Process()).believe(each, PLAIN, Seen(inputs, pending, new), np.arange(len(each)), len(each))


def test_results_are_believed_without_their_noise():
    inputs, rng = points(60), np.random.default_rng(1)
    truth = inputs.numbers[:, 0] + 0.5 * inputs.numbers[:, 1]
    values = truth + 0.5 * rng.standard_normal(60)
    belief = believe(inputs, values, points(5, seed=2))
    assert np.abs(belief.told - truth).mean() < 0.5 * np.abs(values - truth).mean()


def test_what_was_repeated_is_believed_more():
    inputs = points(20)
    values = [np.array([0.0]) if i else np.array([1.0]) for i in range(20)]
    once = believe(inputs, values, points(1))
    values[0] = np.array([1.2, 0.8, 1.1, 0.9, 1.3, 0.7, 1.0, 1.0])
    often = believe(inputs, values, points(1))
    assert abs(often.told[0] - 1) < abs(once.told[0] - 1) + 1e-9 and often.told[0] > 0.8


@pytest.mark.parametrize("deviation", [0.02, 0.5])
def test_repeats_tell_how_noisy_results_are(deviation):
    rng = np.random.default_rng(0)
    results = [rng.standard_normal() + deviation * rng.standard_normal(4) for _ in range(30)]
    mean, doubt = noise_prior(results, spread=1.0)
    assert mean == pytest.approx(2 * np.log(deviation), abs=0.4) and doubt < 0.3
    few = noise_prior([*results[:1], *(values[:1] for values in results[1:])], spread=1.0)
    assert doubt < few[1] < DOUBT
    assert noise_prior([values[:1] for values in results], spread=1.0) == (NOISE, DOUBT)
    assert noise_prior([np.array([1.0, 1.0])], spread=1.0) == (NOISE, DOUBT)


def test_a_trend_says_what_a_few_results_cannot():
    inputs, new = points(4, trend=True), points(50, seed=3, trend=True)
    with_trend = believe(inputs, 2 * inputs.numbers[:, 0], new, Process(0.4))
    without = believe(
        *(Inputs(i.numbers[:, 1:], i.categories) for i in (inputs,)),
        2 * inputs.numbers[:, 0],
        Inputs(new.numbers[:, 1:], new.categories),
    )
    truth = 2 * new.numbers[:, 0]
    assert np.corrcoef(with_trend.mean, truth)[0, 1] > 0.9 > np.corrcoef(without.mean, truth)[0, 1]


def test_a_trend_that_is_none_is_unlearnt():
    inputs, new = points(15, trend=True), points(50, seed=3, trend=True)
    belief = believe(inputs, inputs.numbers[:, 1], new, Process(0.4))
    assert abs(np.corrcoef(belief.mean, new.numbers[:, 0])[0, 1]) < 0.3
    assert np.corrcoef(belief.mean, new.numbers[:, 1])[0, 1] > 0.9


def test_pending_asks_are_believed_to_end_as_predicted():
    inputs, new = points(10), points(3, seed=4)
    values = inputs.numbers[:, 0]
    alone, beside = believe(inputs, values, new), believe(inputs, values, new, pending=new)
    assert beside.pending == pytest.approx(alone.mean)
    assert beside.mean == pytest.approx(alone.mean, abs=0.02) and (beside.deviation < alone.deviation).all()


def test_values_of_very_different_sizes_are_modelled_by_their_logarithms():
    assert scale_of(np.array([1.0, 20.0])).name == "logarithm"
    assert scale_of(np.array([-1.0, -20.0])).name == "logarithm"
    assert {scale_of(np.array(v)).name for v in ([1.0, 2.0], [-1.0, 20.0], [0.0, 1.0])} == {"plain"}
