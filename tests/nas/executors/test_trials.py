"""What Tune is told of a session, without a cluster."""

from nas import Objective, search
from nas.executors import run_here
from nas.executors.trials import SessionSearcher, SessionStopper
from search_spaces import Choice, SearchSpace

SPACE = SearchSpace("toy", [Choice("a", list(range(12))), Choice("b", list(range(12)))])
OBJECTIVES = [Objective("gain", "max"), Objective("cost", "min")]


def tune_sees(session):
    """What Tune is told where no node holds a trial: (what is suggested, whether to stop everything)."""
    searcher = SessionSearcher(session, lambda: 0)
    return searcher.suggest("trial"), SessionStopper(searcher).stop_all()


def test_without_a_node_a_search_can_be_ended(tmp_path):
    seen = []

    def executor(session):
        seen.append(tune_sees(session))
        run_here(session)
        session._dry = False  # as after the last result
        seen.append(tune_sees(session))
        session.drain()
        seen.append(tune_sees(session))

    search(
        SPACE,
        lambda a: {"gain": a["a"], "cost": a["b"]},
        OBJECTIVES,
        max_evaluations=2,
        directory=tmp_path / "run",
        executor=executor,
    )
    assert seen == [(None, False), ("FINISHED", False), ("FINISHED", True)]


def test_a_trial_that_has_not_begun_is_not_waited_for(tmp_path):
    def executor(session):
        searcher = SessionSearcher(session, lambda: 1)
        stopper = SessionStopper(searcher)
        assert searcher.suggest("t") and not stopper.stop_all()
        session.drain()
        assert stopper.stop_all()
        searcher.on_trial_result("t", {"node": "n"})
        assert not stopper.stop_all()  # it runs

    run = search(SPACE, dict, OBJECTIVES, max_evaluations=2, directory=tmp_path / "run", executor=executor)
    assert [e.status for e in run.all_evaluations] == ["running"]
