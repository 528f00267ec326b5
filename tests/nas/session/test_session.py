"""A session: retries and their limits, odd metrics, draining; everything with a clock that the test moves."""

import pytest

from evaluators.evaluator import FunctionEvaluator
from nas import Constraint, Objective, make_algorithm
from nas.schedulers import make_scheduler
from nas.session.limits import FAILURES, START_SECONDS, STARTS
from nas.session.listener import Listener
from nas.session.outcome import Ending, Outcome
from nas.session.retries import MOST
from nas.session.session import Session
from nas.storage.folder import RunFolder
from nas.storage.states import State
from nas.storage.store import Store
from search_spaces import Choice, InputError, SearchSpace

SPACE = SearchSpace("toy", [Choice("a", list(range(12))), Choice("b", list(range(12)))])
OBJECTIVES = [Objective("gain", "max"), Objective("cost", "min")]


class Clock:
    """Seconds that a test moves."""

    now = 100.0

    def __call__(self):
        return self.now


class Heard(Listener):
    """Remembers what is said, and how often a job was concluded or retried."""

    def __init__(self):
        self.said, self.concluded_keys, self.retried_keys, self.drained = [], [], [], None

    def say(self, text):
        self.said.append(text)

    def once(self, text, about=None):
        self.said.append(text)

    def retried(self, key, why, pending):
        self.retried_keys.append(key)
        self.said.append(why)

    def concluded(self, evaluation, spent, pending):
        self.concluded_keys.append(evaluation.key)

    def drain(self, pending):
        self.drained = pending


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def heard():
    return Heard()


@pytest.fixture
def make(tmp_path, clock, heard):
    stores = []

    def make(max_evaluations=3, constraints=(), evaluator=None, fidelities=(), **options):
        folder = RunFolder(tmp_path)
        settings = {"fidelities": list(fidelities)}
        new = not folder.exists
        stores.append(Store.create(folder.store, space=SPACE, settings=settings) if new else Store.open(folder.store))
        algorithm = make_algorithm("random", SPACE, OBJECTIVES, seed=0, constraints=constraints)
        return Session(
            evaluator or FunctionEvaluator(lambda a: {"gain": a["a"], "cost": a["b"]}),
            make_scheduler("halving" if fidelities else "fifo", algorithm, fidelities),
            stores[-1],
            folder,
            max_evaluations=max_evaluations,
            listener=heard,
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


@pytest.mark.parametrize("kind", MOST)
def test_what_dies_too_often_is_a_failure(make, clock, heard, kind):
    session = make(max_evaluations=1)
    job = session.propose()
    for _ in range(MOST[kind]):
        session.conclude(job, Outcome(kind, reason="it went away"))
        clock.now = session.next_retry
        assert session.propose() == job
    assert heard.retried_keys == [job.key] * MOST[kind] and heard.said[0].startswith("it went away; retry 1 of ")
    session.conclude(job, Outcome(kind, reason="it went away"))
    failed = session.store.evaluation(job.architecture)
    assert (failed.status, failed.reason) == (State.FAILED, f"it went away ({MOST[kind] + 1} times)")
    assert session.spent == 1 and session.propose() is None and session.over and heard.concluded_keys == [job.key]


def test_a_lost_node_is_not_held_against_the_architecture(make, clock):
    session = make(max_evaluations=1)
    job = session.propose()
    for kind in [Ending.LOST] * 5 + [Ending.DIED] * MOST[Ending.DIED]:
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


def test_draining_ends_with_what_is_pending(make, heard):
    session = make()
    job = session.propose()
    session.drain()
    assert heard.drained == 1
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
def test_metrics_that_are_missing_or_odd(make, heard, outcome, status, says):
    session = make()
    job = session.propose()
    session.conclude(job, outcome)
    evaluation = session.store.evaluation(job.architecture)
    assert evaluation.status == status and (evaluation.reason or "").startswith(says or "")
    assert ("other" in evaluation.metrics) == ("other" in outcome.metrics)
    assert ("metric note is not recorded: 'x' is not a finite number" in heard.said) == ("note" in outcome.ignored)


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
    for _ in range(FAILURES):
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


def test_rejections_after_a_result_end_the_search_with_what_it_has(make, heard):
    session = make(max_evaluations=2)
    job = session.propose()
    session.conclude(job, finished(job))
    while (job := session.propose()) is not None:
        session.conclude(job, rejected(job))
    assert session.error is None and session.over and session.complete
    assert "11 architectures were rejected: the search ends with what it has" in heard.said


def test_nothing_starts_when_the_end_came_during_an_ask(make):
    session = make()
    ask = session.scheduler.ask

    def slow_ask():
        session.drain()
        return ask()

    session.scheduler.ask = slow_ask
    assert session.propose() is None and session.over and not session.store.evaluations()


def test_workers_that_do_not_come_up_while_others_may(make, clock):
    session = make()
    for _ in range(STARTS):
        session.unstarted("no module")
    assert session.error is None
    clock.now += START_SECONDS
    session.unstarted("no module")
    assert str(session.error) == "workers cannot start: no module"


def test_what_is_left_is_what_is_neither_spent_nor_pending(make):
    session = make(max_evaluations=3)
    assert session.left == 3
    job = session.propose()
    assert session.left == 2
    session.conclude(job, finished(job))
    assert session.left == 2 and session.propose() and session.propose() and session.left == 0


def test_what_runs_at_every_stop_is_named(make, heard):
    for _ in range(4):
        session = make()
        session.running(session.propose(), "n")
        session.store.close()
    key = make().store.evaluations()[0].key
    named = [text for text in heard.said if "was running each of the" in text]
    assert [text.partition(" that the search was stopped")[0] for text in named] == [
        f"{key} was running each of the {times} times" for times in (3, 4)
    ]


class Remembering(FunctionEvaluator):
    """Knows whose states it was told to remove."""

    def __init__(self, error=None):
        super().__init__(lambda a: {})
        self.discarded, self.error = [], error

    def discard(self, directory):
        self.discarded.append(directory.name)
        if self.error:
            raise self.error


def end(session, job, outcome):
    session.trial_directory(job).mkdir(parents=True, exist_ok=True)
    session.conclude(job, outcome)


def test_what_nothing_can_need_any_more_is_removed_and_what_was_put_aside_is_kept(make):
    evaluator = Remembering()
    session = make(9, [Constraint("cost", upper=5)], evaluator, fidelities=(1, 2))
    jobs = [session.propose() for _ in range(4)]
    end(session, jobs[0], Outcome("finished", {"gain": 1, "cost": 6}))  # breaks the constraint at its rung
    end(session, jobs[1], Outcome("failed", reason="NaN"))
    end(session, jobs[2], Outcome("rejected", {"cost": 9}, reason="too costly"))
    end(session, jobs[3], Outcome("finished", {"gain": 1, "cost": 1}))
    assert evaluator.discarded == [job.key for job in jobs[:3]]
    again = session.propose()
    assert (again.key, again.fidelity) == (jobs[3].key, 2)
    end(session, again, Outcome("died", reason="it died"))
    assert jobs[3].key not in evaluator.discarded
    end(session, again, Outcome("finished", {"gain": 2, "cost": 1}))
    assert evaluator.discarded[3:] == [jobs[3].key]


def test_what_a_killed_search_did_not_get_to_remove_is_removed_on_resume(make):
    session = make(9, evaluator=Remembering(), fidelities=(1, 2))
    jobs = [session.propose() for _ in range(2)]
    end(session, jobs[0], Outcome("failed", reason="NaN"))
    end(session, jobs[1], Outcome("finished", {"gain": 1, "cost": 1}))
    session.store.close()
    evaluator = Remembering()
    make(9, evaluator=evaluator, fidelities=(1, 2))
    assert evaluator.discarded == [jobs[0].key]


def test_what_cannot_be_removed_is_said_and_costs_nothing(make, heard):
    session = make(evaluator=Remembering(OSError(30, "Read-only file system")))
    job = session.propose()
    end(session, job, finished(job))
    assert session.error is None and session.store.evaluation(job.architecture).status == State.FINISHED
    assert any("could not be removed (Read-only file system)" in text for text in heard.said)


def test_an_evaluator_that_refuses_ends_the_search_and_blames_no_architecture(make):
    session = make()
    job = session.propose()
    session.running(job, "n")
    session.conclude(job, Outcome("refused", reason="data.yaml: no such file"))
    assert isinstance(session.error, InputError) and str(session.error) == "data.yaml: no such file" and session.over
    assert session.store.evaluation(job.architecture).status == State.RUNNING  # and asked again on resume


def test_without_a_listener_it_is_silent(make, capsys):
    session = make()
    session.listener = Listener()
    job = session.propose()
    session.conclude(job, finished(job))
    session.drain()
    assert capsys.readouterr() == ("", "")
