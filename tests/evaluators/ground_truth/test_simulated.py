"""The simulation of trainings: near the truth, as noisy as the table, and sane beyond it."""

import numpy as np
import pytest
from scipy.stats import kendalltau

from evaluators.ground_truth.simulated import SimulatedEvaluator, estimate_noise
from evaluators.ground_truth.table import read_table
from nas import Objective
from nas.simulation import SimulatedWorker, simulate
from search_spaces import InputError, YoloSpace

from .conftest import EPOCHS, NOISE, made_up_accuracy, made_up_seconds, write_table

pytestmark = pytest.mark.slow
SPACE = YoloSpace().restrict({"image_size": [96, 128, 160]})


@pytest.fixture(scope="module")
def simulated(table_file):
    return SimulatedEvaluator(table_file, fidelities=None)


@pytest.fixture(scope="module")
def new():
    rng = np.random.default_rng(8)
    return [SPACE.sample(rng) for _ in range(200)]


def test_it_is_near_the_truth_of_architectures_that_were_not_trained(simulated, new):
    truth, said = made_up_accuracy(new), simulated.truth(new)
    assert kendalltau(said, truth).statistic > 0.75
    assert np.sqrt(((said - truth) ** 2).mean()) < 0.4 * truth.std()
    seconds = np.array([simulated.evaluate(a)["train_seconds"] for a in new])
    assert np.median(np.abs(seconds / made_up_seconds(new) - 1)) < 0.08
    assert 0.002 < simulated.spread(new).mean() < 0.05


def test_it_states_its_error(simulated):
    held = simulated.held_out
    assert held.architectures == 70 and held.kendall_tau > 0.7 and held.explained > 0.8
    assert NOISE / 2 < held.noise < held.rmse < 0.06 and held.seconds_error < 0.1


def test_its_noise_is_that_of_the_table_and_the_same_whatever_is_asked_before(simulated, new, table_file):
    said, truth = [np.array([e.evaluate(a)["map50_95"] for a in new]) for e in (simulated, simulated.repeated(1))], None
    truth = simulated.truth(new)
    assert np.std(said[0] - truth) == pytest.approx(simulated.noise.around(truth).mean(), rel=0.2)
    assert abs(np.corrcoef(said[0] - truth, said[1] - truth)[0, 1]) < 0.25
    assert simulated.noise.deviation == pytest.approx(NOISE, rel=0.5) and simulated.noise.freedom == 12
    again = SimulatedEvaluator(table_file, fidelities=None)
    assert [again.evaluate(a) for a in new[:3][::-1]] == [pytest.approx(simulated.evaluate(a)) for a in new[:3][::-1]]
    other = SimulatedEvaluator(table_file, seed=1)
    assert other.evaluate(new[0])["map50_95"] != again.evaluate(new[0])["map50_95"]


def test_earlier_epochs_are_as_in_the_table(simulated, new):
    early = [simulated.evaluate(a, None, 4) for a in new]
    whole = [simulated.evaluate(a, None, EPOCHS) for a in new]
    ratio = np.array([e["map50_95"] / w["map50_95"] for e, w in zip(early, whole)])
    assert np.median(ratio) == pytest.approx(0.5, abs=0.05)
    assert all(e["train_seconds"] == pytest.approx(w["train_seconds"] / 2) for e, w in zip(early, whole))
    assert all(0 <= w["map50_95"] <= w["map50"] <= 1 for w in whole)


def test_beyond_the_table_it_says_no_more_than_at_its_edge(simulated, new):
    yolo = YoloSpace()
    far = [yolo.preset("yolov8s", image_size=size) for size in (512, 640)]
    assert simulated.is_outside(far).all() and simulated.is_outside(new).mean() < 0.3
    assert np.ptp(simulated.truth(far)) < 0.02 and simulated.truth(far).max() < 0.9
    assert max(simulated.evaluate(a)["train_seconds"] for a in far) < 5 * made_up_seconds(new).max()


def test_it_can_be_searched_on_a_simulated_clock(table_file, board):
    evaluator = SimulatedEvaluator(table_file, profile=board)
    report = simulate(
        SPACE,
        evaluator,
        [Objective("map50_95", "max"), Objective("latency_ms", "min")],
        workers=[SimulatedWorker()],
        seconds=lambda job: evaluator.seconds(job.architecture),
        max_evaluations=1000,
        max_seconds=1000.0,
    )
    spent = sum(evaluator.seconds(e.architecture) for e in report.evaluations)
    assert report.seconds == pytest.approx(spent) and 1000 <= spent < 1300
    assert all("latency_ms" in e.metrics for e in report.evaluations)


def test_noise_that_no_seeds_tell_is_the_usual_one(architectures, tmp_path):
    table = read_table(write_table(tmp_path / "once.csv", architectures[:20], repeated=0))
    assert estimate_noise(table).freedom == 0 and estimate_noise(table).deviation > 0
    few = write_table(tmp_path / "few.csv", architectures[:19])
    with pytest.raises(InputError, match="19 architectures; a simulation needs 20"):
        SimulatedEvaluator(few)
