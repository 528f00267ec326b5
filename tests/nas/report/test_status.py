"""`evoyolo status`: what it says is what is so, during a search, after a kill, and at the end."""

import math
import os
import signal
import subprocess
import sys
import time

import pytest

from nas import Constraint, Objective, load_run, search
from nas.cli.main import main
from nas.report.front import write_front
from nas.report.status import describe_status
from nas.storage.store import Store
from search_spaces import Choice, InputError, SearchSpace

pytestmark = pytest.mark.slow

SPACE = SearchSpace("toy", [Choice("a", list(range(12))), Choice("b", list(range(12)))])
OBJECTIVES = [Objective("gain", "max"), Objective("cost", "min")]


def evaluate(architecture):
    if architecture["a"] % 2:
        raise ValueError("an odd one")
    return {"gain": math.sqrt(architecture["a"]), "cost": architecture["b"]}


def test_from_inside_a_running_search(tmp_path):
    seen = []

    def looking(architecture):
        seen.append(describe_status(tmp_path / "run"))
        return {"gain": architecture["a"], "cost": architecture["b"]}

    search(SPACE, looking, OBJECTIVES, max_evaluations=3, directory=tmp_path / "run")
    lines, alive = seen[2]
    assert alive and "a search is running; 2 of 3 evaluated, 0 of them failed, 1 running, 0 asked" in lines[0]
    assert " runs on " in lines[1] and "front: " in lines[3]
    lines, alive = describe_status(tmp_path / "run")
    assert not alive and "no search is running; 3 of 3 evaluated" in lines[0]
    assert not any("resume" in line for line in lines)


def test_repeats_are_told(tmp_path):
    seen = []

    def looking(architecture, repeat=0):
        if repeat:
            seen.append(describe_status(tmp_path / "run"))
        if repeat == 2:
            raise ValueError("not again")
        return {"map50_95": 0.5 + repeat / 50, "cost": architecture["b"]}

    objectives = [Objective("map50_95", "max"), Objective("cost", "min")]
    search(SPACE, looking, objectives, max_evaluations=6, repeats=3, directory=tmp_path / "run")
    lines, _ = seen[1]
    assert lines[0].endswith("1 trained again with other seeds (1 running)") and "-3 runs on " in lines[1]
    lines, _ = describe_status(tmp_path / "run")
    assert "6 of 6 evaluated, 0 of them failed" in lines[0]
    assert lines[0].endswith("; 2 trained again with other seeds (1 failed)")
    assert any("map50_95 by 0.03 (by 3 trainings of one model and what is usual)" in line for line in lines)
    assert "failed once: ValueError: not again" in lines


def test_failures_retries_and_nodes(tmp_path):
    search(SPACE, evaluate, OBJECTIVES, max_evaluations=30, directory=tmp_path / "run", algorithm="random")
    spare = [a for a in SPACE.enumerate() if a["a"] == 11]
    with Store.open(tmp_path / "run" / "store.sqlite") as store:
        known = {e.key for e in store.evaluations()}
        first, second = [a for a in spare if a.key not in known][:2]
        store.asked(first, {})
        store.running(first, node="n7")
        store.retried(first, "node n7 is gone", node="n7")
        store.asked(second, {})
        store.running(second, node="n8")
        store.set_meta("complete", False)
        lines, alive = describe_status(tmp_path / "run")
        assert alive and "1 running, 1 asked" in lines[0]
        assert any(f"{second.key} runs on n8 for " in line for line in lines)
    lines, alive = describe_status(tmp_path / "run")
    text = "\n".join(lines)
    assert not alive and "running when it stopped, to be started again: 1" in text
    assert "times: ValueError: an odd one" in text
    assert "tried again once, the last time because node n7 is gone" in text
    assert lines[-1].startswith("to go on, call `search` again with directory=")
    (tmp_path / "run" / "search.yaml").touch()  # a command started it
    assert describe_status(tmp_path / "run")[0][-1] == f"to go on, run `evoyolo resume {tmp_path / 'run'}`"


def test_only_what_meets_the_constraints_is_best(tmp_path, capsys):
    space = SearchSpace("toy", [Choice("a", [1, 9]), Choice("b", [1])])
    run = search(
        space,
        lambda a: {"gain": a["a"], "cost": a["a"]},
        [Objective("gain", "max"), Objective("cost", "min")],
        max_evaluations=2,
        constraints=[Constraint("cost", upper=5)],
        directory=tmp_path / "run",
    )
    assert len(run.evaluations) == 2 and [e.architecture["a"] for e in run.eligible] == [1]
    assert "best gain 1, cost 1" in capsys.readouterr().out.splitlines()[-1]
    assert any("front: 1 of 2 finished, best gain 1, cost 1" in line for line in describe_status(tmp_path / "run")[0])


def test_a_front_that_was_not_exported(tmp_path):
    search(SPACE, evaluate, OBJECTIVES, max_evaluations=2, directory=tmp_path / "run", algorithm="random")
    assert not any("export" in line for line in describe_status(tmp_path / "run")[0])  # nor need it be, here
    (tmp_path / "run" / "search.yaml").touch()
    assert describe_status(tmp_path / "run")[0][-1].startswith("its front is not exported yet: run `evoyolo resume ")
    (tmp_path / "run" / "front.json").touch()  # a crash left it empty
    assert "not exported yet" in describe_status(tmp_path / "run")[0][-1]
    write_front(load_run(tmp_path / "run"))
    assert not any("export" in line for line in describe_status(tmp_path / "run")[0])
    options = {"max_evaluations": 40, "directory": tmp_path / "run", "algorithm": "random", "resume": True}
    search(SPACE, evaluate, OBJECTIVES, **options)  # another front, and the file is of the old one
    assert "not exported yet" in describe_status(tmp_path / "run")[0][-1]


def test_a_folder_without_a_run(tmp_path, capsys):
    assert main(["status", str(tmp_path)]) == 1
    assert "holds no run" in capsys.readouterr().err
    with pytest.raises(InputError):
        describe_status(tmp_path)


SLOW = """
import sys, time
from nas import Objective, search
from search_spaces import Choice, SearchSpace
space = SearchSpace("toy", [Choice("a", list(range(12))), Choice("b", list(range(12)))])
def evaluate(architecture):
    time.sleep(1)
    return {"gain": architecture["a"], "cost": architecture["b"]}
run = search(space, evaluate, [Objective("gain", "max"), Objective("cost", "min")], max_evaluations=50, directory=sys.argv[1])
print("returned", len(run.evaluations), flush=True)
"""


@pytest.fixture
def slow_search(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW, str(tmp_path / "run")], stdout=subprocess.PIPE, text=True, cwd=os.getcwd()
    )
    assert "1/50 evaluated" in process.stdout.readline()
    yield process
    process.kill()
    process.wait()


def test_interrupted_once_it_waits_for_what_runs(slow_search, tmp_path):
    time.sleep(0.2)
    slow_search.send_signal(signal.SIGINT)
    rest = slow_search.stdout.read()
    assert slow_search.wait() == 0
    assert "stopping: nothing more is started, waiting for what runs (1); Ctrl-C again stops at once" in rest
    assert "2/50 evaluated" in rest and rest.splitlines()[-1] == "returned 2"
    assert "2 of 50 evaluated, 0 of them failed, 0 running" in describe_status(tmp_path / "run")[0][0]


def test_interrupted_twice_it_stops_at_once(slow_search, tmp_path):
    time.sleep(0.1)
    slow_search.send_signal(signal.SIGINT)
    assert "stopping" in slow_search.stdout.readline()
    slow_search.send_signal(signal.SIGINT)
    assert slow_search.wait() != 0 and "returned" not in slow_search.stdout.read()
    lines, alive = describe_status(tmp_path / "run")
    assert not alive and "1 of 50 evaluated, 0 of them failed, 1 running" in lines[0]
    assert lines[-1].startswith("to go on, call `search` again with directory=")
