"""What a search loses when it is killed: its driver, a worker, a whole node, the disk. Everything is really killed.

    python benchmarks/kills.py            (about 4 minutes on 2 cores; the full disk needs root, or user namespaces)

Each case is a search with a deterministic evaluator that writes down every evaluation it is paid for. Afterwards: results
that were recorded at a kill and are missing or different at the end ("lost"); evaluations that were completed more than once
("paid twice"; but for those that the store had as running at a kill); how often one was begun again ("again as it ran"); and
whether the front is that of an uninterrupted search.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

from machine import describe

from nas import Objective, load_run, search
from nas.executors import Cluster
from nas.executors.ray_private import set_environment
from nas.session.listener import Listener
from nas.storage.folder import RunFolder
from nas.storage.states import UNFINISHED, State
from search_spaces import Choice, SearchSpace

SPACE = SearchSpace("kills", [Choice("a", list(range(40))), Choice("b", list(range(40)))])
OBJECTIVES = [Objective("gain", "max"), Objective("cost", "min")]


class Paid:
    """A deterministic evaluator that takes `seconds` and writes down, in `folder`, what it begins and what it completes."""

    def __init__(self, folder: Path, seconds: float):
        self.folder, self.seconds = folder, seconds

    def __call__(self, architecture):
        self._write("begun.txt", f"{architecture.key} {os.getpid()}")
        time.sleep(self.seconds)
        self._write("completed.txt", architecture.key)
        a, b = architecture["a"], architecture["b"]
        return {"gain": a**0.5 + ((7 * a + 3 * b) % 11) / 4, "cost": a + 2 * b}

    def _write(self, name: str, line: str) -> None:
        with open(self.folder / name, "a") as file:
            file.write(f"{line}\n")


def written(folder: Path, name: str) -> Counter:
    """How often `Paid` began or completed each key there."""
    return Counter(line.split()[0] for line in (folder / name).read_text().splitlines())


def drive(folder: Path, seconds: float, count: int, algorithm: str, executor=None):
    """Start the search in `folder`, or go on with it."""
    options = {"executor": executor} if executor else {}
    return search(
        SPACE,
        Paid(folder, seconds),
        OBJECTIVES,
        max_evaluations=count,
        algorithm=algorithm,
        directory=folder / "run",
        resume=RunFolder(folder / "run").exists,
        progress=Listener(),
        **options,
    )


def record(folder: Path):
    """(finished key -> metrics, unfinished keys) as the store has them now."""
    try:
        run = load_run(folder / "run")
    except Exception:  # killed before there was one
        return {}, set()
    finished = {e.key: e.metrics for e in run.evaluations}
    return finished, {e.key for e in run.all_evaluations if e.status in UNFINISHED}


class Audit:
    """Keeps what was recorded at every kill, and judges the end by it."""

    def __init__(self, folder: Path):
        self.folder, self.recorded, self.running = folder, {}, Counter()

    def killed(self) -> None:
        finished, unfinished = record(self.folder)
        self.recorded.update(finished)
        self.running.update(unfinished)

    def verdict(self, name: str, kills: str, whole, seconds: float = 0.0) -> None:
        run = load_run(self.folder / "run")
        finished = {e.key: e.metrics for e in run.evaluations}
        lost = sum(finished.get(key) != metrics for key, metrics in self.recorded.items())
        # one that was cut off is not paid for; one that is complete but not recorded was still running, for the store
        twice = sum(max(0, n - 1 - self.running[key]) for key, n in written(self.folder, "completed.txt").items())
        again = sum(n - 1 for n in written(self.folder, "begun.txt").values())
        front = {e.key: e.metrics for e in run.front} == {e.key: e.metrics for e in whole.front}
        order = [e.key for e in run.all_evaluations] == [e.key for e in whole.all_evaluations]
        print(
            f"{name:<10}{kills:<44}{len(finished):>10}{lost:>6}{twice:>12}{again:>18}"
            f"{'equal' if front else 'DIFFERENT':>11}{'equal' if order else 'other':>8}",
            flush=True,
        )
        for e in run.all_evaluations:
            if e.status != State.FINISHED:
                print(f"          {e.status}: {e.key}: {e.reason}", flush=True)


def drivers(work: Path, kills: int, count: int) -> None:
    """kill -9 of the driver at random moments, from its start on."""
    audit, rng, done = Audit(work / "driver"), random.Random(0), 0
    audit.folder.mkdir()
    command = [sys.executable, __file__, "--drive", str(audit.folder), "0.1", str(count), "surrogate"]
    moments = []
    while done < kills:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        moment = rng.uniform(0.5, 5)
        try:
            process.wait(moment)
            break  # it has finished
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
        done += 1
        moments.append(len(record(audit.folder)[0]))
        audit.killed()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    (work / "whole").mkdir()
    whole = drive(work / "whole", 0, count, "surrogate")
    span = f"{done} x kill -9, after {min(moments)} to {max(moments)} results"
    audit.verdict("driver", span, whole)


def workers(work: Path, kills: int, count: int) -> None:
    """kill -9 of a process that evaluates, under Tune trials and in actors."""
    for batch, name in ((None, "trial"), (4, "actor")):
        audit = Audit(work / f"worker-{name}")
        audit.folder.mkdir()
        done = [0]

        def kill(audit=audit, done=done):
            rng = random.Random(1)
            while done[0] < kills:
                time.sleep(rng.uniform(0.5, 1.5))
                with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                    running = {line.split()[1] for line in (audit.folder / "begun.txt").read_text().splitlines()[-2:]}
                    finished, unfinished = record(audit.folder)
                    os.kill(int(rng.choice(sorted(running))), signal.SIGKILL)
                    done[0] += 1
                    audit.recorded.update(finished)
                    audit.running.update(unfinished)

        thread = threading.Thread(target=kill, daemon=True)
        thread.start()
        drive(audit.folder, 0.4, count, "random", Cluster(batch=batch))
        killed, done[0] = done[0], kills
        whole = uninterrupted(work, count)
        audit.verdict("worker", f"{killed} x kill -9 of an evaluating {name}", whole)


def uninterrupted(work: Path, count: int):
    """The same random search here: what it asks does not depend on what it is told."""
    folder = work / f"whole-{count}"
    folder.mkdir(exist_ok=True)
    return drive(folder, 0, count, "random")


def nodes(work: Path, count: int) -> None:
    """A whole node of a three-node cluster goes away while it evaluates."""
    set_environment()
    import ray
    from ray.cluster_utils import Cluster as LocalCluster

    audit = Audit(work / "node")
    audit.folder.mkdir()
    cluster = LocalCluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    victim, _ = cluster.add_node(num_cpus=1), cluster.add_node(num_cpus=1)
    killed = []

    def kill():
        while not killed:
            time.sleep(0.3)
            with contextlib.suppress(Exception):
                running = [e for e in load_run(audit.folder / "run").all_evaluations if e.status == State.RUNNING]
                if any(e.node.endswith(victim.node_id[:8]) for e in running) and len(record(audit.folder)[0]) >= 6:
                    audit.killed()
                    cluster.remove_node(victim, allow_graceful=False)
                    killed.append(time.monotonic())

    threading.Thread(target=kill, daemon=True).start()
    run = drive(audit.folder, 1.0, count, "random", Cluster(address=cluster.address))
    audit.verdict("node", "1 of 3 nodes, while it evaluated", uninterrupted(work, count))
    retried = [event.detail for event in run.events if event.state == "retried"]
    print(f"          retried: {'; '.join(retried)}")
    print(f"          evaluations by node: {dict(Counter(e.node for e in run.evaluations))}")
    ray.shutdown()
    cluster.shutdown()


def disk(work: Path, count: int) -> None:
    """The disk of the run fills up, several times; each time a little room is made."""
    audit = Audit(work / "disk")
    audit.folder.mkdir()
    size = 300
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}k", "tmpfs", audit.folder], check=True)
    full, said = 0, ""
    try:
        while True:
            command = [sys.executable, __file__, "--drive", str(audit.folder), "0", str(count), "surrogate"]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode == 0:
                break
            full, said = full + 1, done.stderr.strip().splitlines()[-1]
            audit.killed()
            size += 400
            subprocess.run(["mount", "-o", f"remount,size={size}k", audit.folder], check=True)
        (work / "whole-disk").mkdir()
        audit.verdict(
            "disk", f"{full} x full, from 300 kB to {size} kB", drive(work / "whole-disk", 0, count, "surrogate")
        )
    finally:
        subprocess.run(["umount", audit.folder], check=False)
    print(f"          it said: {said.replace(str(audit.folder), 'RUN')}")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--cases", nargs="+", default=["driver", "worker", "node", "disk"])
    parser.add_argument("--drive", nargs=4, metavar=("FOLDER", "SECONDS", "COUNT", "ALGORITHM"))
    args = parser.parse_args()
    if args.drive:
        folder, seconds, count, algorithm = args.drive
        drive(Path(folder), float(seconds), int(count), algorithm)
        return
    print(describe())
    print(
        f"{'killed':<10}{'how':<44}{'finished':>10}{'lost':>6}{'paid twice':>12}{'again as it ran':>18}"
        f"{'front':>9}{'order':>8}"
    )
    work = Path(tempfile.mkdtemp(prefix="evoyolo-kills-"))
    cases = {
        "driver": lambda: drivers(work, 30, 300),
        "worker": lambda: workers(work, 8, 40),
        "node": lambda: nodes(work, 40),
        "disk": lambda: disk(work, 100),
    }
    for case in args.cases:
        cases[case]()
    shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()
