"""Evaluations in the light of their repeats: means, errors, who may be off the front."""

import pytest

from nas import Constraint, Objective
from nas.storage.judged import Judgement
from nas.storage.records import Evaluation
from nas.storage.states import State
from search_spaces import Choice, SearchSpace

SPACE = SearchSpace("toy", [Choice("a", list(range(20)))])
OBJECTIVES = [Objective("map50_95", "max"), Objective("cost", "min")]


def evaluation(a, accuracy, cost=1.0, repeat=0, status=State.FINISHED):
    metrics = {"map50_95": accuracy, "cost": cost}
    return Evaluation(SPACE.architecture(a=a), status, metrics, repeat=repeat)


def judge(evaluations, repeats=(), constraints=(), is_random=True):
    return Judgement(evaluations, repeats, OBJECTIVES, constraints, is_random)


def test_the_front_is_that_of_means():
    first, second = evaluation(1, 0.50), evaluation(2, 0.45)
    assert [e.evaluation for e in judge([first, second]).front] == [first]
    judgement = judge(
        [first, second], [evaluation(1, 0.30, repeat=1), evaluation(1, 0.9, repeat=2, status=State.FAILED)]
    )
    assert [e.evaluation for e in judgement.front] == [second]
    judged = judgement.judged[first.key]
    assert judged.metrics == {"map50_95": pytest.approx(0.40), "cost": 1.0} and judged.trainings == 2
    assert first.metrics["map50_95"] == 0.50
    assert judged.errors["map50_95"] == pytest.approx(judgement.judged[second.key].errors["map50_95"] / 2**0.5)
    assert "cost" not in judged.errors  # it was the same twice


def test_what_only_the_first_one_has_stays():
    first = Evaluation(SPACE.architecture(a=1), State.FINISHED, {"map50_95": 0.5, "cost": 1.0, "measured": 7.0})
    assert judge([first], [evaluation(1, 0.3, repeat=1)]).judged[first.key].metrics["measured"] == 7.0


def test_members_whose_place_is_doubtful_are_told():
    sure, close, beaten = evaluation(1, 0.9, cost=3.0), evaluation(2, 0.41, cost=1.0), evaluation(3, 0.40, cost=1.0)
    judgement = judge([sure, close, beaten])
    assert [e.evaluation for e in judgement.front] == [sure, close]
    assert judgement.in_doubt(close.key) and not judgement.in_doubt(sure.key)
    assert 0.3 < judgement.doubts[close.key] < 0.5
    wrong = {each.evaluation.key: chance for each, chance in judgement.wrong({})}
    assert wrong[close.key] == pytest.approx(wrong[beaten.key], abs=0.01) and wrong[sure.key] < 0.01
    assert {e.evaluation.key: c for e, c in judgement.wrong({close.key: 3, beaten.key: 3})}[close.key] < wrong[
        close.key
    ]


def test_constraints_hold_for_means():
    judgement = judge(
        [evaluation(1, 0.50), evaluation(2, 0.45)],
        [evaluation(1, 0.30, repeat=1)],
        constraints=[Constraint("map50_95", lower=0.42)],
    )
    assert [e.evaluation.architecture["a"] for e in judgement.eligible] == [2]


def test_without_random_numbers_there_is_no_noise():
    judgement = judge([evaluation(1, 0.50), evaluation(2, 0.4999)], is_random=False)
    assert judgement.noise == {} and len(judgement.front) == 1 and judgement.front[0].errors == {}
    assert not judgement.in_doubt(judgement.front[0].evaluation.key)


def test_of_a_metric_that_nothing_is_known_of_noise_is_what_repeats_say():
    def of(a, gain, repeat=0):
        return Evaluation(SPACE.architecture(a=a), State.FINISHED, {"gain": gain}, repeat=repeat)

    objectives = [Objective("gain", "max")]
    assert Judgement([of(1, 3.0), of(2, 9.0)], [], objectives, (), True).noise["gain"].deviation == 0
    assert Judgement([of(1, 3.0), of(2, 9.0)], [of(1, 3.0, 1)], objectives, (), True).noise["gain"].deviation == 0
    noise = Judgement([of(1, 3.0), of(2, 9.0)], [of(1, 3.2, 1)], objectives, (), True).noise["gain"]
    assert 0.1 < noise.deviation < 1 and noise.measured  # between what the repeat and what the architectures differ by
