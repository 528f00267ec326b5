"""A session: retries and their limits, odd metrics, draining; everything with a clock that the test moves."""

import pytest

from evaluators.evaluator import FunctionEvaluator
from nas import Constraint, Objective, make_algorithm
from nas.session.session import BACK_OFF, FAILURES, RETRIES, START_SECONDS, STARTS, Session
from nas.session.trial import Outcome
from nas.storage.store import Store
from search_spaces import Choice, InputError, SearchSpace

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


def test_what_fails_alike_from_the_first_on_ends_the_search(make):
    session = make(max_evaluations=20)
    for number in range(FAILURES):
        assert session.error is None
        session.conclude(session.propose(), Outcome("failed", reason="no such device"))
    with pytest.raises(InputError, match="the first 5 evaluations all failed, because: no such device"):
        raise session.error
    assert session.propose() is None and session.over


def test_other_failures_do_not(make):
    session = make(max_evaluations=20)
    for number in range(FAILURES):
        session.conclude(session.propose(), Outcome("failed", reason=f"reason {number}"))
    assert session.error is None
    job = session.propose()
    session.conclude(job, finished(job))
    for _ in range(FAILURES):
        session.conclude(session.propose(), Outcome("failed", reason="alike"))
    assert session.error is None


def rejected(job):
    return Outcome("rejected", {"cost": 9}, reason="too costly")


def test_rejections_without_end(make):
    session = make(max_evaluations=2, constraints=[Constraint("cost", upper=5)])
    while (job := session.propose()) is not None:
        session.conclude(job, rejected(job))
    assert "nothing that meets the constraints was found: none met cost <= 5; the nearest of 11 tried has 9" in str(
        session.error
    )


def test_rejections_after_a_result_end_the_search_with_what_it_has(make, capsys):
    session = make(max_evaluations=2)
    job = session.propose()
    session.conclude(job, finished(job))
    while (job := session.propose()) is not None:
        session.conclude(job, rejected(job))
    assert session.error is None and session.over and session.complete
    assert "11 architectures were rejected: the search ends with what it has" in capsys.readouterr().out


def test_nothing_starts_when_the_end_came_during_an_ask(make):
    session = make()
    ask = session.halving.ask

    def slow_ask():
        session.drain()
        return ask()

    session.halving.ask = slow_ask
    assert session.propose() is None and session.over and not session.store.evaluations()


def test_workers_that_do_not_come_up_while_others_may(make, clock):
    session = make()
    for _ in range(STARTS):
        session.unstarted("no module")
    assert session.error is None
    clock.now += START_SECONDS
    session.unstarted("no module")
    assert str(session.error) == "workers cannot start: no module"


def test_what_is_left_is_what_is_neither_spent_nor_open(make):
    session = make(max_evaluations=3)
    assert session.left == 3
    job = session.propose()
    assert session.left == 2
    session.conclude(job, finished(job))
    assert session.left == 2 and session.propose() and session.propose() and session.left == 0


def test_what_runs_at_every_stop_is_named(make, capsys):
    for _ in range(4):
        session = make()
        session.running(session.propose(), "n")
        session.store.close()
    key = make().store.evaluations()[0].key
    output = capsys.readouterr().out
    assert f"{key} was running each of the 3 times that the search was stopped" in output
    assert "the 2 times" not in output
