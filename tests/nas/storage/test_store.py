"""The store: what was acknowledged is there, whatever happens to the process."""

import errno
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time

import pytest

from nas.storage.locks import is_in_use
from nas.storage.schema import VERSION
from nas.storage.spending import share
from nas.storage.store import Store
from search_spaces import Choice, InputError, SearchSpace, YoloSpace
from search_spaces.definition import define

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


def test_every_change_of_state_is_an_event(path):
    now = iter(range(100))
    with Store.create(path, space=SPACE, settings={}, clock=lambda: next(now)) as store:
        store.asked(architecture(1), {"params": 1}, fidelity=3)
        store.running(architecture(1), node="n1")
        store.retried(architecture(1), "node n1 is gone", node="n1")
        store.asked(architecture(1), {"params": 1}, fidelity=3)
        store.running(architecture(1), node="n2")
        store.paused(architecture(1), {"m": 0.1}, seconds=5.0, node="n2")
        assert store.evaluation(architecture(1)).status == "paused"
        store.asked(architecture(1), {"params": 1}, fidelity=9)
        store.running(architecture(1), node="n3")
        store.finished(architecture(1), {"m": 0.4}, seconds=10.0, node="n3")
        events = store.events()
        states = ["asked", "running", "retried", "asked", "running", "paused", "asked", "running", "finished"]
        assert [event.state for event in events] == states
        assert [event.node for event in events] == [None, "n1", "n1", None, "n2", "n2", None, "n3", "n3"]
        assert [event.at for event in events] == sorted(event.at for event in events)
        assert events[2].detail == "node n1 is gone" and events[5].metrics == {"params": 1, "m": 0.1}
        whole = store.evaluation(architecture(1))
        assert (whole.status, whole.attempts, whole.seconds, whole.fidelity) == ("finished", 2, 15.0, 9)
        assert whole.metrics == {"params": 1, "m": 0.4}


def test_repeats_are_kept_beside_the_evaluation_which_they_leave_alone(path):
    settings = {"fidelities": [3, 9]}
    with Store.create(path, space=SPACE, settings=settings) as store:
        store.asked(architecture(1), {"params": 1}, fidelity=9)
        store.finished(architecture(1), {"m": 0.5}, seconds=9.0)
        before = store.evaluation(architecture(1))
        with pytest.raises(KeyError, match="-2 was never asked"):
            store.running(architecture(1), repeat=1)
        for repeat, confirms in ((1, False), (2, True), (3, True)):
            store.asked(architecture(1), {"params": 1}, fidelity=9, repeat=repeat, confirms=confirms)
        store.running(architecture(1), node="n", repeat=1)
        store.retried(architecture(1), "gone", node="n", repeat=1)
        store.asked(architecture(1), {"params": 1}, fidelity=9, repeat=1)
        store.finished(architecture(1), {"m": 0.4}, seconds=8.0, repeat=1)
        store.finished(architecture(1), {"m": 0.6}, seconds=7.0, repeat=2)
        store.failed(architecture(1), "NaN", repeat=3)
        with pytest.raises(KeyError, match="-2 has ended"):
            store.asked(architecture(1), {}, repeat=1)
        spent = share([3, 9], 9) + 1  # what confirms is not paid for by the budget
        assert store.spent == spent and store.evaluations() == [before] == [store.evaluation(architecture(1))]
    with Store.open(path) as store:
        repeats = store.repeats()
        assert [(e.trial, e.confirms, e.status, e.attempts) for e in repeats] == [
            (f"{architecture(1).key}-2", False, "finished", 2),
            (f"{architecture(1).key}-3", True, "finished", 1),
            (f"{architecture(1).key}-4", True, "failed", 1),
        ]
        assert repeats[0].metrics == {"params": 1, "m": 0.4} and repeats[0] == store.evaluation(architecture(1), 1)
        assert [event.repeat for event in store.events() if event.state == "finished"] == [0, 1, 2]
        assert store.spent == spent and store.evaluations("finished") == [before]


VERSION_1 = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE evaluations (
    id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, architecture TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('asked', 'finished', 'failed', 'rejected')), metrics TEXT NOT NULL,
    reason TEXT, asked_at REAL NOT NULL, ended_at REAL, seconds REAL, node TEXT, attempts INTEGER NOT NULL DEFAULT 1
);
PRAGMA application_id = 0x45564F59;
PRAGMA user_version = 1;
"""


def test_a_store_of_the_first_version_is_read_and_written_on(path):
    connection = sqlite3.connect(path)
    connection.executescript(VERSION_1)
    connection.execute("INSERT INTO meta VALUES ('space', ?)", (json.dumps(define(SPACE)),))
    rows = [
        (architecture(0), "finished", {"m": 0.5}, None, 10.0, 30.0),
        (architecture(1), "failed", {}, "NaN", 11.0, 20.0),
        (architecture(2), "asked", {}, None, 12.0, None),
    ]
    for a, status, metrics, reason, asked, ended in rows:
        connection.execute(
            "INSERT INTO evaluations (key, architecture, status, metrics, reason, asked_at, ended_at) VALUES (?,?,?,?,?,?,?)",
            (a.key, json.dumps(a.to_dict()), status, json.dumps(metrics), reason, asked, ended),
        )
    connection.commit()
    connection.close()
    with Store.open(path, read_only=True) as store:
        before = store.evaluations()
        assert [e.status for e in before] == ["finished", "failed", "asked"]
        events = store.events()
    with Store.open(path, SPACE) as store:
        assert store.evaluations() == before
        assert [event.state for event in events] == ["asked", "asked", "asked", "failed", "finished"]
        assert store.events() == events
        assert store.events()[-1].metrics == {"m": 0.5}
        store.running(architecture(2), node="n1")
    with Store.open(path, read_only=True) as store:
        assert store.evaluation(architecture(2)).status == "running"


def test_whether_a_search_is_writing_is_known(path):
    assert not is_in_use(path)
    with Store.create(path, space=SPACE, settings={}):
        assert is_in_use(path)
    assert not is_in_use(path)


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
from nas.storage.store import Store
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
        with pytest.raises(InputError, match="full; what was recorded before is safe.*resume=True"):
            for i in range(1, 100):
                store.asked(architecture(i), {f"metric{j}": j for j in range(50)})
    with Store.open(path) as store:
        assert store.evaluation(architecture(0)).status == "asked"
        assert store._connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"


def test_settings_that_json_cannot_hold_leave_nothing_behind(path):
    with pytest.raises(InputError, match="settings of .* must be what JSON holds"):
        Store.create(path, space=SPACE, settings={"path": path})
    assert not path.exists()
    Store.create(path, space=SPACE, settings={}).close()


def test_a_file_system_without_locks_is_named(path, monkeypatch):
    import fcntl

    def flock(file, flags):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(InputError, match="is on a file system without locks .No locks available."):
        Store.create(path, space=SPACE, settings={})
