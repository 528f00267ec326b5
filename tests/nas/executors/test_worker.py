"""What a worker process does, done in this one."""

import pytest

from evaluators import Evaluator
from nas.executors.worker import Worker
from nas.session.outcome import Ending
from search_spaces import Choice, InputError, SearchSpace

SPACE = SearchSpace("toy", [Choice("a", [1, 2, 3])])


class Counting(Evaluator):
    """Counts how often it is set up, and fails the first `errors` times."""

    def __init__(self, *errors):
        self.setups, self.errors = 0, list(errors)

    def setup(self):
        self.setups += 1
        if self.errors:
            raise self.errors.pop(0)

    def evaluate(self, architecture, directory):
        return {"gain": architecture["a"]}


def run(worker, a=1):
    return worker.run({"a": a}, None, "host/1")


def test_an_evaluator_is_set_up_once_before_the_first_evaluation(tmp_path):
    evaluator = Counting()
    worker = Worker(evaluator, [SPACE], tmp_path, None)
    assert evaluator.setups == 0
    outcomes = [run(worker, a) for a in (1, 2)]
    assert [outcome.metrics for outcome in outcomes] == [{"gain": 1}, {"gain": 2}] and evaluator.setups == 1
    assert {outcome.node for outcome in outcomes} == {"host/1"}


@pytest.mark.parametrize(
    ("error", "ending", "reason"),
    [
        (InputError("no data"), Ending.REFUSED, "no data"),
        (RuntimeError("busy"), Ending.DIED, "the evaluator could not be set up on host/1: RuntimeError: busy"),
    ],
)
def test_what_keeps_an_evaluator_from_being_set_up_is_told_and_not_held_against_the_architecture(
    tmp_path, error, ending, reason
):
    worker = Worker(Counting(error), [SPACE], tmp_path, None)
    outcome = run(worker)
    assert (outcome.status, outcome.reason) == (ending, reason)
    assert not list(tmp_path.iterdir())
    assert run(worker).status == Ending.FINISHED  # it is tried again


def test_a_folder_that_is_not_there_is_the_fault_of_the_node(tmp_path):
    evaluator = Counting()
    outcome = run(Worker(evaluator, [SPACE], tmp_path / "nowhere", None))
    assert outcome.status == Ending.LOST and "must be on shared storage" in outcome.reason and not evaluator.setups


def test_an_architecture_may_be_of_the_second_space(tmp_path):
    worker = Worker(Counting(), [SPACE.restrict({"a": [1]}), SPACE], tmp_path, None)
    assert run(worker, 3).metrics == {"gain": 3}
