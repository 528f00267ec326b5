"""The store: what was acknowledged is there, whatever happens to the process."""

import os
import signal
import sqlite3
import subprocess
import sys
import time

import pytest

from nas.store import VERSION, Store
from search_spaces import Choice, InputError, SearchSpace, YoloSpace

SPACE = SearchSpace("toy", [Choice("a", list(range(100))), Choice("b", ["x", "y"])])


def architecture(i):
    return SPACE.architecture(a=i, b="x")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "store.sqlite"


def test_the_life_of_an_evaluation(path):
    with Store.create(path, space=SPACE, settings={"seed": 1}) as store:
        for i in range(4):
            store.asked(architecture(i), {"params": 10 + i})
        store.finished(architecture(1), {"map50_95": 0.5}, seconds=2.0, node="n1")
        store.failed(architecture(0), "out of memory")
        store.rejected(architecture(3), {"latency_ms": 9.0}, "too slow")
        store.asked(architecture(2), {"params": 12})  # again, after an interruption
        store.amend(architecture(1), {"latency_ms": 1.5})
        store.set_meta("costed", 7)
    with Store.open(path) as store:
        first, second, third, fourth = store.evaluations()
        assert [e.status for e in (first, second, third, fourth)] == ["failed", "finished", "asked", "rejected"]
        assert second.metrics == {"params": 11, "map50_95": 0.5, "latency_ms": 1.5}
        assert (second.seconds, second.node, second.architecture) == (2.0, "n1", architecture(1))
        assert first.reason == "out of memory" and third.attempts == 2 and second.attempts == 1
        assert fourth.metrics == {"params": 13, "latency_ms": 9.0}
        assert store.evaluations("finished") == [second]
        assert store.get_meta("settings") == {"seed": 1} and store.get_meta("costed") == 7
        assert store.get_meta("nothing") is None


def test_what_has_ended_is_not_asked_or_ended_into_something_else(path):
    with Store.create(path, space=SPACE, settings={}) as store:
        store.asked(architecture(1), {})
        store.finished(architecture(1), {"m": 1.0})
        with pytest.raises(KeyError):
            store.asked(architecture(1), {})
        with pytest.raises(KeyError):
            store.finished(architecture(2), {"m": 1.0})


def test_metrics_are_finite_numbers(path):
    with Store.create(path, space=SPACE, settings={}) as store:
        for value in (float("nan"), float("inf"), "0.5", None):
            with pytest.raises(InputError, match="metric m is .*, not a finite number"):
                store.asked(architecture(1), {"m": value})


def test_one_writer_many_readers(path):
    with Store.create(path, space=SPACE, settings={}) as writer:
        with pytest.raises(InputError, match="in use by another search"):
            Store.open(path)
        with Store.open(path, read_only=True) as reader:
            writer.asked(architecture(1), {})
            assert len(reader.evaluations()) == 1
            with pytest.raises(InputError, match="readonly"):
                reader.asked(architecture(2), {})
    Store.open(path).close()


@pytest.mark.parametrize("delay", [0.05, 0.2, 0.4])
def test_a_killed_writer_loses_nothing_that_was_acknowledged(path, delay):
    code = f"""
import sys
from nas.store import Store
from search_spaces import Choice, SearchSpace
space = SearchSpace("toy", [Choice("a", list(range(100))), Choice("b", ["x", "y"])])
store = Store.create({str(path)!r}, space=space, settings={{}})
for a in range(100):
    for b in "xy":
        architecture = space.architecture(a=a, b=b)
        store.asked(architecture, {{}})
        store.finished(architecture, {{"m": a}})
        print(architecture.key, flush=True)
"""
    writer = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=os.getcwd())
    acknowledged = [writer.stdout.readline().strip()]
    time.sleep(delay)
    writer.send_signal(signal.SIGKILL)
    acknowledged += writer.stdout.read().split()
    writer.wait()
    with Store.open(path, SPACE) as store:
        finished = {e.key for e in store.evaluations("finished")}
        assert set(acknowledged) <= finished and len(finished) <= len(acknowledged) + 1


def test_wrong_files_are_named(path, tmp_path):
    with pytest.raises(InputError, match="no such file"):
        Store.open(path)
    path.write_text("not a database at all, but long enough to have a header" * 10)
    with pytest.raises(InputError, match="not a store of evoyolo"):
        Store.open(path)
    other = tmp_path / "other.sqlite"
    sqlite3.connect(other).execute("CREATE TABLE t (x)").connection.commit()
    with pytest.raises(InputError, match="not a store of evoyolo"):
        Store.open(other)


def test_a_newer_version_is_refused_and_left_alone(path):
    Store.create(path, space=SPACE, settings={}).close()
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    connection.close()
    with pytest.raises(InputError, match=f"newer evoyolo .store version {VERSION + 1}, this one reads up to {VERSION}"):
        Store.open(path)


def test_another_space_is_refused(path):
    Store.create(path, space=SPACE, settings={}).close()
    with pytest.raises(InputError, match="of the space 'toy', not of 'yolo'"):
        Store.open(path, YoloSpace())
    with pytest.raises(InputError, match="'toy' with other choices"):
        Store.open(path, SPACE.restrict({"b": ["x"]}))


def test_a_full_disk_is_one_clear_error_and_loses_nothing(path):
    with Store.create(path, space=SPACE, settings={}) as store:
        store.asked(architecture(0), {})
        pages = store._connection.execute("PRAGMA page_count").fetchone()[0]
        store._connection.execute(f"PRAGMA max_page_count = {pages}")  # SQLite's own "disk full"
        with pytest.raises(InputError, match="full; what was recorded before is safe.*evoyolo resume"):
            for i in range(1, 100):
                store.asked(architecture(i), {f"metric{j}": j for j in range(50)})
    with Store.open(path) as store:
        assert store.evaluation(architecture(0)).status == "asked"
        assert store._connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
