"""Choosing under a budget: intervals are taken into account, and what is given up is said."""

import numpy as np
import pytest

from evaluators import Evaluator
from nas import Objective, load_run, pick, search
from nas.delivery.selection import choose, staircase
from nas.storage.store import Store
from search_spaces import Choice, InputError, SearchSpace, YoloSpace

SPACE = SearchSpace("toy", [Choice("depth", [1, 2, 3, 4, 5, 6])])
OBJECTIVES = [Objective("map50_95", "max"), Objective("latency_ms", "min")]


class Predicted(Evaluator):
    """Accuracy 0.1 * depth at a predicted latency of depth ms, give or take 20%."""

    def estimate(self, architectures):
        value = np.array([float(a["depth"]) for a in architectures])
        return {
            "latency_ms": value,
            "latency_low_ms": 0.8 * value,
            "latency_high_ms": 1.2 * value,
            "params": value * 1e6,
        }

    def evaluate(self, architecture, directory):
        return {"map50_95": architecture["depth"] / 10}


@pytest.fixture
def run(tmp_path):
    return search(SPACE, Predicted(), OBJECTIVES, max_evaluations=6, algorithm="random", directory=tmp_path / "run")


def test_a_predicted_latency_must_surely_meet_its_budget(run):
    # 5 ms are predicted for depth 5, but it may take 6
    assert pick(run.directory, max_latency_ms=5.5).architecture["depth"] == 4
    assert pick(run.directory, max_latency_ms=6.0).architecture["depth"] == 5


def test_a_measured_latency_is_taken_at_its_word(run):
    fifth = next(e for e in run.evaluations if e.architecture["depth"] == 5)
    with Store.open(run.directory / "store.sqlite") as store:
        store.amend(fifth.architecture, {"latency_measured_ms": 5.2})
    assert pick(run.directory, max_latency_ms=5.5).architecture["depth"] == 5
    chosen = choose(run.directory, max_latency_ms=5.5)
    assert chosen.figures["max_latency_ms"].text == "latency_ms 5.20 measured, 5.00 predicted"


def test_what_was_given_up_is_said(run):
    chosen = choose(run.directory, max_latency_ms=5.5)
    may, best = chosen.given_up
    assert may.startswith("0.100 of map50_95: ") and "may meet the budget, but not surely" in may
    assert "latency_ms 5.00 predicted, 90% interval 4.00 to 6.00" in may
    assert best.startswith("0.200 of map50_95: ") and "is the best of the run" in best
    assert choose(run.directory, max_latency_ms=100.0).given_up == []


def test_several_bounds_hold_together(run):
    assert pick(run.directory, max_latency_ms=6.0, max_params=3e6).architecture["depth"] == 3
    assert pick(run.directory, min_map50_95=0.2, max_params=2.5e6).architecture["depth"] == 2


def test_a_budget_below_the_fastest_names_it(run):
    fastest = next(e for e in run.evaluations if e.architecture["depth"] == 1)
    with pytest.raises(
        InputError, match=rf"surely has latency_ms <= 0.5; the fastest is {fastest.key} with latency_ms 1.00 pre"
    ):
        pick(run.directory, max_latency_ms=0.5)
    with pytest.raises(InputError, match="run has params <= 10; the nearest is"):
        pick(run.directory, max_params=10)


def test_unknown_bounds_are_named(run):
    with pytest.raises(
        InputError, match="no bound 'max_speed': it is max_ or min_ and a metric of the run, latency_high_ms"
    ):
        pick(run.directory, max_speed=1)
    with pytest.raises(InputError, match="no bound 'latency_ms'"):
        pick(run.directory, latency_ms=1)


def test_a_run_is_asked_for_another_device(board, made_up_latency, tmp_path):
    space = YoloSpace().restrict({"image_size": [160]})
    architectures = [space.preset(name, image_size=160) for name in ("yolov8n", "yolov8-w1/8", "yolov8-w1/16")]
    accuracy = dict(zip((a.key for a in architectures), (0.5, 0.4, 0.3)))

    def evaluate(architecture):
        return {"map50_95": accuracy[architecture.key], "latency_ms": 1.0}

    search(space, evaluate, OBJECTIVES, max_evaluations=3, references=architectures, directory=tmp_path / "run")
    value, low, high = board.predict(architectures)
    chosen = choose(tmp_path / "run", board, max_latency_ms=float(high[1]) * 1.001)
    assert chosen.evaluation.key == architectures[1].key
    assert (
        f"{value[1]:.2f} ms predicted on board, 90% interval {low[1]:.2f} to {high[1]:.2f}"
        in chosen.figures["max_latency_ms"].text
    )
    with pytest.raises(InputError, match=f"the fastest is {architectures[2].key}"):
        choose(tmp_path / "run", board, max_latency_ms=0.01)
    big = board.model_copy(
        update={"measurements": [m for m in board.measurements if m.architecture["image_size"] > 200]}
    )
    with pytest.raises(InputError, match="was measured from 2.. to 6.. px; no model of .* is there"):
        choose(tmp_path / "run", big, max_latency_ms=5.0)


class Noisy(Predicted):
    """Accuracies of 0.2, 0.4, 0.5, 0.52, 0.54, 0.55 for depths 1 to 6, the same but for 0.002 in every repeat."""

    def __init__(self, repeat=0):
        self.repeat = repeat

    def repeated(self, repeat):
        return Noisy(repeat)

    def evaluate(self, architecture, directory):
        return {"map50_95": (0.2, 0.4, 0.5, 0.52, 0.54, 0.55)[architecture["depth"] - 1] + 0.002 * self.repeat}


@pytest.fixture
def noisy(tmp_path):
    def noisy(name="run", **options):
        options = {"max_evaluations": 6, "algorithm": "random", "repeats": 0, "directory": tmp_path / name, **options}
        return search(SPACE, Noisy(), OBJECTIVES, **options)

    return noisy


def test_a_difference_is_spoken_of_only_where_there_is_one(noisy):
    run = noisy()
    keys = {e.architecture["depth"]: e.key for e in run.evaluations}
    chosen = choose(run.directory)
    # 1.64 x sqrt(2) x 0.03 = 0.07: depth 3 is not measurably less accurate, depth 2 is
    assert chosen.evaluation.architecture["depth"] == 6
    assert chosen.alike == [
        f"{keys[3]} is 50% faster and not measurably less accurate (0.500 ± 0.03 against 0.550 ± 0.03)"
    ]
    within = choose(run.directory, max_latency_ms=3.7)
    assert (
        within.evaluation.key == keys[3] and within.alike == [] == within.given_up
    )  # 0.05 less is none that is measured
    within = choose(run.directory, max_latency_ms=2.5)
    assert within.evaluation.key == keys[2]
    assert [line.startswith("0.150 of map50_95: ") for line in within.given_up] == [True]
    assert f"{keys[6]} has 0.550 ± 0.03 and is the best of the run" in within.given_up[0]


def test_what_was_trained_often_is_chosen_by_its_mean_and_surer(noisy):
    run = noisy("often", confirm=60)
    (depth,) = {e.architecture["depth"] for e in run.front} & {6}
    chosen = choose(run.directory)
    assert chosen.judged.trainings > 3 and chosen.evaluation.architecture["depth"] == depth
    assert chosen.judged.metrics["map50_95"] > chosen.evaluation.metrics["map50_95"] == pytest.approx(0.55)
    assert chosen.judged.errors["map50_95"] < 0.01 and chosen.alike == []


def test_without_random_numbers_every_difference_is_one(run):
    chosen = choose(run.directory)
    assert chosen.alike == [] and chosen.judged.errors == {} and chosen.judged.trainings == 1


def test_a_profile_of_another_space_is_refused(run, board):
    with pytest.raises(InputError, match="profile board is of the space 'yolo', not of 'toy'"):
        choose(run.directory, board, max_latency_ms=5.0)


def test_the_staircase_is_what_is_picked_under_every_bound(run):
    with Store.open(run.directory / "store.sqlite") as store:
        store.amend(run.evaluations[0].architecture, {"latency_measured_ms": 2.5})
    run = load_run(run.directory)
    for metric in ("latency_ms", "params"):
        steps = staircase(run, metric)
        limits = [limit for limit, _ in steps]
        assert limits == sorted(set(limits)) and len(steps) > 2
        for low, high in zip(limits, [*limits[1:], 2 * limits[-1]]):
            expected = next(pick for limit, pick in steps if limit == low)
            for limit in (low, (low + high) / 2, high * (1 - 1e-12)):
                chosen = choose(run.directory, **{f"max_{metric}": limit})
                assert chosen.evaluation.key == expected.evaluation.key and chosen.figures == expected.figures
                assert set(expected.given_up) <= set(chosen.given_up)
        with pytest.raises(InputError):
            choose(run.directory, **{f"max_{metric}": limits[0] * (1 - 1e-9)})


def test_of_equals_the_staircase_has_the_first_that_was_asked(tmp_path):
    evaluate = lambda architecture: {"map50_95": 0.5, "latency_ms": float(7 - architecture["depth"])}  # noqa: E731
    run = search(SPACE, evaluate, OBJECTIVES, max_evaluations=6, algorithm="random", directory=tmp_path / "run")
    steps = staircase(run, "latency_ms")
    for limit, expected in steps:
        assert pick(run.directory, max_latency_ms=limit).key == expected.evaluation.key
    assert steps[-1][1].evaluation.key == run.evaluations[0].key
