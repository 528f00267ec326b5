"""The latency predictor on made-up devices whose truth is known."""

import json

import numpy as np
import pytest

from evaluators.latency import LatencyPredictor
from evaluators.latency.features import TERMS, operator_work
from evaluators.latency.predictor import WorkModel
from search_spaces import Choice, InputError, SearchSpace, YoloSpace

SPACE = YoloSpace()


def sample(count, seed=0):
    rng = np.random.default_rng(seed)
    return [SPACE.sample(rng) for _ in range(count)]


def device(architectures, seed=0, noise=0.02):
    """A made-up device: random positive prices, and small networks that pay a little more."""
    rng = np.random.default_rng(seed)
    prices = np.array([WorkModel.NOMINAL[term] for _, term in TERMS]) * np.exp(0.7 * rng.standard_normal(len(TERMS)))
    work = operator_work(architectures)
    clean = work.table @ prices
    clean = clean * (1 + 0.2 / (1 + np.sqrt(work.pixels) / 200))
    return clean * np.exp(noise * rng.standard_normal(len(clean)))


@pytest.fixture(scope="module")
def fitted():
    architectures = sample(60)
    return LatencyPredictor.fit(architectures, device(architectures)), architectures


def test_few_measurements_predict_the_rest(fitted):
    predictor, _ = fitted
    rest = sample(300, seed=9)
    truth = device(rest)
    value, low, high = predictor.predict(rest)
    assert value.shape == low.shape == high.shape == (300,)
    assert (np.abs(value / truth - 1) < 0.1).mean() > 0.85
    assert 0.8 < ((low <= truth) & (truth <= high)).mean() <= 1
    assert (low < value).all() and (value < high).all()


def test_it_says_how_good_it_is(fitted):
    predictor, architectures = fitted
    held = predictor.held_out
    assert held.count == 60 == len(held.value_ms)
    measured = device(architectures)
    assert held.within_10 == pytest.approx((np.abs(np.array(held.value_ms) / measured - 1) <= 0.1).mean())
    assert held.coverage_90 >= 0.88


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
    space = SearchSpace("toy", [Choice("depth", [1, 2, 4, 8]), Choice("width", [8, 16, 32, 64]), Choice("kind", ["a", "b"])])
    architectures = list(space.enumerate())
    truth = np.array([a["depth"] * a["width"] ** 1.5 * (2 if a["kind"] == "b" else 1) for a in architectures])
    chosen = np.random.default_rng(0).permutation(len(architectures))[:14]
    predictor = LatencyPredictor.fit([architectures[i] for i in chosen], truth[chosen])
    value, _, _ = predictor.predict(architectures)
    assert np.abs(value / truth - 1).max() < 0.1
    assert len(predictor.predict([])[0]) == 0


def test_another_device_s_profile_helps_when_little_was_measured(fitted):
    """The second device has the first one's prices, all of them three times higher, and one of them ten times."""
    prior, _ = fitted
    factors = np.where([kind == "concat" for kind, _ in TERMS], 10.0, 3.0)
    rest, few = sample(200, seed=11), sample(10, seed=12)

    def other(architectures):
        return operator_work(architectures).table @ (prior.work.prices * factors)

    def error(predictor):
        return np.median(np.abs(predictor.predict(rest)[0] / other(rest) - 1))

    alone = LatencyPredictor.fit(few, other(few))
    adapted = LatencyPredictor.fit(few, other(few), adapt_from=[prior])
    assert error(adapted) < 0.7 * error(alone)


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
