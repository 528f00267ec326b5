"""Fuzzed search.yaml and stores: accepted, or refused in one line."""

import contextlib
import json
import shutil
import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.launch.config import SearchConfig, commented_yaml, load_config
from nas.report.front import as_records, columns
from nas.report.noise import describe_doubt, describe_noise
from nas.report.status import describe_status
from nas.storage.run import Run
from nas.storage.store import Store
from search_spaces import Choice, SearchSpace
from search_spaces.yaml_text import to_yaml
from tests.fuzzing import VALUES, Tally, fuzzed, mutated_bytes, mutated_document

pytestmark = pytest.mark.slow

SETTINGS = SearchConfig(references=["yolov8n"], max_latency_ms={}, rungs=[2, 6], recipe=["train", "export"]).to_dict()
SPACE = SearchSpace(
    "toy", [Choice("a", list(range(20))), Choice("b", ["x", "y"]), Choice("c", [1.5, None], {"b": ["x"]})]
)


def test_settings(tmp_path, board):
    board.save(tmp_path / "board.json")
    settings = {**SETTINGS, "device": [str(tmp_path / "board.json")], "restrict": {"image_size": [320]}}
    written = mutated_bytes(commented_yaml().encode()) | mutated_bytes(to_yaml(SETTINGS).encode())
    mutated = (mutated_document(SETTINGS) | mutated_document(settings)).map(lambda document: to_yaml(document).encode())

    with Tally("search.yaml") as tally:

        @fuzzed
        @given(written | mutated)
        def check(content):
            tally.read(lambda path: commented_yaml(load_config(path)), tmp_path / "search.yaml", content)

        check()


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A store of a run with evaluations in every state."""
    path = tmp_path_factory.mktemp("whole") / "store.sqlite"
    settings = {
        "objectives": [["gain", "max"], ["params", "min"]],
        "constraints": [["params", 15, None]],
        "fidelities": [3, 9],
        "references": {"first": SPACE.architecture(a=0, b="y").key},
        "devices": {"pi": "a board"},
        "num_classes": 3,
        "random": True,
        "start_from": [{"a": 1, "b": "y"}],
        "start_results": [[{"a": 1, "b": "y"}, 0.5]],
    }
    with Store.create(path, space=SPACE.restrict({"b": ["y"]}), settings=settings) as store:
        for i in range(12):
            architecture = SPACE.architecture(a=i, b="y")
            store.asked(architecture, {"params": i}, fidelity=3)
            store.running(architecture, node="n")
            if i % 4:
                store.paused(architecture, {"gain": i / 7}, seconds=1.0, node="n")
            if i % 4 == 2:
                store.asked(architecture, {"params": i}, fidelity=9)
                store.finished(architecture, {"gain": i / 5}, seconds=2.0, node="n")
            elif i % 4 == 3:
                store.failed(architecture, "no reason")
            if i % 4 == 2:
                store.asked(architecture, {"params": i}, fidelity=9, repeat=1, confirms=i > 4)
                store.finished(architecture, {"gain": i / 6}, seconds=2.0, node="n", repeat=1)
        store.set_meta("max_evaluations", 20)
        store.set_meta("measured", {"": "here"})
    return path


def look(path):
    """All that `status`, `front` and `pick` look at."""
    run = Run(path.parent)
    describe_status(path.parent)
    as_records(run, {})
    describe_noise(run), describe_doubt(run)
    assert columns(run, run.front) and run.protocol and [event.metrics for event in run.events]
    with Store.open(path) as store:  # as a search that goes on does
        store.evaluations(), store.repeats()


def test_damaged_stores(tmp_path, store):
    whole = store.read_bytes()
    damaged = mutated_bytes(whole) | st.builds(
        lambda at, noise: whole[:at] + noise + whole[at + len(noise) :],
        st.integers(0, len(whole)),
        st.binary(min_size=1, max_size=300),
    )
    with Tally("store.sqlite, damaged") as tally:

        @fuzzed
        @given(damaged)
        def check(content):
            for name in ("store.sqlite-wal", "store.sqlite-shm"):
                (tmp_path / name).unlink(missing_ok=True)
            tally.read(look, tmp_path / "store.sqlite", content)

        check()


CELLS = {
    "evaluations": "key architecture status metrics reason asked_at ended_at seconds node attempts fidelity started_at repeat "
    "confirms",
    "events": "at key state fidelity node detail repeat",
    "meta": "name value",
}


def test_stores_with_hostile_values(tmp_path, store):
    path = tmp_path / "store.sqlite"
    with sqlite3.connect(store) as connection:
        kept = {name: json.loads(value) for name, value in connection.execute("SELECT name, value FROM meta")}
    connection.close()
    flat = [
        value
        for value in VALUES
        if not isinstance(value, (list, dict)) and not (isinstance(value, int) and abs(value) >= 2**63)
    ]
    cells = [(table, column) for table, columns in CELLS.items() for column in columns.split()]
    values = st.sampled_from([*flat, b"\xff", float("inf")]) | st.sampled_from(VALUES).map(json.dumps)
    cell = st.tuples(st.sampled_from(cells), st.integers(0, 30), values)
    meta = st.sampled_from(sorted(kept)).flatmap(
        lambda name: mutated_document(kept[name]).map(lambda d: (name, json.dumps(d)))
    )

    def changed(path, changes):
        with sqlite3.connect(path) as connection:
            connection.execute("PRAGMA ignore_check_constraints = ON")
            for change in changes:
                if len(change) == 2:
                    connection.execute("UPDATE meta SET value = ? WHERE name = ?", change[::-1])
                    continue
                (table, column), row, value = change
                query = (
                    f"UPDATE OR IGNORE {table} SET {column} = ? WHERE rowid = 1 + ? % (SELECT count(*) FROM {table})"
                )
                with contextlib.suppress(sqlite3.IntegrityError):  # the table itself refuses it
                    connection.execute(query, (value, row))
        connection.close()

    with Tally("store.sqlite, hostile values") as tally:

        @fuzzed
        @given(st.lists(cell | meta, min_size=1, max_size=3))
        def check(changes):
            for name in ("store.sqlite-wal", "store.sqlite-shm"):
                (tmp_path / name).unlink(missing_ok=True)
            shutil.copy(store, path)
            changed(path, changes)
            tally.read(look, path)

        check()
