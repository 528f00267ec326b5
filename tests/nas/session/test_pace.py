"""Time: what still fits into it, and how much of it is left, against a truth that a simulated clock knows."""

import numpy as np
import pytest

from evaluators import Evaluator
from nas import Constraint, Objective, make_algorithm
from nas.schedulers import make_scheduler
from nas.session.listener import Listener
from nas.session.outcome import Outcome
from nas.session.session import Session
from nas.storage.folder import RunFolder
from nas.storage.spending import searched_seconds
from nas.storage.states import State
from nas.storage.store import Store
from search_spaces import Choice, SearchSpace

SPACE = SearchSpace("toy", [Choice("width", list(range(1, 41))), Choice("kind", list(range(5)))])
OBJECTIVES = [Objective("gain", "max"), Objective("macs", "min")]


class Costed(Evaluator):
    """Knows of a network what would be known of a detector."""

    def estimate(self, architectures):
        width = np.array([a["width"] for a in architectures], float)
        return {"macs": 1e6 * width**2, "peak_activation_bytes": 1e4 * width, "params": 1e5 * width}


def metrics_of(architecture):
    known = Costed().estimate([architecture])
    return {"gain": float(architecture["kind"]), **{name: float(value[0]) for name, value in known.items()}}


def takes(architecture):
    """Seconds: some for every training, and some by the width."""
    return 20.0 + 10.0 * architecture["width"]


def at(width, kind=0):
    return SPACE.architecture(width=width, kind=kind)


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


class Heard(Listener):
    """Remembers the time that was left, as it was said, and when."""

    def __init__(self, clock):
        self.clock, self.left, self.said = clock, [], []

    def lasts(self, seconds):
        self.left.append((self.clock(), seconds))

    def once(self, text, about=None):
        self.said.append(text)


@pytest.fixture
def make(tmp_path):
    """The function that begins a session, or goes on with one: (session, clock, what was heard)."""
    stores = []

    def make(folder="run", constraints=(), seed=1, now=1000.0, **options):
        clock = Clock()
        clock.now = now
        heard, path = Heard(clock), RunFolder(tmp_path / folder)
        path.path.mkdir(exist_ok=True)
        new = not path.exists
        stores.append(
            Store.create(path.store, space=SPACE, settings={}, clock=clock) if new else Store.open(path.store)
        )
        stores[-1].clock = clock
        evaluator = Costed()
        options = {"algorithm": "random", **options}
        algorithm = make_algorithm(
            options.pop("algorithm"), SPACE, OBJECTIVES, seed=seed, estimate=evaluator.estimate, constraints=constraints
        )
        options = {"max_evaluations": None, **options}
        session = Session(
            evaluator, make_scheduler("fifo", algorithm, ()), stores[-1], path, listener=heard, clock=clock, **options
        )
        return session, clock, heard

    yield make
    for store in stores:
        store.close()


def drive(session, clock, workers=1, speed=1.0):
    """Run a session's jobs on so many workers; the architectures in the order in which they began."""
    running, begun = [], []
    while True:
        while len(running) < workers and (job := session.propose()) is not None:
            session.running(job, "here")
            begun.append(job.architecture)
            running.append((clock.now + takes(job.architecture) / speed, len(begun), job))
        if not running:
            return begun
        ends, _, job = min(running)
        running.remove((ends, _, job))
        clock.now = ends
        session.conclude(
            job, Outcome("finished", metrics_of(job.architecture), seconds=takes(job.architecture) / speed)
        )


def test_nothing_is_started_that_would_not_end_in_time(make):
    session, clock, heard = make(budget_seconds=1800, first=[at(4), at(8), at(16)])
    begun = drive(session, clock)
    assert begun[:3] == [at(4), at(8), at(16)] and len(begun) > 5
    assert 1800 * 0.9 < clock.now - 1000 <= 1800 * 1.05
    assert session.complete and session.over


@pytest.mark.parametrize("workers", [2, 4])
def test_workers_share_the_time(make, workers):
    session, clock, _ = make(budget_seconds=1800, first=[at(4), at(8), at(16)])
    begun = drive(session, clock, workers)
    assert sum(map(takes, begun)) > 0.8 * 1800 * workers and clock.now - 1000 <= 1800 * 1.05


def test_what_waits_and_fits_is_taken_before_what_does_not(make):
    session, clock, _ = make(budget_seconds=400, first=[at(10), at(40), at(15)])
    begun = drive(session, clock)
    assert begun[:2] == [at(10), at(15)] and at(40) not in begun


def test_a_guess_counts_until_something_has_ended(make):
    session, _, _ = make(budget_seconds=100, first=[at(20)], guess=(at(20), 200.0))
    job = session.propose()
    assert job is None or takes(job.architecture) < 100
    session, clock, heard = make("other", max_evaluations=2, first=[at(20), at(21)], guess=(at(20), 3000.0))
    drive(session, clock)
    assert heard.left[0][1] == pytest.approx(6000, rel=0.1)  # by the guess, which is wrong
    assert next(left for when, left in heard.left if when == 1220) == pytest.approx(230, rel=0.1)


def test_jobs_that_wait_for_others_have_less_room(make):
    session, clock, _ = make(
        budget_seconds=1000, first=[at(10)] + [at(width, kind) for width in (20, 21) for kind in range(5)]
    )
    job = session.propose()
    session.running(job, "here")
    clock.now += takes(job.architecture)
    session.conclude(job, Outcome("finished", metrics_of(job.architecture), seconds=takes(job.architecture)))
    batch = []
    while (job := session.propose(after=batch)) is not None:
        batch.append(job)
    assert 880 * 0.7 < sum(takes(job.architecture) for job in batch) <= 880 * 1.25


def test_a_run_that_goes_on_has_what_is_left_of_its_time(make):
    session, clock, _ = make(budget_seconds=1000, first=[at(10), at(20)], max_evaluations=2)
    drive(session, clock)
    assert clock.now == 1000 + 120 + 220
    session.store.close()
    session, clock, _ = make(budget_seconds=1000, now=50_000.0)  # whatever was done meanwhile
    begun = drive(session, clock)
    assert 660 * 0.8 < clock.now - 50_000 == sum(map(takes, begun)) <= 660 * 1.1
    session.store.close()
    session, clock, _ = make(budget_seconds=500, now=90_000.0)
    assert session.complete and session.propose() is None


def test_time_in_which_several_ran_counts_once_and_what_never_ended_not_at_all(make):
    session, clock, _ = make(max_evaluations=4, first=[at(10), at(20), at(30), at(40)])
    drive(session, clock, workers=2)
    events = session.store.events()
    # 10 and 20 begin together, 30 after 10, 40 after 20
    assert searched_seconds(events) == pytest.approx(220 + 420)
    running = [e for e in events if e.state == State.RUNNING]
    assert searched_seconds(running) == 0


# -- time left ------------------------------------------------------------------------------------------------------


def errors(heard, ends, old):
    """Mean error of the time left as it was said when evaluations ended, and by the old rule, as shares of the whole time."""
    said = dict(heard.left)
    return np.mean(
        [[abs(left - (ends - when)) / (ends - 1000.0) for left in (said[when], by)] for when, by in old], axis=0
    )


def by_the_mean(session, evaluations, began):
    """What was said before: the mean of all that is done, of how many are left."""
    ended = sorted(e.ended_at for e in session.store.evaluations())
    return [
        (when, (when - began) / (i + 1) * (evaluations - i - 1)) for i, when in enumerate(ended) if i + 1 < evaluations
    ]


# widths that are asked first, and by how much of the whole time the time left may be off
FIRST = {
    "references outside of the bounds first": ([40, 39, 20, 5], 0.12),
    "plain scalings first": ([20, 13, 8, 4, 2, 40], 0.15),
}


@pytest.mark.parametrize("algorithm", ["random", "evolution"])
@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize(("first", "most"), FIRST.values(), ids=FIRST)
def test_the_time_left_is_near_the_truth_where_the_mean_of_what_is_done_need_not_be(
    make, workers, first, most, algorithm
):
    within = [Constraint("macs", upper=4e8)]  # width 20
    options = {"constraints": within, "algorithm": algorithm, "max_evaluations": 30}
    found = []
    for seed in range(4):
        session, clock, heard = make(str(seed), first=[at(width) for width in first], seed=seed, **options)
        drive(session, clock, workers)
        found.append(errors(heard, clock.now, by_the_mean(session, 30, 1000.0)))
    new, old = np.mean(found, axis=0)
    assert new < most and (new < old / 2 or old < 0.15), (new, old)


def test_time_left_counts_down_to_nothing_and_ends_with_the_hours(make):
    session, clock, heard = make(max_evaluations=6, first=[at(20)])
    drive(session, clock)
    assert heard.left[-1] == (clock.now, 0.0) and heard.left[0][1] is None  # before anything tells
    session, clock, heard = make("hours", budget_seconds=2000, first=[at(20)])
    drive(session, clock)
    assert all(left == pytest.approx(3000 - when, abs=200) for when, left in heard.left[1:-3])


def test_what_waits_to_be_asked_counts_as_it_is(make):
    session, clock, heard = make(max_evaluations=5, first=[at(10), at(20), at(30), at(35), at(40)])
    drive(session, clock)
    after_the_first = next(left for when, left in heard.left if when == 1120)
    assert pytest.approx(after_the_first, rel=0.5) == 220 + 320 + 370 + 420  # by what powers usually are
    last = [left for when, left in heard.left if when == clock.now - 420]
    assert last[-1] == pytest.approx(420, rel=0.1)
