"""Stores that are damaged or a stranger's: one line that names the file and the place, and nothing is carried out."""

import sqlite3
import time

import pytest

from nas.report.status import describe_status
from nas.storage.run import Run
from nas.storage.store import Store
from search_spaces import Choice, InputError, SearchSpace

SPACE = SearchSpace("toy", [Choice("a", list(range(100))), Choice("b", ["x", "y"])])
SETTINGS = {"objectives": [["gain", "max"], ["params", "min"]], "constraints": [["params", 90, None]], "num_classes": 3}


def make(folder, count=3):
    """A run with some finished evaluations; the path of its store."""
    folder.mkdir(exist_ok=True)
    path = folder / "store.sqlite"
    with Store.create(path, space=SPACE, settings=SETTINGS) as store:
        for i in range(count):
            architecture = SPACE.architecture(a=i, b="x")
            store.asked(architecture, {"params": i})
            store.finished(architecture, {"gain": i / 7}, seconds=1.0, node="n")
    return path


def change(path, *statements):
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        for statement in statements:
            connection.execute(statement)
    connection.close()


META = "UPDATE meta SET value = '{}' WHERE name = '{}'"


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("UPDATE evaluations SET status = 'done'", "evaluation '.*': status is 'done', not asked, running, "),
        ("UPDATE evaluations SET metrics = '{'", "evaluation '.*': metrics, line 1: not valid JSON"),
        ("UPDATE evaluations SET metrics = x'00'", "metrics: .* is no JSON text"),
        ("UPDATE evaluations SET metrics = '[1]'", "metrics is .1., not a mapping of finite numbers"),
        ("""UPDATE evaluations SET metrics = '{"gain": NaN}'""", "metrics: .*NaN is no finite number"),
        ("""UPDATE evaluations SET metrics = '{"gain": "1"}'""", "not a mapping of finite numbers"),
        ("""UPDATE evaluations SET metrics = '{"params": 1}'""", "evaluation .*: the evaluation gave no gain"),
        ("UPDATE evaluations SET architecture = '1'", "architecture is no mapping"),
        ("""UPDATE evaluations SET architecture = '{"a": 1}'""", "architecture: choice 'b' has no value"),
        ("""UPDATE evaluations SET architecture = '{"self": 1}'""", "architecture: space 'toy' has no choice 'self'"),
        ("UPDATE evaluations SET key = '../../' || id", "evaluation '../../1': its architecture has the key"),
        ("UPDATE evaluations SET asked_at = 'x'", "asked_at is 'x', not a finite number"),
        ("UPDATE evaluations SET seconds = 9e999", "seconds is inf, not a finite number"),
        ("UPDATE evaluations SET node = x'ff'", "node is b'.xff', not text"),
        ("UPDATE evaluations SET attempts = -1", "attempts is -1, not a whole number"),
        ("UPDATE evaluations SET fidelity = 'x'", "fidelity is 'x', not a finite number or nothing"),
        ("UPDATE evaluations SET repeat = -1 - id", "repeat is -2, not a whole number"),
        ("UPDATE evaluations SET confirms = 'x'", "confirms is 'x', not a whole number"),
        ("UPDATE events SET repeat = 'x'", "repeat is 'x', not a whole number"),
        ("UPDATE events SET state = 'x'", "event of '.*': state is 'x', not asked, "),
        ("UPDATE events SET fidelity = 'x'", "an event: fidelity is 'x'"),
        ("UPDATE events SET at = 'x'", "at is 'x', not a finite number"),
        ("DELETE FROM meta WHERE name = 'space'", "says of no space what it is"),
        (META.format("[]", "space"), "space is .., not a mapping"),
        (META.format('{"name": "toy"}', "space"), "not the definition of a search space"),
        (META.format("[" * 5000, "settings"), "settings: not valid JSON .nested too deeply"),
        (META.format('{"fidelities": [3, 1]}', "settings"), "settings: fidelities is .3, 1., not a list of ascending"),
        (
            META.format('{"objectives": [["gain", "up"]]}', "settings"),
            "settings: objectives is .*, not a list of .metric",
        ),
        (META.format('{"config": {"recipe": 1}}', "settings"), "settings: config: recipe is 1, not a list of steps"),
        (META.format("{}", "settings"), "evaluation .*: nothing says what is optimised"),
        (META.format('{"devices": {"../x": "y"}}', "settings"), "settings: devices is "),
        (META.format('{"random": 1}', "settings"), "settings: random is 1, not true or false"),
        (META.format('{"num_classes": "3"}', "settings"), "settings: num_classes is '3', not a number of classes"),
        (META.format('{"constraints": [["gain", "1"]]}', "settings"), "settings: constraints is "),
        ("INSERT INTO meta VALUES ('max_evaluations', '\"9\"')", "max_evaluations is '9', not a whole number"),
        ("INSERT INTO meta VALUES ('costed', '[]')", "costed is .., not a finite number"),
        ("DROP TABLE events", "its table events is none of a store"),
        ("ALTER TABLE evaluations DROP COLUMN node", "its table evaluations is none of a store"),
        ("CREATE TRIGGER t AFTER INSERT ON events BEGIN SELECT 1; END", "its trigger t is none of a store"),
        ("CREATE VIEW v AS SELECT 1", "its view v is none of a store"),
        ("ALTER TABLE meta ADD COLUMN more GENERATED ALWAYS AS (value || value)", "its table meta is none of a store"),
    ],
)
def test_values_that_no_search_writes_are_named(tmp_path, statement, message):
    path = make(tmp_path / "run")
    change(path, statement)
    with pytest.raises(InputError, match=message) as caught:
        Run(path.parent)
    assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)


def test_a_view_in_the_place_of_a_table_is_not_carried_out(tmp_path):
    path = make(tmp_path / "run")
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i AS name, i AS value FROM n"
    change(path, "DROP TABLE meta", f"CREATE VIEW meta AS {endless}")
    with pytest.raises(InputError, match="its view meta is none of a store"):
        Store.open(path)


def test_text_that_is_none_is_read_with_gaps(tmp_path):
    path = make(tmp_path / "run")
    change(path, "UPDATE evaluations SET reason = CAST(x'61ff62' AS TEXT), status = 'failed'")
    assert {e.reason for e in Run(path.parent).all_evaluations} == {"a\ufffdb"}
    assert "failed 3 times: a\ufffdb" in describe_status(path.parent)[0]


def test_settings_that_a_search_could_not_read_back_are_refused_at_once(tmp_path):
    with pytest.raises(InputError, match="settings: devices is .'pi'., not a mapping"):
        Store.create(tmp_path / "store.sqlite", space=SPACE, settings={"devices": ["pi"]})
    Store.create(tmp_path / "store.sqlite", space=SPACE, settings={"mine": [1]}).close()


def test_damage_that_is_found_while_writing_is_one_line(tmp_path):
    path = make(tmp_path / "run")
    with Store.open(path) as store:
        with sqlite3.connect(path) as other:
            other.execute("PRAGMA writable_schema = ON")
            other.execute("UPDATE sqlite_master SET rootpage = 1 WHERE name = 'events'")
            other.execute("PRAGMA schema_version = 99")
        other.close()
        with pytest.raises(InputError, match="store.sqlite"):
            store.asked(SPACE.architecture(a=1, b="y"), {"params": 1})


def test_a_store_of_many_evaluations_is_opened_quickly(tmp_path):
    path = make(tmp_path / "run", count=1)
    with sqlite3.connect(path) as connection:
        query = "INSERT INTO events (at, key, state, detail) VALUES (1.0, 'k', 'failed', ?)"
        connection.executemany(query, (["x" * 200] for _ in range(100_000)))
    connection.close()
    began = time.perf_counter()
    with Store.open(path, read_only=True) as store:
        assert store.spent == 100_001
    assert time.perf_counter() - began < 2
