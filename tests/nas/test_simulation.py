"""The simulated cluster: figures that can be worked out by hand, and that nothing is lost whatever happens."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas import Objective
from nas.simulation import SimulatedWorker, simulate
from search_spaces import Choice, InputError, SearchSpace

SPACE = SearchSpace("toy", [Choice("a", list(range(60))), Choice("b", list(range(60)))])
OBJECTIVES = [Objective("gain", "max"), Objective("cost", "min")]


def evaluate(architecture):
    return {"gain": math.sqrt(architecture["a"]) + architecture["b"] / 10, "cost": architecture["a"]}


def run(workers, **options):
    options = {"seconds": lambda job: 100.0, "max_evaluations": 20, **options}
    return simulate(SPACE, evaluate, OBJECTIVES, workers=workers, **options)


def test_equal_workers_are_used_all_the_time():
    report = run([SimulatedWorker()] * 4)
    assert (report.seconds, report.useful, report.offered, report.utilisation) == (500, 2000, 2000, 1)
    assert all(e.seconds == 100 and e.ended_at - e.started_at == 100 for e in report.evaluations)


def test_a_barrier_waits_for_the_slowest():
    workers = [SimulatedWorker(1.0), SimulatedWorker(0.1)]
    barrier = run(workers, max_evaluations=10, generation=2)
    assert barrier.seconds == 5 * 1000 and barrier.utilisation == pytest.approx((500 + 5000) / 10000)
    free = run(workers, max_evaluations=11)
    assert free.seconds == 1000 and free.utilisation == 1  # ten by the fast one while the slow one does one


def test_asks_are_answered_one_after_another():
    report = run([SimulatedWorker()] * 10, driver_seconds=1.0, max_evaluations=10)
    assert report.seconds == 110 and report.driver_seconds == 10


def test_it_begins_with_references_and_ends_by_its_clock():
    first = [SPACE.architecture(a=59, b=b) for b in (3, 1)]
    report = run([SimulatedWorker()], references=first, max_evaluations=100, max_seconds=450.0)
    assert [e.architecture for e in report.evaluations][:2] == first
    assert len(report.evaluations) == 5 and report.seconds == 500  # the last began before the end


def test_workers_join_and_leave():
    report = run([SimulatedWorker(joins=50), SimulatedWorker(leaves=150)], max_evaluations=3)
    assert [e.node for e in report.evaluations] == ["worker 1", "worker 0", "worker 0"]
    assert report.wasted == 50  # the second job of the one that left
    with pytest.raises(InputError, match="every simulated worker has left"):
        run([SimulatedWorker(leaves=150)])
    with pytest.raises(InputError, match="speeds above 0"):
        run([SimulatedWorker(0)])


@settings(max_examples=15, deadline=None)
@given(
    speeds=st.lists(st.floats(0.1, 2), min_size=1, max_size=12),
    death_rate=st.floats(0, 0.2),
    preempted_every=st.floats(1000, 5000),  # the slowest job takes 1,000; what never ends ends the search, rightly
    generation=st.sampled_from([None, 4]),
    seed=st.integers(0, 9),
)
def test_nothing_is_lost_or_asked_twice(speeds, death_rate, preempted_every, generation, seed):
    report = run(
        [SimulatedWorker(s) for s in speeds],
        death_rate=death_rate,
        preempted_every=preempted_every,
        generation=generation,
        seed=seed,
    )
    assert len(report.evaluations) == len({e.key for e in report.evaluations}) == 20
    assert {e.status for e in report.evaluations} <= {"finished", "failed"}
    assert all("times)" in e.reason for e in report.evaluations if e.status == "failed")
    asked = sum(event.state == "asked" for event in report.events)
    assert asked == 20 + sum(event.state == "retried" for event in report.events)
    assert report.useful + report.wasted <= report.offered + 1e-6
    times = [event.at for event in report.events]
    assert times == sorted(times) and report.seconds >= times[-1]


def test_the_same_seed_is_the_same_simulation():
    options = {"death_rate": 0.1, "preempted_every": 500.0, "algorithm": "evolution"}
    first, second = (run([SimulatedWorker(s) for s in (0.2, 0.7, 1)], seed=3, **options) for _ in range(2))
    assert first.events == second.events


@pytest.mark.slow
def test_a_thousand_workers_take_seconds():
    report = run([SimulatedWorker()] * 1000, max_evaluations=1500)
    assert len(report.evaluations) == 1500 and report.real_seconds < 60
