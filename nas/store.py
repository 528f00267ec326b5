"""The record of a run in SQLite: the only source of truth for what was evaluated."""

from __future__ import annotations

import contextlib
import json
import math
import sqlite3
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from search_spaces import Architecture, InputError, SearchSpace
from search_spaces.definition import define, recall

VERSION = 1
APPLICATION_ID = 0x45564F59  # "EVOY"

SCHEMA = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE evaluations (
    id INTEGER PRIMARY KEY,          -- order of asking
    key TEXT NOT NULL UNIQUE,        -- of the architecture
    architecture TEXT NOT NULL,      -- its values, JSON
    status TEXT NOT NULL CHECK (status IN ('asked', 'finished', 'failed', 'rejected')),
    metrics TEXT NOT NULL,           -- JSON; estimates from the start, measurements when they are there
    reason TEXT,
    asked_at REAL NOT NULL,          -- seconds since 1970
    ended_at REAL,
    seconds REAL,                    -- the evaluation itself
    node TEXT,
    attempts INTEGER NOT NULL DEFAULT 1
);
"""


@dataclass(frozen=True)
class Evaluation:
    """One architecture with what is recorded about it; `status` is asked, finished, failed or rejected."""

    architecture: Architecture
    status: str
    metrics: dict[str, float]
    reason: str | None = None
    asked_at: float = 0.0
    ended_at: float | None = None
    seconds: float | None = None
    node: str | None = None
    attempts: int = 1

    @property
    def key(self) -> str:
        return self.architecture.key


class Store:
    """A run's evaluations. One writer at a time; any number of readers, also while it is written.

    Every method that changes something has made it durable when it returns: the journal is a write-ahead log that is
    synchronised at every commit, so neither a killed process nor a power cut loses what was acknowledged. An
    evaluation takes seconds at least; a synchronisation takes milliseconds.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection, space: SearchSpace, lock: FileLock | None):
        self.path, self.space = path, space
        self._connection, self._lock = connection, lock

    # -- opening ------------------------------------------------------------------------------------------------

    @classmethod
    def create(cls, path: str | Path, *, space: SearchSpace, settings: Mapping) -> Store:
        """A new store. Raises InputError when the file exists or the folder cannot be written."""
        path = Path(path)
        lock = _lock(path)
        with _releasing_on_error(lock), _disk_errors(path):
            if path.exists():
                raise InputError(f"{path} exists")
            connection = _connect(path)
            with connection:
                connection.executescript(
                    f"BEGIN; PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {VERSION}; {SCHEMA}"
                )
                for name, value in (("space", define(space)), ("settings", dict(settings))):
                    connection.execute("INSERT INTO meta VALUES (?, ?)", (name, json.dumps(value)))
                connection.commit()
        return cls(path, connection, recall(define(space)), lock)

    @classmethod
    def open(cls, path: str | Path, space: SearchSpace | None = None, *, read_only: bool = False) -> Store:
        """An existing store.

        Raises:
            InputError: no such file, not a store, written by a newer version, of another space than `space`, or (to
                write) in use by another search.
        """
        path = Path(path)
        if not path.is_file():
            raise InputError(f"{path}: no such file")
        lock = None if read_only else _lock(path)
        with _releasing_on_error(lock), _disk_errors(path):
            try:
                connection = _connect(path, read_only)
                application = connection.execute("PRAGMA application_id").fetchone()[0]
                version = connection.execute("PRAGMA user_version").fetchone()[0]
            except sqlite3.DatabaseError as error:
                if isinstance(error, sqlite3.OperationalError):
                    raise
                raise InputError(f"{path}: not a store of evoyolo ({error})") from None
            if application != APPLICATION_ID:
                raise InputError(f"{path}: not a store of evoyolo")
            if version > VERSION:
                raise InputError(
                    f"{path} was written by a newer evoyolo (store version {version}, this one reads up to {VERSION}); "
                    "upgrade evoyolo"
                )
            definition = json.loads(connection.execute("SELECT value FROM meta WHERE name = 'space'").fetchone()[0])
            if space is not None and define(space)["name"] != definition["name"]:
                raise InputError(f"{path} is of the space {definition['name']!r}, not of {space.name!r}")
            if space is not None and not read_only and define(space) != definition:
                raise InputError(f"{path} is of a space {space.name!r} with other choices or values")
        return cls(path, connection, recall(definition), lock)

    def close(self) -> None:
        self._connection.close()
        if self._lock:
            self._lock.release()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *exception) -> None:
        self.close()

    # -- writing ------------------------------------------------------------------------------------------------

    def _write(self, statement: str, values: tuple) -> None:
        with _disk_errors(self.path), self._connection:
            changed = self._connection.execute(statement, values).rowcount
        if not changed:
            raise KeyError(f"{values[-1]} was never asked")

    def asked(self, architecture: Architecture, estimates: Mapping[str, float]) -> None:
        """An evaluation begins; one that never ended begins again."""
        self._write(
            "INSERT INTO evaluations (key, architecture, status, metrics, asked_at) VALUES (?, ?, 'asked', ?, ?) "
            "ON CONFLICT (key) DO UPDATE SET asked_at = excluded.asked_at, attempts = attempts + 1 WHERE status = 'asked'",
            (architecture.key, json.dumps(architecture.to_dict()), _metrics(estimates), time.time()),
        )

    def finished(self, architecture: Architecture, metrics: Mapping[str, float], *, seconds=None, node=None) -> None:
        self._end(architecture, "finished", metrics, None, seconds, node)

    def failed(self, architecture: Architecture, reason: str, *, seconds=None, node=None) -> None:
        self._end(architecture, "failed", {}, reason, seconds, node)

    def rejected(
        self, architecture: Architecture, metrics: Mapping[str, float], reason, *, seconds=None, node=None
    ) -> None:
        self._end(architecture, "rejected", metrics, reason, seconds, node)

    def _end(self, architecture, status, metrics, reason, seconds, node) -> None:
        merged = {**self.evaluation(architecture).metrics, **metrics}
        self._write(
            "UPDATE evaluations SET status = ?, metrics = ?, reason = ?, ended_at = ?, seconds = ?, node = ? WHERE key = ?",
            (status, _metrics(merged), reason, time.time(), seconds, node, architecture.key),
        )

    def amend(self, architecture: Architecture, metrics: Mapping[str, float]) -> None:
        """Add to, or measure again, the metrics of a finished evaluation."""
        merged = {**self.evaluation(architecture).metrics, **metrics}
        self._write("UPDATE evaluations SET metrics = ? WHERE key = ?", (_metrics(merged), architecture.key))

    def set_meta(self, name: str, value) -> None:
        self._write("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, json.dumps(value)))

    # -- reading ------------------------------------------------------------------------------------------------

    def get_meta(self, name: str):
        """The JSON value kept under `name`, None when there is none."""
        row = self._connection.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return json.loads(row[0]) if row else None

    def evaluations(self, status: str | None = None) -> list[Evaluation]:
        """All evaluations, or those of one status, in the order they were asked."""
        rows = self._connection.execute(
            f"SELECT {COLUMNS} FROM evaluations WHERE ? IS NULL OR status = ? ORDER BY id", (status, status)
        )
        return [self._evaluation(row) for row in rows]

    def evaluation(self, architecture: Architecture) -> Evaluation:
        """What is recorded of one architecture. Raises KeyError when it was never asked."""
        row = self._connection.execute(
            f"SELECT {COLUMNS} FROM evaluations WHERE key = ?", (architecture.key,)
        ).fetchone()
        if row is None:
            raise KeyError(f"{architecture.key} was never asked")
        return self._evaluation(row)

    def _evaluation(self, row) -> Evaluation:
        values, status, metrics, *rest = row
        return Evaluation(self.space.architecture(**json.loads(values)), status, json.loads(metrics), *rest)


COLUMNS = "architecture, status, metrics, reason, asked_at, ended_at, seconds, node, attempts"


def _metrics(metrics: Mapping[str, float]) -> str:
    for name, value in metrics.items():
        if not isinstance(value, (int, float)) or not math.isfinite(value):
            raise InputError(f"metric {name} is {value!r}, not a finite number")
    return json.dumps(dict(metrics))


def _connect(path: Path, read_only: bool = False) -> sqlite3.Connection:
    # A reader needs write access to the log's index too, so "read only" is a promise kept by query_only.
    connection = sqlite3.connect(path, timeout=30, check_same_thread=False)
    if read_only:
        connection.execute("PRAGMA query_only = ON")
    else:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
    return connection


def _lock(path: Path) -> FileLock:
    """The right to write, which the operating system takes back when the process dies, however it dies."""
    lock = FileLock(str(path) + ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise InputError(f"{path.parent} is in use by another search; wait for it or stop it") from None
    except OSError as error:
        raise InputError(f"{path.parent} cannot be written ({error.strerror})") from None
    return lock


@contextlib.contextmanager
def _releasing_on_error(lock: FileLock | None):
    try:
        yield
    except BaseException:
        if lock:
            lock.release()
        raise


@contextlib.contextmanager
def _disk_errors(path: Path):
    try:
        yield
    except sqlite3.OperationalError as error:
        raise InputError(
            f"{path}: {error}; what was recorded before is safe: mend the cause and run `evoyolo resume {path.parent}`"
        ) from None
