"""Stores that earlier versions wrote are read, and searches go on in them.

Both files hold a random search that was interrupted: version 2 one with three rungs, version 1 one without.
"""

import shutil
from collections import Counter
from pathlib import Path

import pytest

from evaluators import Evaluator, Rejected
from nas import Objective, load_run, search
from nas.storage.schema import VERSION
from nas.storage.states import State
from nas.storage.store import Store
from search_spaces import Choice, SearchSpace

DATA = Path(__file__).parent / "data"
SPACE = SearchSpace("toy", [Choice("a", list(range(12))), Choice("b", list(range(12)), when={"a": list(range(1, 12))})])
OBJECTIVES = [Objective("gain", "max"), Objective("cost", "min")]


def measured(architecture):
    if architecture["a"] == 3:
        raise ValueError("a three")
    if architecture["a"] == 5:
        raise Rejected("cost 5 > 4", {"cost": 5.0})
    return {"gain": float(architecture["a"]), "cost": float(architecture.get("b", 0))}


class Curves(Evaluator):
    """What is gained grows with the fidelity."""

    fidelities = (1, 2, 4)

    def evaluate(self, architecture, directory, fidelity=None):
        metrics = measured(architecture)
        return {**metrics, "gain": metrics["gain"] * (1 - 0.5**fidelity)}


@pytest.fixture
def directory(tmp_path):
    def directory(version):
        shutil.copy(DATA / f"store-v{version}.sqlite", tmp_path / "store.sqlite")
        return tmp_path

    return directory


@pytest.mark.parametrize(
    ("version", "counts", "spent", "events"),
    [
        (1, {State.FINISHED: 6, State.FAILED: 1, State.REJECTED: 1, State.ASKED: 1}, 7, 17),
        (
            2,
            {State.FINISHED: 3, State.PAUSED: 5, State.FAILED: 1, State.REJECTED: 1, State.RUNNING: 1},
            5.25,
            59,
        ),
    ],
)
@pytest.mark.parametrize("space", [None, SPACE])
def test_they_are_read(directory, version, counts, spent, events, space):
    run = load_run(directory(version), space)
    assert Counter(e.status for e in run.all_evaluations) == counts
    assert (run.spent, len(run.events), run.complete) == (spent, events, False)
    assert {e.reason for e in run.all_evaluations if e.status == State.FAILED} == {"ValueError: a three"}
    assert run.objectives == OBJECTIVES and run.front and run.repeats == []


@pytest.mark.parametrize(("version", "evaluate"), [(1, measured), (2, Curves())])
def test_searches_go_on_in_them_to_the_end_that_they_would_have_had(directory, tmp_path_factory, version, evaluate):
    path = directory(version)
    before = load_run(path)
    options = {"max_evaluations": 12, "algorithm": "random", "seed": 1}
    run = search(SPACE, evaluate, OBJECTIVES, directory=path, resume=True, **options)
    whole = search(SPACE, evaluate, OBJECTIVES, directory=tmp_path_factory.mktemp("whole") / "run", **options)
    ended = {e.key: e.metrics for e in run.evaluations}
    assert {e.key: e.metrics for e in before.evaluations}.items() <= ended.items()
    assert [(e.key, e.status, e.metrics) for e in run.all_evaluations] == [
        (e.key, e.status, e.metrics) for e in whole.all_evaluations
    ]
    assert run.complete and 12 <= run.spent < 13
    with Store.open(path / "store.sqlite") as store:
        assert store._connection.execute("PRAGMA user_version").fetchone()[0] == VERSION
        assert store.events()[: len(before.events)] == before.events
        store.asked(run.evaluations[0].architecture, {}, repeat=1)
        assert [e.repeat for e in store.repeats()] == [1] and store.evaluations() == run.all_evaluations
