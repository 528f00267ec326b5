"""When a search gives up."""

from nas import Constraint
from nas.session.limits import (
    FAILURES,
    LATER_STARTS,
    REJECTIONS_PER_EVALUATION,
    START_SECONDS,
    STARTS,
    Failures,
    Rejections,
    Starts,
    nothing_fits,
)
from nas.storage.records import Evaluation
from nas.storage.states import State
from search_spaces import Choice, SearchSpace

SPACE = SearchSpace("toy", [Choice("a", [1, 2, 3])])


def test_rejections_are_counted_against_the_budget():
    rejections = Rejections(2, count=REJECTIONS_PER_EVALUATION * 2 - 1)
    rejections.add()
    assert not rejections.are_too_many
    rejections.add()
    assert rejections.are_too_many and rejections.count == 11


def test_the_nearest_to_a_constraint_that_nothing_meets_is_named():
    rejected = [
        Evaluation(SPACE.architecture(a=a), State.REJECTED, {"latency_ms": 5.0 + a}, "too slow") for a in (2, 1, 3)
    ]
    text = nothing_fits(rejected, [Constraint("latency_ms", upper=5), Constraint("cost", upper=1)])
    assert text.endswith("was found: none met latency_ms <= 5; the nearest of 3 tried has 6")
    assert nothing_fits(rejected, []).endswith("was found: the last because: too slow")


def test_failures_that_are_all_alike_from_the_first_on():
    failures = Failures()
    assert [failures.add("no device") for _ in range(FAILURES)] == [False] * (FAILURES - 1) + [True]
    failures = Failures()
    assert not any(failures.add(f"reason {number}") for number in range(2 * FAILURES))
    failures = Failures()
    failures.otherwise()
    assert not any(failures.add("no device") for _ in range(2 * FAILURES))


class Clock:
    """Seconds that a test moves."""

    now = 0.0

    def __call__(self):
        return self.now


def test_workers_that_do_not_come_up_get_some_time():
    clock = Clock()
    starts = Starts(clock)
    assert not any(starts.failed() for _ in range(2 * STARTS))
    clock.now += START_SECONDS
    assert starts.failed()


def test_after_one_that_came_up_it_takes_many_more():
    clock = Clock()
    starts = Starts(clock)
    starts.failed()
    clock.now += START_SECONDS
    starts.succeeded()
    assert not starts.failed()  # the time begins anew
    clock.now += START_SECONDS
    assert not any(starts.failed() for _ in range(LATER_STARTS - 2))
    assert starts.failed()
