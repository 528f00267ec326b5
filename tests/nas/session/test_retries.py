"""What is tried again, how often, and when."""

import pytest

from nas.schedulers import Job
from nas.session.outcome import Ending
from nas.session.retries import BACK_OFF, LONGEST, MOST, Retries
from search_spaces import Choice, SearchSpace

SPACE = SearchSpace("toy", [Choice("a", [1, 2])])
FIRST, SECOND = (Job(SPACE.architecture(a=a)) for a in (1, 2))


class Clock:
    """Seconds that a test moves."""

    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.mark.parametrize("ending", MOST)
def test_waits_double_up_to_the_longest_and_end(clock, ending):
    retries, waits = Retries(clock), []
    for number in range(1, MOST[ending] + 1):
        attempt = retries.add(FIRST, ending)
        assert (attempt.number, attempt.most) == (number, MOST[ending])
        waits.append(retries.next_at - clock.now)
        assert retries.take() is None and retries.jobs == [FIRST]
        clock.now = retries.next_at
        assert retries.take() == FIRST and retries.jobs == [] and retries.next_at is None
    assert waits == [min(LONGEST, BACK_OFF * 2**i) for i in range(MOST[ending])]
    assert retries.add(FIRST, ending) is None and retries.jobs == []
    assert retries.count(FIRST, ending) == MOST[ending] + 1


def test_deaths_of_one_kind_and_of_one_job_count_for_themselves(clock):
    retries = Retries(clock)
    for _ in range(MOST[Ending.DIED] + 1):
        retries.add(FIRST, Ending.DIED)
    assert retries.add(FIRST, Ending.DIED) is None
    assert retries.add(FIRST, Ending.LOST).number == 1 and retries.add(SECOND, Ending.DIED).number == 1


def test_what_is_due_longest_comes_first(clock):
    retries = Retries(clock)
    retries.add(FIRST, Ending.LOST)
    clock.now += BACK_OFF / 2
    retries.add(SECOND, Ending.LOST)
    clock.now += 10
    assert [retries.take(), retries.take(), retries.take()] == [FIRST, SECOND, None]


def test_an_attempt_reads_as_it_is_said(clock):
    assert str(Retries(clock).add(FIRST, Ending.DIED)) == "retry 1 of 2 in 1 s"
