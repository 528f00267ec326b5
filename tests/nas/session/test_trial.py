"""One evaluation in its process: time limits, odd results, and outcomes that are found again."""

import os
import signal
import subprocess
import sys
import time

import pytest

from evaluators.evaluator import FunctionEvaluator, Rejected
from nas.objectives import is_number
from nas.schedulers import Job
from nas.session.time_limits import hung
from nas.session.trial import run_job
from nas.storage.folder import TrialFolder
from search_spaces import Choice, SearchSpace

SPACE = SearchSpace("toy", [Choice("a", [1, 2])])
JOB = Job(SPACE.architecture(a=1))


def run(function, directory, **options):
    return run_job(FunctionEvaluator(function), JOB, directory, **options)


def test_an_outcome_is_found_again_and_not_paid_for_twice(tmp_path):
    calls = []

    def evaluate(architecture):
        calls.append(1)
        return {"gain": 1.5}

    first, second = run(evaluate, tmp_path), run(evaluate, tmp_path)
    assert first == second and first.status == "finished" and first.metrics == {"gain": 1.5} and calls == [1]
    assert [p.name for p in tmp_path.iterdir()] == ["outcome.json"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        '{"status": "finished", "metr',
        "[]",
        "{}",
        '{"status": "finished", "metrics": {"gain": "1"}}',
        '{"status": "finished", "metrics": {"gain": NaN}}',
        '{"status": "finished", "metrics": [1]}',
        '{"status": "lost"}',
        '{"status": ["finished"]}',
        '{"status": "failed", "reason": 1}',
        '{"status": "failed", "seconds": "1"}',
        '{"status": "failed", "other": 1}',
        "[" * 10_000,
    ],
)
def test_an_outcome_that_a_power_cut_or_a_stranger_left_is_evaluated_again(tmp_path, text):
    (tmp_path / "outcome.json").write_text(text)
    for _ in range(2):
        outcome = run(lambda a: {"gain": 1.5}, tmp_path)
        assert outcome.status == "finished" and outcome.metrics == {"gain": 1.5}
    assert '"gain": 1.5' in (tmp_path / "outcome.json").read_text()


def test_every_fidelity_has_an_outcome_of_its_own(tmp_path):
    class Levels(FunctionEvaluator):
        def evaluate(self, architecture, directory, fidelity=None):
            return {"gain": fidelity}

    for fidelity in (1, 2.5):
        outcome = run_job(Levels(None), Job(JOB.architecture, fidelity), tmp_path)
        assert outcome.metrics == {"gain": fidelity}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["outcome-1.json", "outcome-2.5.json"]


def test_what_is_no_number_is_told_apart_from_what_is(tmp_path):
    outcome = run(lambda a: {"gain": 1, "note": "fine", "bad": float("nan"), "none": None, "flag": True}, tmp_path)
    assert outcome.metrics == {"gain": 1}
    assert outcome.ignored == {"note": "'fine'", "bad": "nan", "none": "None", "flag": "True"}
    assert is_number(1.5) and not any(map(is_number, (True, "1", None, [1], float("inf"), b"1", object())))


def test_leaving_the_interpreter_is_a_failure_of_the_architecture(tmp_path):
    outcome = run(lambda a: sys.exit("enough"), tmp_path)
    assert (outcome.status, outcome.reason) == ("failed", "SystemExit: enough")
    assert "sys.exit" in (tmp_path / "error.txt").read_text()


def test_a_process_that_is_ended_blames_no_architecture(tmp_path):
    """As Ray ends its workers: SIGTERM, whose handler leaves the interpreter."""

    def evaluate(architecture):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(30)

    def handler(signum, frame):
        sys.exit(1)

    before = signal.signal(signal.SIGTERM, handler)
    try:
        with pytest.raises(SystemExit):
            run(evaluate, tmp_path)
        assert signal.getsignal(signal.SIGTERM) is handler
    finally:
        signal.signal(signal.SIGTERM, before)
    assert not list(tmp_path.iterdir())
    assert run(lambda a: {"gain": 1}, tmp_path).status == "finished"


def test_a_rejection_keeps_what_was_measured(tmp_path):
    def evaluate(architecture):
        raise Rejected("too slow", {"latency_ms": 9.0})

    outcome = run(evaluate, tmp_path)
    assert (outcome.status, outcome.reason, outcome.metrics) == ("rejected", "too slow", {"latency_ms": 9.0})


def test_an_evaluation_that_takes_too_long_is_stopped_here(tmp_path):
    def evaluate(architecture):
        try:
            time.sleep(30)
        except Exception:  # an evaluator that swallows everything
            return {"gain": 1}

    started = time.monotonic()
    outcome = run(evaluate, tmp_path, time_limit=0.3)
    assert time.monotonic() - started < 5
    assert (outcome.status, outcome.reason) == ("failed", "took longer than its time limit of 0.3 s")
    time.sleep(0.4)  # no alarm is left behind
    assert run(lambda a: {"gain": 1}, tmp_path / "next", time_limit=5).status == "finished"


HANGING = """
import sys
from pathlib import Path
from evaluators.evaluator import FunctionEvaluator
from nas.schedulers import Job
from nas.session.trial import run_job
from search_spaces import Choice, SearchSpace
def forever(architecture):
    "0" in iter(int, 1)          # a loop in C that never lets go of the interpreter
space = SearchSpace("toy", [Choice("a", [1, 2])])
run_job(FunctionEvaluator(forever), Job(space.architecture(a=1)), Path(sys.argv[1]), time_limit=1.0, expendable=True)
"""


def test_a_worker_that_hangs_in_c_is_ended_and_the_trial_says_where(tmp_path):
    command = [sys.executable, "-c", HANGING, str(tmp_path)]
    done = subprocess.run(command, check=False, timeout=60, cwd=os.getcwd())
    assert done.returncode != 0
    outcome = hung(TrialFolder(tmp_path), 1.0)
    assert outcome.status == "failed" and outcome.reason.startswith("took longer than its time limit of 1 s; ")
    assert "in forever" in TrialFolder(tmp_path).hung(1).read_text()
    # asked again after a crash of the driver it does not hang again; with more time it gets another try
    assert run(lambda a: {"gain": 1}, tmp_path / "../again", time_limit=2.0).status == "finished"
    assert run(lambda a: {"gain": 1}, tmp_path, time_limit=1.0).status == "failed"


def test_one_that_is_in_time_leaves_no_trace_of_the_watch(tmp_path):
    assert run(lambda a: {"gain": 1}, tmp_path, time_limit=60, expendable=True).status == "finished"
    assert hung(TrialFolder(tmp_path), 60) is None and [p.name for p in tmp_path.iterdir()] == ["outcome.json"]


@pytest.mark.parametrize("returned", [None, 3, [("gain", 1)]])
def test_what_is_no_mapping_is_a_failure(tmp_path, returned):
    outcome = run(lambda a: returned, tmp_path)
    assert outcome.status == "failed" and "not a mapping of metrics" in outcome.reason
