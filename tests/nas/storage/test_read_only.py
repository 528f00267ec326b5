"""Runs in folders that cannot be written, or on a network: another user's, a read-only mount, a share."""

import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from nas import Objective, load_run, search
from nas.storage.locks import is_in_use, write_lock
from nas.storage.store import Store
from search_spaces import Choice, InputError, SearchSpace

ROOT = Path(__file__).parents[3]
SPACE = SearchSpace("toy", [Choice("depth", [1, 2, 3, 4])])


def evaluate(architecture):
    return {"map50_95": architecture["depth"] / 10, "latency_ms": float(architecture["depth"])}


OBJECTIVES = [Objective("map50_95", "max"), Objective("latency_ms", "min")]


@pytest.fixture
def run(tmp_path):
    return search(SPACE, evaluate, OBJECTIVES, max_evaluations=3, algorithm="random", directory=tmp_path / "run")


@pytest.fixture
def unwritable(monkeypatch):
    """The system says that nothing may be written; it says so to the superuser as well, of a read-only mount."""
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_a_run_that_cannot_be_written_is_read_and_nothing_is_made_in_it(run, unwritable):
    before = contents(run.directory)
    assert [e.key for e in load_run(run.directory).front] == [e.key for e in run.front]
    assert contents(run.directory) == before


def test_a_log_that_is_left_is_read_where_its_index_is_there_and_named_where_not(run, unwritable, monkeypatch):
    folder = run.directory
    writer = sqlite3.connect(folder / "store.sqlite", isolation_level=None)
    writer.execute("INSERT INTO meta VALUES ('measured', '{\"x\": \"late\"}')")
    assert load_run(folder).measured == {"x": "late"}  # which only the log knows
    kept = {name: data for name, data in contents(folder).items() if name in ("store.sqlite", "store.sqlite-wal")}
    copied = folder.parent / "copied"
    copied.mkdir()
    for name, data in kept.items():
        (copied / name).write_bytes(data)
    connect = sqlite3.connect

    def without_making(address, **options):
        if "mode=ro" in str(address) and not (copied / "store.sqlite-shm").exists():
            raise sqlite3.OperationalError("unable to open database file")  # what SQLite says on a read-only mount
        return connect(address, **options)

    monkeypatch.setattr(sqlite3, "connect", without_making)
    with pytest.raises(InputError, match="store.sqlite cannot be read here .*copy its folder to where you can write"):
        load_run(copied)
    writer.close()


def test_on_a_network_the_journal_is_a_file_of_its_own(tmp_path, monkeypatch):
    def journal(store):
        with contextlib.closing(sqlite3.connect(store)) as connection:
            return connection.execute("PRAGMA journal_mode").fetchone()[0]

    path, settings = tmp_path / "store.sqlite", {"objectives": []}
    with Store.create(path, space=SPACE, settings=settings):
        assert journal(path) == "wal"
    monkeypatch.setattr("nas.storage.connection.network_file_system", lambda path: "nfs4")
    with Store.open(path, SPACE) as store:  # a run that was copied to a share
        store.set_meta("complete", True)
        with Store.open(path, read_only=True) as reader:
            assert reader.get_meta("complete")
        assert journal(path) == "delete" and not path.with_name("store.sqlite-wal").exists()


def test_whether_a_search_runs_is_told_without_writing(tmp_path):
    store = tmp_path / "store.sqlite"
    lock = tmp_path / "store.sqlite.lock"
    lock.write_text("somebody's")
    assert not is_in_use(store) and lock.read_text() == "somebody's"
    with write_lock(store):
        script = f"from nas.storage.locks import is_in_use; print(is_in_use({str(store)!r}))"
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == "True"


USES = {
    "read": lambda store: load_run(store.parent),
    "ask": lambda store: is_in_use(store),
    "write": lambda store: Store.open(store, SPACE),
}


@pytest.mark.parametrize(
    ("name", "refused"),
    [
        ("store.sqlite.lock", {"ask", "write"}),  # whoever only reads looks at no lock
        *((f"store.sqlite-{of_sqlite}", {"read", "write"}) for of_sqlite in ("wal", "shm", "journal")),
    ],
)
def test_what_leads_out_of_a_strangers_run_is_neither_emptied_nor_written(run, tmp_path, name, refused):
    mine = tmp_path / "mine.txt"
    mine.write_text("mine")
    (run.directory / name).unlink(missing_ok=True)
    (run.directory / name).symlink_to(mine)
    for use, go in USES.items():
        said = (
            pytest.raises(InputError, match=f"{name} is a symbolic link")
            if use in refused
            else contextlib.nullcontext()
        )
        with said:
            go(run.folder.store)
    assert mine.read_text() == "mine"


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("setpriv") or os.getuid() != 0, reason="becomes another user, as only root may")
def test_a_user_without_a_name_or_a_home_reads_anothers_run(run):
    before = contents(run.directory)
    reading = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]  # wherever Python is installed
    command = ["setpriv", "--reuid=54321", "--regid=54321", "--clear-groups", *reading, sys.executable, "-m", "nas.cli"]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "HOME": "/nonexistent"}
    for name in ("status", "front"):
        done = subprocess.run(
            [*command, name, run.directory], capture_output=True, text=True, check=False, env=environment, cwd="/"
        )
        assert done.returncode == 0, done.stderr
        assert "3 of 3" in done.stdout
    assert contents(run.directory) == before
