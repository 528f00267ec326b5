"""Durations: learnt from what has ended, sensible from the first one on."""

import numpy as np
import pytest

from nas.durations import Durations


def known(macs, memory=1e6, params=1e6):
    return {"macs": macs, "peak_activation_bytes": memory, "params": params}


def test_nothing_is_expected_before_something_has_ended():
    assert Durations().expect({"macs": np.array([1e6])}) is None


def test_the_same_again_takes_as_long_and_more_work_takes_longer():
    durations = Durations()
    durations.learn(known(1e8), 60.0)
    same, more = durations.expect({name: np.array([v, v * 4]) for name, v in known(1e8).items()})
    assert same == pytest.approx(60)
    assert 60 * 2 < more < 60 * 8


def test_powers_are_learnt():
    durations, rng = Durations(), np.random.default_rng(0)
    for macs in rng.uniform(1e7, 1e9, 40):
        durations.learn(known(macs, memory=macs), 1e-6 * macs)
    expected = durations.expect({name: np.array([v]) for name, v in known(1e8, memory=1e8).items()})
    assert expected[0] == pytest.approx(100, rel=0.1)


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan"), float("inf")])
def test_what_is_no_time_teaches_nothing(seconds):
    durations = Durations()
    durations.learn(known(1e8), seconds)
    assert len(durations) == 0


def test_where_nothing_is_known_it_is_the_usual_time():
    durations = Durations()
    for seconds in (10.0, 40.0):
        durations.learn({}, seconds)
    assert durations.expect({"other": np.zeros(3)}) == pytest.approx([20, 20, 20])
