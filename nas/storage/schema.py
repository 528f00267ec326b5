"""The tables of a store, its versions, and the way from an older version to this one."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping

from .states import State

VERSION = 3
APPLICATION_ID = 0x45564F59  # "EVOY"


def quoted(states: Iterable[State]) -> str:
    """States as they stand in an SQL list, always in the same order."""
    chosen = set(states)
    return ", ".join(f"'{state}'" for state in State if state in chosen)


SCHEMA = f"""
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE evaluations (
    id INTEGER PRIMARY KEY,          -- order of asking
    key TEXT NOT NULL,               -- of the architecture
    repeat INTEGER NOT NULL DEFAULT 0,   -- 0 is its evaluation, 1 and more are repeats with other random numbers
    confirms INTEGER NOT NULL DEFAULT 0, -- 1: a repeat at the end of the search, beyond its budget
    architecture TEXT NOT NULL,      -- its values, JSON
    status TEXT NOT NULL CHECK (status IN ({quoted(State)})),
    fidelity REAL,                   -- asked for or reached, where there are several
    metrics TEXT NOT NULL,           -- JSON; estimates from the start, measurements when they are there
    reason TEXT,
    asked_at REAL NOT NULL,          -- seconds since 1970; of the latest time, as started_at and ended_at
    started_at REAL,
    ended_at REAL,
    seconds REAL,                    -- the evaluation itself, of all fidelities together
    node TEXT,
    attempts INTEGER NOT NULL DEFAULT 1,
    UNIQUE (key, repeat)
);
CREATE TABLE events (                -- every change of state, in order
    id INTEGER PRIMARY KEY,
    at REAL NOT NULL,
    key TEXT NOT NULL,
    state TEXT NOT NULL,             -- a status, or retried
    fidelity REAL,
    node TEXT,
    detail TEXT,                     -- why, or the metrics that were told (JSON)
    repeat INTEGER NOT NULL DEFAULT 0
);
"""

COLUMNS = "architecture, status, metrics, reason, asked_at, ended_at, seconds, node, attempts"  # of every version
COLUMNS_2 = ", fidelity, started_at"  # since version 2
COLUMNS_3 = ", repeat, confirms"  # since version 3
EVENT_COLUMNS = "at, key, state, fidelity, node, detail"  # since version 2
EVENT_COLUMNS_3 = ", repeat"  # since version 3

# Version 1 had no events, nothing ran or paused, and there was one fidelity. What it tells of events, in order:
EVENTS_1 = f"""
SELECT {EVENT_COLUMNS} FROM (
    SELECT asked_at AS at, key, 'asked' AS state, NULL AS fidelity, NULL AS node, NULL AS detail FROM evaluations
    UNION ALL
    SELECT ended_at, key, status, NULL, node, coalesce(reason, metrics) FROM evaluations WHERE status != 'asked'
) ORDER BY at
"""
FROM_VERSION_1 = f"""
CREATE TEMPORARY TABLE known AS SELECT * FROM evaluations;
CREATE TEMPORARY TABLE happened AS {EVENTS_1};
DROP TABLE evaluations;
{SCHEMA}
INSERT INTO evaluations (id, key, {COLUMNS}) SELECT id, key, {COLUMNS} FROM known;
INSERT INTO events ({EVENT_COLUMNS}) SELECT {EVENT_COLUMNS} FROM happened;
DROP TABLE known;
DROP TABLE happened;
"""
# Version 2 had no repeats.
FROM_VERSION_2 = f"""
CREATE TEMPORARY TABLE known AS SELECT * FROM evaluations;
CREATE TEMPORARY TABLE happened AS SELECT * FROM events;
DROP TABLE evaluations;
DROP TABLE events;
{SCHEMA}
INSERT INTO evaluations (id, key, {COLUMNS}{COLUMNS_2}) SELECT id, key, {COLUMNS}{COLUMNS_2} FROM known;
INSERT INTO events (id, {EVENT_COLUMNS}) SELECT id, {EVENT_COLUMNS} FROM happened;
DROP TABLE known;
DROP TABLE happened;
"""


def columns(version: int) -> str:
    """The columns of evaluations in a store of that version, but for the order of asking."""
    return f"key, {COLUMNS}{COLUMNS_2 if version > 1 else ''}{COLUMNS_3 if version > 2 else ''}"


def event_query(version: int) -> str:
    """All events of a store of that version, in order."""
    if version < 2:
        return EVENTS_1
    return f"SELECT {EVENT_COLUMNS}{EVENT_COLUMNS_3 if version > 2 else ''} FROM events ORDER BY id"


def create(connection: sqlite3.Connection, meta: Mapping[str, str]) -> None:
    """Make the tables of an empty file, and the rows of `meta`, all at once."""
    with connection:
        connection.executescript(
            f"BEGIN; PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {VERSION}; {SCHEMA}"
        )
        connection.executemany("INSERT INTO meta VALUES (?, ?)", meta.items())
        connection.commit()


def application_and_version(connection: sqlite3.Connection) -> tuple[int, int]:
    """What the file says that it is, and of which version; sqlite3.DatabaseError where it is no database."""
    application, version = (
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")
    )
    return application, version


def check(connection: sqlite3.Connection, version: int) -> None:
    """Raise ValueError unless the file is whole and holds the tables of that version, plain ones.

    A view, a trigger or a computed column would have SQLite carry out what a stranger wrote, for as long as that takes.
    """
    for pragma in ("trusted_schema = OFF", "ignore_check_constraints = ON"):
        connection.execute(f"PRAGMA {pragma}")
    found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        raise ValueError(f"it is damaged: {' '.join(str(found).split())}; use a copy that is whole")
    connection.execute("PRAGMA ignore_check_constraints = OFF")
    wanted = {"meta": "name, value", "evaluations": f"id, {columns(version)}"}
    if version > 1:
        wanted["events"] = f"id, {EVENT_COLUMNS}{EVENT_COLUMNS_3 if version > 2 else ''}"
    for kind, name, sql in connection.execute("SELECT type, name, sql FROM sqlite_master"):
        if kind not in ("table", "index") or " VIRTUAL " in f"{sql}".upper()[:40]:
            raise ValueError(f"its {kind} {name} is none of a store")
    for table, names in wanted.items():
        there = connection.execute(f"PRAGMA table_xinfo({table})").fetchall()
        if not set(names.split(", ")) <= {column[1] for column in there} or any(column[6] for column in there):
            raise ValueError(f"its table {table} is none of a store")


def migrate(connection: sqlite3.Connection, version: int) -> None:
    """Make a store of an earlier version one of this version, all at once."""
    steps = FROM_VERSION_1 if version < 2 else FROM_VERSION_2
    with connection:
        connection.executescript(f"BEGIN; {steps} PRAGMA user_version = {VERSION}; COMMIT;")
