"""The latency predictor on made-up devices whose truth is known."""

import json

import numpy as np
import pytest

from evaluators.latency import LatencyPredictor
from evaluators.latency.features import TERMS, operator_work
from search_spaces import Choice, InputError, SearchSpace, YoloSpace

pytestmark = pytest.mark.slow

SPACE = YoloSpace()


def sample(count, seed=0):
    rng = np.random.default_rng(seed)
    return [SPACE.sample(rng) for _ in range(count)]


@pytest.fixture(scope="module")
def fitted(made_up_latency):
    architectures = sample(60)
    return LatencyPredictor.fit(architectures, made_up_latency(architectures)), architectures


def test_few_measurements_predict_the_rest(fitted, made_up_latency):
    predictor, _ = fitted
    rest = sample(300, seed=9)
    truth = made_up_latency(rest)
    value, low, high = predictor.predict(rest)
    assert value.shape == low.shape == high.shape == (300,)
    assert (np.abs(value / truth - 1) < 0.1).mean() > 0.85
    assert 0.8 < ((low <= truth) & (truth <= high)).mean() <= 1
    assert (low < value).all() and (value < high).all()


def test_it_says_how_good_it_is(fitted, made_up_latency):
    predictor, architectures = fitted
    held = predictor.held_out
    assert held.count == 60 == len(held.value_ms)
    measured = made_up_latency(architectures)
    assert held.within_10 == pytest.approx((np.abs(np.array(held.value_ms) / measured - 1) <= 0.1).mean())
    assert 0.75 < held.coverage_90 < 1


def test_numbers_survive_json(fitted):
    predictor, _ = fitted
    again = LatencyPredictor.from_dict(json.loads(json.dumps(predictor.to_dict())))
    rest = sample(20, seed=5)
    for one, other in zip(predictor.predict(rest), again.predict(rest)):
        assert one == pytest.approx(other, rel=1e-9)


def test_more_classes_take_longer(fitted):
    predictor, _ = fitted
    architecture = SPACE.preset("yolov8-w1/16", image_size=320)
    few, many = (predictor.predict([architecture], num_classes=n)[0][0] for n in (1, 600))
    assert few < many


def test_a_space_without_layer_graphs():
    space = SearchSpace(
        "toy", [Choice("depth", [1, 2, 4, 8]), Choice("width", [8, 16, 32, 64]), Choice("kind", ["a", "b"])]
    )
    architectures = list(space.enumerate())
    truth = np.array([a["depth"] * a["width"] ** 1.5 * (2 if a["kind"] == "b" else 1) for a in architectures])
    chosen = np.random.default_rng(0).permutation(len(architectures))[:14]
    predictor = LatencyPredictor.fit([architectures[i] for i in chosen], truth[chosen])
    value, _, _ = predictor.predict(architectures)
    assert np.abs(value / truth - 1).max() < 0.1
    assert len(predictor.predict([])[0]) == 0


def test_a_predictor_of_another_kind_of_space_is_refused(fitted):
    predictor, architectures = fitted
    space = SearchSpace("toy", [Choice("depth", list(range(1, 9)))])
    plain = LatencyPredictor.fit(list(space.enumerate()), np.arange(1.0, 9.0))
    for wrong, asked in ((predictor, list(space.enumerate())), (plain, architectures)):
        with pytest.raises(InputError, match="layer graphs"):
            wrong.predict(asked)
        with pytest.raises(InputError, match="layer graphs"):
            LatencyPredictor.fit(asked, np.ones(len(asked)), adapt_from=[wrong])


def test_another_device_s_profile_helps_when_little_was_measured(fitted):
    """The second device has the first one's prices, all of them three times higher, and one of them ten times."""
    prior, _ = fitted
    factors = np.where([kind == "concat" for kind, _ in TERMS], 10.0, 3.0)
    rest = sample(200, seed=11)

    def other(architectures):
        return operator_work(architectures).table @ (prior.work.prices * factors)

    def error(predictor):
        return np.median(np.abs(predictor.predict(rest)[0] / other(rest) - 1))

    alone, adapted = [], []
    for few in (sample(6, seed=seed) for seed in (12, 13, 14)):
        alone.append(error(LatencyPredictor.fit(few, other(few))))
        adapted.append(error(LatencyPredictor.fit(few, other(few), adapt_from=[prior])))
    assert np.mean(adapted) < 0.7 * np.mean(alone)


@pytest.mark.parametrize("wrong", [-1.0, 0.0, np.nan, np.inf])
def test_absurd_latencies_are_refused(wrong):
    architectures = sample(6)
    with pytest.raises(InputError, match=f"latency_ms of {architectures[2].key}.*positive and finite"):
        LatencyPredictor.fit(architectures, [1.0, 2.0, wrong, 3.0, 4.0, 5.0])


def test_too_few_or_ill_matched_measurements_are_refused():
    with pytest.raises(InputError, match="needs 5 measurements or more, not 3"):
        LatencyPredictor.fit(sample(3), [1.0, 2.0, 3.0])
    with pytest.raises(InputError, match="6 architectures need as many latencies"):
        LatencyPredictor.fit(sample(6), [1.0, 2.0])


def test_broken_numbers_are_refused(fitted):
    content = fitted[0].to_dict()
    with pytest.raises(InputError, match="field predictor"):
        LatencyPredictor.from_dict({**content, "prices": {"dense macs": 1.0}})
    with pytest.raises(InputError, match="field predictor"):
        LatencyPredictor.from_dict({**content, "process": {**content["process"], "parameters": [0.0]}})
    with pytest.raises(InputError, match="field predictor"):
        LatencyPredictor.from_dict({**content, "width": float("nan")})


def operators_space(seed):
    """A space without layer graphs and devices on it: latency adds up over operators, by prices that devices share."""
    space = SearchSpace("operators", [Choice(f"op{i}", list("abcdef")) for i in range(8)])
    rng = np.random.default_rng(seed)
    kinds = rng.uniform(0.5, 2, (3, 8, 6))  # three ways of being fast

    def latency(architectures, mixture):
        prices = np.tensordot(mixture, kinds, axes=1)
        return np.array([sum(prices[i, "abcdef".index(a[f"op{i}"])] for i in range(8)) for a in architectures])

    return space, latency


def test_other_devices_tell_of_a_new_one():
    space, latency = operators_space(0)
    rng = np.random.default_rng(1)
    architectures = [space.sample(rng) for _ in range(400)]
    others = [
        LatencyPredictor.fit(architectures[:150], latency(architectures[:150], rng.dirichlet([1, 1, 1])))
        for _ in range(4)
    ]
    truth = latency(architectures, [0.2, 0.5, 0.3])
    few, rest = slice(150, 160), slice(160, 400)
    alone = LatencyPredictor.fit(architectures[few], truth[few])
    adapted = LatencyPredictor.fit(architectures[few], truth[few], adapt_from=others)

    def error(predictor):
        return np.median(np.abs(predictor.predict(architectures[rest])[0] / truth[rest] - 1))

    assert error(adapted) < 0.5 * error(alone)
    again = LatencyPredictor.from_dict(json.loads(json.dumps(adapted.to_dict())))
    assert again.predict(architectures[rest])[0] == pytest.approx(adapted.predict(architectures[rest])[0])


def test_many_measurements_are_taken_without_refitting_for_every_fold():
    space, latency = operators_space(2)
    rng = np.random.default_rng(3)
    architectures = [space.sample(rng) for _ in range(450)]
    truth = latency(architectures, [1, 0, 0]) * np.exp(0.02 * rng.standard_normal(450))
    predictor = LatencyPredictor.fit(architectures[:250], truth[:250])
    assert predictor.held_out.folds == predictor.held_out.count == 250
    value, low, high = predictor.predict(architectures[250:])
    assert (np.abs(value / truth[250:] - 1) <= 0.1).mean() > 0.95
    assert ((low <= truth[250:]) & (truth[250:] <= high)).mean() > 0.8
    assert predictor.held_out.within_10 == pytest.approx((np.abs(value / truth[250:] - 1) <= 0.1).mean(), abs=0.06)
