"""Ray as the executor, by Tune trials and by actors: a local Ray, kills, nodes, and clusters that are not there."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from evaluators import Evaluator
from nas import Objective, load_run, search
from nas.executors import Cluster
from search_spaces import Choice, InputError, SearchSpace

SPACE = SearchSpace("toy", [Choice("a", list(range(12))), Choice("b", list(range(12)))])
OBJECTIVES = [Objective("gain", "max"), Objective("cost", "min")]


@pytest.fixture(params=[None, 2], ids=["trials", "actors"])
def batch(request):
    return request.param


@pytest.mark.ray
def test_jobs_run_in_other_processes_and_failures_are_kept(tmp_path, batch):
    driver = os.getpid()

    def evaluate(architecture):
        if architecture["a"] == 3:
            raise ValueError("a three")
        return {"gain": architecture["a"], "cost": architecture["b"], "other": float(os.getpid() != driver)}

    space = SPACE.restrict({"a": [2, 3], "b": [0, 1, 2]})
    run = search(
        space, evaluate, OBJECTIVES, max_evaluations=6, directory=tmp_path / "run", executor=Cluster(batch=batch)
    )
    assert {event.node for event in run.events if event.state == "running"} == {e.node for e in run.all_evaluations}
    assert len(run.evaluations) == 3 and all(e.metrics["other"] for e in run.evaluations)
    assert {e.reason for e in run.all_evaluations if e.status == "failed"} == {"ValueError: a three"}
    assert [e.metrics["gain"] for e in run.front] == [2]


@pytest.mark.ray
def test_repeats_run_there_and_one_that_kills_its_worker_is_tried_again(tmp_path, batch):
    def evaluate(architecture, repeat=0):
        if repeat and not (tmp_path / "killed").exists():
            (tmp_path / "killed").touch()
            os._exit(1)
        return {"gain": architecture["a"] + repeat / 10, "cost": architecture["b"]}

    space = SPACE.restrict({"a": [2, 3], "b": [0, 1]})
    options = {"executor": Cluster(batch=batch), "directory": tmp_path / "run", "references": [space.sample(0)]}
    run = search(space, evaluate, OBJECTIVES, max_evaluations=5, confirm=2, **options)
    first = {e.key: e.metrics["gain"] for e in run.evaluations}
    assert [e.metrics["gain"] - first[e.key] for e in run.repeats] == pytest.approx(
        [e.repeat / 10 for e in run.repeats]
    )
    assert [e.confirms for e in run.repeats] == [False, True, True] and [e.attempts for e in run.repeats] == [2, 1, 1]
    assert len(first) == 4 and run.spent == 5 and run.complete


@pytest.mark.ray
def test_an_evaluation_that_kills_its_worker_or_hangs_is_recorded_and_the_others_go_on(tmp_path, batch):
    def evaluate(architecture):
        if architecture["a"] == 4:
            time.sleep(100)
        with open(tmp_path / f"tries-{architecture['a']}", "a") as tries:
            tries.write("x")
        if architecture["a"] == 3:
            os._exit(1)
        return {"gain": architecture["a"], "cost": architecture["b"]}

    run = search(
        SPACE.restrict({"a": [2, 3, 4], "b": [0]}),
        evaluate,
        OBJECTIVES,
        max_evaluations=3,
        directory=tmp_path / "run",
        executor=Cluster(batch=batch),
        time_limit=2.0,
    )
    ended = {e.architecture["a"]: e for e in run.all_evaluations}
    assert {a: e.status for a, e in ended.items()} == {2: "finished", 3: "failed", 4: "failed"}
    assert ended[3].reason.startswith("its worker died on ") and ended[3].reason.endswith("(3 times)")
    assert ended[4].reason.startswith("took longer than its time limit of 2 s; ") and ended[4].node
    assert [event.state for event in run.events if event.key == ended[4].key].count("running") == 1
    assert (tmp_path / "tries-3").read_text() == "xxx"


@pytest.mark.ray
def test_a_node_that_goes_away_loses_nothing(tmp_path):
    """One of two nodes is killed while it evaluates; its evaluation is done again on the other."""
    import ray
    from ray.cluster_utils import Cluster as LocalCluster

    cluster = LocalCluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    victim, searched = cluster.add_node(num_cpus=1), threading.Event()
    doomed, gone, paid = victim.node_id, tmp_path / "gone", tmp_path / "paid.txt"

    def evaluate(architecture):
        """Never ends on the doomed node; on the other one, a few are quick, and later ones wait until the doomed one is gone."""
        with open(paid, "a") as file:
            file.write(architecture.key + "\n")
        is_doomed = ray.get_runtime_context().get_node_id() == doomed
        quick = not is_doomed and len(paid.read_text().split()) <= 4
        deadline = time.monotonic() + (0 if quick else 120)  # a worker on a busy machine takes its time to come up
        # a worker outlives its node for a moment
        while time.monotonic() < deadline and (is_doomed or not gone.exists()):
            time.sleep(0.05)
        return {"gain": architecture["a"], "cost": architecture["b"]}

    def kill():
        """Kill the node once the store knows of an evaluation on it, and of results; returns these."""
        while not searched.is_set():
            time.sleep(0.1)
            with contextlib.suppress(InputError):  # there is no run yet
                run = load_run(tmp_path / "run")
                running = [e.node for e in run.all_evaluations if e.status == "running"]
                if run.evaluations and any(node.endswith(doomed[:8]) for node in running):
                    cluster.remove_node(victim, allow_graceful=False)
                    gone.touch()
                    return run.evaluations
        raise AssertionError("the search ended, and nothing ever ran on the node that was to be killed")

    with ThreadPoolExecutor() as threads:
        killing = threads.submit(kill)
        try:
            run = search(
                SPACE,
                evaluate,
                OBJECTIVES,
                max_evaluations=16,
                algorithm="random",
                directory=tmp_path / "run",
                executor=Cluster(address=cluster.address),
            )
        finally:
            searched.set()
            cluster.shutdown()
        finished = killing.result(timeout=60)
    assert len(run.evaluations) == 16 == len({e.key for e in run.evaluations})
    now = {e.key: e.metrics for e in run.evaluations}
    assert finished and all(now[e.key] == e.metrics for e in finished)
    retried = [event for event in run.events if event.state == "retried"]
    assert retried and {event.detail for event in retried} == {f"node {retried[0].node} is gone"}
    assert retried[0].node.endswith(doomed[:8])
    begun = paid.read_text().split()
    assert len(begun) - len(set(begun)) <= len(retried)  # again only what was running there


@pytest.mark.ray
def test_when_every_node_has_gone_it_says_so_and_goes_on_with_one_that_joins(tmp_path, batch, capsys):
    """The search runs in a thread: Ray starts nodes from the main one only."""
    from ray.cluster_utils import Cluster as LocalCluster

    def evaluate(architecture):
        time.sleep(0.3)
        return {"gain": architecture["a"], "cost": architecture["b"]}

    cluster = LocalCluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    first, said = cluster.add_node(num_cpus=1), ""

    def until(true):
        deadline = time.monotonic() + 60
        while not true():
            assert not searching.done() and time.monotonic() < deadline
            time.sleep(0.1)

    def evaluated():
        with contextlib.suppress(InputError):  # there is no run yet
            return len(load_run(tmp_path / "run").evaluations)
        return 0

    def has_said_so():
        nonlocal said
        said += capsys.readouterr().out
        return "no node of the cluster holds a" in said

    with ThreadPoolExecutor() as threads:
        try:
            searching = threads.submit(
                search,
                SPACE,
                evaluate,
                OBJECTIVES,
                max_evaluations=12,
                algorithm="random",
                directory=tmp_path / "run",
                executor=Cluster(address=cluster.address, batch=batch),
            )
            until(lambda: evaluated() >= 3)
            cluster.remove_node(first, allow_graceful=False)
            until(has_said_so)
            joined = cluster.add_node(num_cpus=1).node_id
            run = searching.result(timeout=120)
        finally:
            cluster.shutdown()
    assert len(run.evaluations) == 12 and {e.status for e in run.all_evaluations} == {"finished"}
    assert run.all_evaluations[-1].node.endswith(joined[:8])


@pytest.mark.ray
def test_ctrl_c_in_the_terminal_waits_for_the_trials_that_run(tmp_path):
    """The terminal sends it to every process of the group, Ray's workers as well."""
    process = subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(tmp_path)], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert "1/14 evaluated" in process.stdout.readline()
    os.killpg(process.pid, signal.SIGINT)
    rest = process.stdout.read()
    assert process.wait() == 0, rest
    run = load_run(tmp_path / "run")
    assert "stopping: nothing more is started" in rest and 1 <= len(run.evaluations) < 14
    assert {e.status for e in run.all_evaluations} <= {"finished", "asked"}  # asked: it had not begun


@pytest.mark.ray
def test_a_local_ray_listens_on_loopback_only(tmp_path):
    code = """
import subprocess, sys
from nas import Objective, search
from nas.executors import Cluster
from search_spaces import Choice, SearchSpace
import psutil
space = SearchSpace("toy", [Choice("a", [1, 2])])
def evaluate(architecture):
    return {"gain": architecture["a"]}
class Spying(Cluster):
    def _run(self, session):
        super()._run(session)
        family = [psutil.Process(), *psutil.Process().children(recursive=True)]
        for process in family:
            try:
                connections = process.net_connections("inet")
            except psutil.NoSuchProcess:  # it ended meanwhile
                continue
            for c in connections:
                if c.status == "LISTEN":
                    print("listens", c.laddr.ip.removeprefix("::ffff:"))  # IPv4 in IPv6's clothes
search(space, evaluate, [Objective("gain", "max")], max_evaluations=1, directory=sys.argv[1], executor=Spying())
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "run")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    addresses = {line.split()[1] for line in done.stdout.splitlines() if line.startswith("listens")}
    assert addresses and addresses <= {"127.0.0.1", "::1"}


DRIVER = """
import sys, time
from pathlib import Path
from nas import Objective, search
from nas.executors import Cluster
from search_spaces import Choice, SearchSpace
space = SearchSpace("toy", [Choice("a", list(range(12))), Choice("b", list(range(12)))])
folder = Path(sys.argv[1])
def evaluate(architecture):
    with open(folder / "paid.txt", "a") as paid:
        paid.write(architecture.key + "\\n")
    time.sleep(0.3)
    return {"gain": architecture["a"], "cost": architecture["b"]}
search(space, evaluate, [Objective("gain", "max"), Objective("cost", "min")], max_evaluations=14,
       directory=folder / "run", executor=Cluster(), resume=(folder / "run").exists())
"""


@pytest.mark.ray
def test_a_killed_search_resumes_with_everything_it_had(tmp_path):
    command = [sys.executable, "-c", DRIVER, str(tmp_path)]
    first = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    seen = [first.stdout.readline() for _ in range(5)]  # five results are in the store
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert len(seen) == 5 and all("evaluated" in line for line in seen)
    before = load_run(tmp_path / "run")
    paid_before = (tmp_path / "paid.txt").read_text().split()
    done = {e.key for e in before.evaluations}
    assert len(done) >= 5
    time.sleep(2)  # the killed driver's Ray goes down with it
    second = subprocess.run(command, capture_output=True, text=True, check=False)
    assert second.returncode == 0, second.stderr
    after = load_run(tmp_path / "run")
    assert len(after.evaluations) == 14 and done <= {e.key for e in after.evaluations}
    paid_after = (tmp_path / "paid.txt").read_text().split()[len(paid_before) :]
    assert not done & set(paid_after)  # nothing that was recorded is paid for again


@pytest.mark.ray
def test_a_cluster_that_is_not_there_is_one_clear_error(tmp_path):
    started = time.monotonic()
    with pytest.raises(InputError, match="no Ray cluster at '127.0.0.1:1'.*ray start --head"):
        search(SPACE, dict, OBJECTIVES, max_evaluations=1, directory=tmp_path / "run", executor=Cluster("127.0.0.1:1"))
    with pytest.raises(InputError, match="'somewhere' must be HOST:PORT"):
        search(SPACE, dict, OBJECTIVES, max_evaluations=1, directory=tmp_path / "run2", executor=Cluster("somewhere"))
    assert time.monotonic() - started < 20


class Refusing(Evaluator):
    """Has something in its way that no retry takes out of it, on every machine but the driver's process."""

    def __init__(self):
        self.home = os.getpid()

    def setup(self):
        if os.getpid() != self.home:
            raise InputError("data.yaml: no such file")

    def evaluate(self, architecture, directory):
        return {"gain": 1.0, "cost": 1.0}


@pytest.mark.ray
def test_an_evaluator_that_refuses_ends_the_search_with_its_message_at_once(tmp_path, batch):
    with pytest.raises(InputError, match="^data.yaml: no such file$"):
        search(
            SPACE, Refusing(), OBJECTIVES, max_evaluations=9, directory=tmp_path / "r", executor=Cluster(batch=batch)
        )
    run = load_run(tmp_path / "r")
    assert run.all_evaluations and {e.status for e in run.all_evaluations} <= {"asked", "running"}
    assert not any(event.state == "retried" for event in run.events)


class Homesick:
    """An evaluator that cannot leave its process."""

    def __init__(self):
        self.home = os.getpid()

    def __call__(self, architecture):
        return {"gain": 1.0, "cost": 1.0}

    def __setstate__(self, state):
        if state["home"] != os.getpid():
            raise ModuleNotFoundError("No module named 'home'")
        self.__dict__.update(state)


@pytest.mark.ray
def test_an_evaluator_that_no_worker_can_load_ends_the_search_with_its_reason(tmp_path, batch, monkeypatch):
    monkeypatch.setattr("nas.session.limits.START_SECONDS", 2.0)
    with pytest.raises(InputError, match="workers cannot start: .*No module named 'home'"):
        search(
            SPACE, Homesick(), OBJECTIVES, max_evaluations=9, directory=tmp_path / "r", executor=Cluster(batch=batch)
        )
    with contextlib.suppress(InputError):  # nothing was asked, so there is no run
        assert {e.status for e in load_run(tmp_path / "r").all_evaluations} == {"asked"}


@pytest.mark.ray
def test_a_trial_that_wants_more_than_there_is_is_told_at_once(tmp_path):
    with pytest.raises(InputError, match="a trial wants 1 CPUs and 1 GPUs and no node of the cluster has as much"):
        search(
            SPACE, dict, OBJECTIVES, max_evaluations=1, directory=tmp_path / "run", executor=Cluster(gpus_per_trial=1)
        )


@pytest.mark.parametrize("arguments", [{"batch": 0}, {"max_concurrent": 1.5}, {"cpus_per_trial": float("inf")}])
def test_wrong_arguments(arguments):
    with pytest.raises(InputError, match=f"{next(iter(arguments))} must be "):
        Cluster(**arguments)


@pytest.mark.ray
def test_a_process_that_has_lost_its_gpu_is_let_go(tmp_path, batch):
    """One evaluation breaks CUDA for its process; whatever is evaluated there afterwards would fail."""

    def evaluate(architecture):
        import torch

        def synchronize():
            raise RuntimeError("CUDA error: an illegal memory access was encountered")

        if architecture["a"] == 3:
            torch.cuda.is_initialized, torch.cuda.synchronize = (lambda: True), synchronize
        if torch.cuda.is_initialized():
            torch.cuda.synchronize()
        return {"gain": architecture["a"], "cost": architecture["b"]}

    run = search(
        SPACE.restrict({"a": [2, 3], "b": [0, 1, 2, 3]}),
        evaluate,
        OBJECTIVES,
        max_evaluations=8,
        directory=tmp_path / "run",
        executor=Cluster(batch=batch, max_concurrent=1),
        algorithm="random",
    )
    assert {e.architecture["a"]: e.status for e in run.all_evaluations} == {2: "finished", 3: "failed"}
    assert len(run.evaluations) == 4
