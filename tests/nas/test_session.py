"""A session: retries and their limits, odd metrics, draining; everything with a clock that the test moves."""

import pytest

from evaluators.evaluator import FunctionEvaluator
from nas import Constraint, Objective, make_algorithm
from nas.evaluation import Outcome
from nas.session import BACK_OFF, RETRIES, Session
from nas.store import Store
from search_spaces import Choice, SearchSpace

SPACE = SearchSpace("toy", [Choice("a", list(range(12))), Choice("b", list(range(12)))])
OBJECTIVES = [Objective("gain", "max"), Objective("cost", "min")]


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def make(tmp_path, clock):
    stores = []

    def make(max_evaluations=3, **options):
        path = tmp_path / "store.sqlite"
        stores.append(Store.open(path, SPACE) if path.exists() else Store.create(path, space=SPACE, settings={}))
        algorithm = make_algorithm("random", SPACE, OBJECTIVES, seed=0)
        evaluator = FunctionEvaluator(lambda a: {"gain": a["a"], "cost": a["b"]})
        return Session(
            evaluator,
            OBJECTIVES,
            algorithm,
            stores[-1],
            tmp_path,
            max_evaluations=max_evaluations,
            clock=clock,
            **options,
        )

    yield make
    for store in stores:
        store.close()


def finished(job):
    return Outcome("finished", {"gain": job.architecture["a"], "cost": job.architecture["b"]}, seconds=1.0, node="n")


def states(session, job):
    return [event.state for event in session.store.events() if event.key == job.key]


def test_the_states_of_an_evaluation_that_was_lost_and_found(make, clock):
    session = make()
    job = session.propose()
    session.running(job, "n1")
    session.conclude(job, Outcome("lost", reason="node n1 is gone", node="n1"))
    others = [session.propose(), session.propose()]
    assert session.propose() is None and not session.over  # the budget is taken, and the job waits for its time
    clock.now = session.next_retry
    assert session.propose() == job
    session.running(job, "n2")
    for each in (job, *others):
        session.conclude(each, finished(each))
    assert session.propose() is None and session.over
    assert states(session, job) == ["asked", "running", "retried", "asked", "running", "finished"]
    evaluation = session.store.evaluation(job.architecture)
    assert (evaluation.attempts, evaluation.status, evaluation.node) == (2, "finished", "n")


@pytest.mark.parametrize("kind", RETRIES)
def test_retries_back_off_and_end(make, clock, kind):
    session = make(max_evaluations=1)
    job, waits = session.propose(), []
    for _ in range(RETRIES[kind]):
        session.conclude(job, Outcome(kind, reason="it went away"))
        waits.append(session.next_retry - clock.now)
        clock.now = session.next_retry
        assert session.propose() == job
    session.conclude(job, Outcome(kind, reason="it went away"))
    assert waits[:2] == [BACK_OFF, 2 * BACK_OFF] and max(waits) <= 60
    failed = session.store.evaluation(job.architecture)
    assert (failed.status, failed.reason) == ("failed", f"it went away ({RETRIES[kind] + 1} times)")
    assert session.spent == 1 and session.propose() is None and session.over


def test_a_lost_node_is_not_held_against_the_architecture(make, clock):
    session = make(max_evaluations=1)
    job = session.propose()
    for kind in ["lost"] * 5 + ["died"] * RETRIES["died"]:
        session.conclude(job, Outcome(kind, reason="it went away"))
        clock.now = session.next_retry
        assert session.propose() == job
    session.conclude(job, finished(job))
    assert session.store.evaluation(job.architecture).status == "finished"


def test_retries_that_were_waiting_are_asked_again_by_the_next_session(make):
    session = make()
    job = session.propose()
    session.conclude(job, Outcome("died", reason="it died"))
    session.store.close()
    assert make().propose() == job


def test_draining_ends_with_what_is_open(make, capsys):
    session = make()
    job = session.propose()
    session.drain()
    assert "nothing more is started, waiting for what runs (1); Ctrl-C again stops at once" in capsys.readouterr().out
    assert session.propose() is None and not session.over
    session.conclude(job, finished(job))
    assert session.over and session.store.evaluation(job.architecture).status == "finished"


@pytest.mark.parametrize(
    ("outcome", "status", "says"),
    [
        (Outcome("finished", {"gain": 1.0}), "failed", "the evaluation gave no cost; it gave gain"),
        (Outcome("finished", {"gain": 1.0}, ignored={"cost": "'cheap'"}), "failed", "metric cost is 'cheap', not a"),
        (Outcome("finished", {"gain": 1.0, "cost": 1.0, "other": 2.0}), "finished", None),
        (Outcome("finished", {"gain": 1.0, "cost": 1.0}, ignored={"note": "'x'"}), "finished", None),
    ],
)
def test_metrics_that_are_missing_or_odd(make, capsys, outcome, status, says):
    session = make()
    job = session.propose()
    session.conclude(job, outcome)
    evaluation = session.store.evaluation(job.architecture)
    assert evaluation.status == status and (evaluation.reason or "").startswith(says or "")
    assert ("other" in evaluation.metrics) == ("other" in outcome.metrics)
    assert ("metric note is not recorded: 'x' is not a finite number" in capsys.readouterr().out) == (
        "note" in outcome.ignored
    )


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        (Outcome("finished", {"gain": 1.0, "cost": 1.0}), "the evaluation gave no latency_ms; it gave gain, cost"),
        (
            Outcome("finished", {"gain": 1.0, "cost": 1.0}, ignored={"latency_ms": "nan"}),
            "metric latency_ms is nan, not a finite number",
        ),
    ],
)
def test_what_is_bounded_must_be_measured_to_count_as_within(make, outcome, reason):
    session = make(constraints=[Constraint("latency_ms", upper=6)])
    job = session.propose()
    session.conclude(job, outcome)
    evaluation = session.store.evaluation(job.architecture)
    assert (evaluation.status, evaluation.reason) == ("failed", reason)


def test_the_deadline_is_by_the_clock(make, clock):
    session = make(max_seconds=60)
    assert session.propose() is not None
    clock.now += 61
    assert session.propose() is None
