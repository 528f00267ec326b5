"""The record of a run in SQLite: the only source of truth for what was asked, where it runs and how it ended."""

from __future__ import annotations

import contextlib
import errno
import json
import math
import sqlite3
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

from search_spaces import Architecture, InputError, SearchSpace
from search_spaces.definition import define, recall

VERSION = 2
APPLICATION_ID = 0x45564F59  # "EVOY"

CONFIG = "search.yaml"  # beside the store, where a command started the run
UNFINISHED = ("asked", "running")

SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE evaluations (
    id INTEGER PRIMARY KEY,          -- order of asking
    key TEXT NOT NULL UNIQUE,        -- of the architecture
    architecture TEXT NOT NULL,      -- its values, JSON
    status TEXT NOT NULL CHECK (status IN ('asked', 'running', 'paused', 'finished', 'failed', 'rejected')),
    fidelity REAL,                   -- asked for or reached, where there are several
    metrics TEXT NOT NULL,           -- JSON; estimates from the start, measurements when they are there
    reason TEXT,
    asked_at REAL NOT NULL,          -- seconds since 1970; of the latest time, as started_at and ended_at
    started_at REAL,
    ended_at REAL,
    seconds REAL,                    -- the evaluation itself, of all fidelities together
    node TEXT,
    attempts INTEGER NOT NULL DEFAULT 1
);
CREATE TABLE events (                -- every change of state, in order
    id INTEGER PRIMARY KEY,
    at REAL NOT NULL,
    key TEXT NOT NULL,
    state TEXT NOT NULL,             -- a status, or retried
    fidelity REAL,
    node TEXT,
    detail TEXT                      -- why, or the metrics that were told (JSON)
);
"""

COLUMNS = "architecture, status, metrics, reason, asked_at, ended_at, seconds, node, attempts"
EVENT_COLUMNS = "at, key, state, fidelity, node, detail"

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


@dataclass(frozen=True)
class Evaluation:
    """One architecture with what is recorded about it.

    `status` is asked, running, paused (judged at a lower fidelity and put aside), finished, failed or rejected; times are
    seconds since 1970.
    """

    architecture: Architecture
    status: str
    metrics: dict[str, float]
    reason: str | None = None
    asked_at: float = 0.0
    ended_at: float | None = None
    seconds: float | None = None
    node: str | None = None
    attempts: int = 1
    fidelity: float | None = None
    started_at: float | None = None

    @property
    def key(self) -> str:
        return self.architecture.key


@dataclass(frozen=True)
class Event:
    """One change of state; `state` is a status of an evaluation, or retried. `detail` says why it failed or was retried."""

    at: float
    key: str
    state: str
    fidelity: float | None = None
    node: str | None = None
    detail: str | None = None

    @property
    def metrics(self) -> dict[str, float]:
        """What was told when it paused or finished."""
        return json.loads(self.detail) if self.state in ("paused", "finished") else {}


class Store:
    """A run's evaluations. One writer at a time; any number of readers, also while it is written.

    Every method that changes something has made it durable when it returns: the journal is a write-ahead log that is
    synchronised at every commit, so neither a killed process nor a power cut loses what was acknowledged. An
    evaluation takes seconds at least; a synchronisation takes milliseconds.
    """

    def __init__(
        self,
        path: Path,
        connection: sqlite3.Connection,
        space: SearchSpace,
        lock: FileLock | None,
        clock: Callable[[], float] = time.time,
    ):
        self.path, self.space, self.clock = path, space, clock
        self._connection, self._lock = connection, lock
        self._is_old = connection.execute("PRAGMA user_version").fetchone()[0] < VERSION  # and only read
        self._columns = COLUMNS + ("" if self._is_old else ", fidelity, started_at")

    # -- opening ------------------------------------------------------------------------------------------------

    @classmethod
    def create(
        cls,
        path: str | Path,
        *,
        space: SearchSpace,
        settings: Mapping,
        clock: Callable[[], float] = time.time,
        durable: bool = True,
    ) -> Store:
        """A new store. Raises InputError when the file exists or the folder cannot be written.

        Args:
            clock: what tells the time of every change, in seconds.
            durable: False leaves synchronising to the system: for records that cost nothing to make again.
        """
        path = Path(path)
        try:
            meta = {"space": json.dumps(define(space)), "settings": json.dumps(dict(settings))}
        except TypeError as error:
            raise InputError(f"settings of {path.parent} must be what JSON holds ({error})") from None
        lock = _lock(path)
        with _releasing_on_error(lock), _disk_errors(path):
            if path.exists():
                raise InputError(f"{path} exists")
            connection = _connect(path)
            if not durable:
                connection.execute("PRAGMA synchronous = OFF")
            with connection:
                connection.executescript(
                    f"BEGIN; PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {VERSION}; {SCHEMA}"
                )
                connection.executemany("INSERT INTO meta VALUES (?, ?)", meta.items())
                connection.commit()
        return cls(path, connection, recall(define(space)), lock, clock)

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
            if version < VERSION and not read_only:
                _migrate(connection)
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

    def asked(
        self, architecture: Architecture, estimates: Mapping[str, float], *, fidelity: float | None = None
    ) -> None:
        """An evaluation begins, goes on at a higher fidelity, or begins again because it never ended."""
        with self._changing(architecture, "asked"):
            changed = self._connection.execute(
                "INSERT INTO evaluations (key, architecture, status, fidelity, metrics, asked_at) "
                "VALUES (?, ?, 'asked', ?, ?, ?) ON CONFLICT (key) DO UPDATE SET status = 'asked', fidelity = "
                "excluded.fidelity, asked_at = excluded.asked_at, attempts = attempts + (status != 'paused') "
                "WHERE status IN ('asked', 'running', 'paused')",
                (architecture.key, json.dumps(architecture.to_dict()), fidelity, _metrics(estimates), self.clock()),
            ).rowcount
            if not changed:
                raise KeyError(f"{architecture.key} has ended")

    def running(self, architecture: Architecture, *, node: str | None = None) -> None:
        """Its evaluation has started somewhere."""
        with self._changing(architecture, "running", node=node):
            self._update(architecture, status="running", started_at=self.clock(), node=node)

    def paused(self, architecture: Architecture, metrics: Mapping[str, float], *, seconds=None, node=None) -> None:
        """It was judged at the fidelity it was asked at, which is not the last."""
        self._end(architecture, "paused", metrics, None, seconds, node)

    def finished(self, architecture: Architecture, metrics: Mapping[str, float], *, seconds=None, node=None) -> None:
        self._end(architecture, "finished", metrics, None, seconds, node)

    def failed(self, architecture: Architecture, reason: str, *, seconds=None, node=None) -> None:
        self._end(architecture, "failed", {}, reason, seconds, node)

    def rejected(
        self, architecture: Architecture, metrics: Mapping[str, float], reason, *, seconds=None, node=None
    ) -> None:
        self._end(architecture, "rejected", metrics, reason, seconds, node)

    def retried(self, architecture: Architecture, reason: str, *, node=None) -> None:
        """Its process or node went away, through no known fault of the architecture; it will be asked again."""
        with self._changing(architecture, "retried", node=node, detail=reason):
            self._update(architecture, status="asked", started_at=None, node=None)

    def _end(self, architecture, status, metrics, reason, seconds, node) -> None:
        before = self.evaluation(architecture)
        merged = _metrics({**before.metrics, **metrics})
        if seconds is not None:
            seconds += before.seconds or 0
        with self._changing(architecture, status, node=node, detail=reason or merged):
            self._update(
                architecture,
                status=status,
                metrics=merged,
                reason=reason,
                ended_at=self.clock(),
                seconds=seconds,
                node=node,
            )

    @contextlib.contextmanager
    def _changing(self, architecture: Architecture, state: str, *, node=None, detail=None):
        """A change of the evaluation and its event, at the fidelity it then has; both or neither."""
        with _disk_errors(self.path), self._connection:
            yield
            self._connection.execute(
                "INSERT INTO events (at, key, state, fidelity, node, detail) "
                "SELECT ?, key, ?, fidelity, ?, ? FROM evaluations WHERE key = ?",
                (self.clock(), state, node, detail, architecture.key),
            )

    def _update(self, architecture: Architecture, **columns) -> None:
        assignments = ", ".join(f"{name} = ?" for name in columns)
        changed = self._connection.execute(
            f"UPDATE evaluations SET {assignments} WHERE key = ?", (*columns.values(), architecture.key)
        ).rowcount
        if not changed:
            raise KeyError(f"{architecture.key} was never asked")

    def amend(self, architecture: Architecture, metrics: Mapping[str, float]) -> None:
        """Add to, or measure again, the metrics of a finished evaluation."""
        merged = {**self.evaluation(architecture).metrics, **metrics}
        with _disk_errors(self.path), self._connection:
            self._update(architecture, metrics=_metrics(merged))

    def set_meta(self, name: str, value) -> None:
        with _disk_errors(self.path), self._connection:
            self._connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, json.dumps(value)))

    # -- reading ------------------------------------------------------------------------------------------------

    def get_meta(self, name: str):
        """The JSON value kept under `name`, None when there is none."""
        row = self._connection.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return json.loads(row[0]) if row else None

    def evaluations(self, status: str | None = None) -> list[Evaluation]:
        """All evaluations, or those of one status, in the order they were asked."""
        rows = self._connection.execute(
            f"SELECT {self._columns} FROM evaluations WHERE ? IS NULL OR status = ? ORDER BY id", (status, status)
        )
        return [self._evaluation(row) for row in rows]

    def events(self) -> list[Event]:
        """All changes of state, in order."""
        query = EVENTS_1 if self._is_old else f"SELECT {EVENT_COLUMNS} FROM events ORDER BY id"
        return [Event(*row) for row in self._connection.execute(query)]

    def evaluation(self, architecture: Architecture) -> Evaluation:
        """What is recorded of one architecture. Raises KeyError when it was never asked."""
        row = self._connection.execute(
            f"SELECT {self._columns} FROM evaluations WHERE key = ?", (architecture.key,)
        ).fetchone()
        if row is None:
            raise KeyError(f"{architecture.key} was never asked")
        return self._evaluation(row)

    def _evaluation(self, row) -> Evaluation:
        values, status, metrics, *rest = row
        return Evaluation(self.space.architecture(**json.loads(values)), status, json.loads(metrics), *rest)


def _migrate(connection: sqlite3.Connection) -> None:
    """A store of version 1 as one of this version, all at once."""
    with connection:
        connection.executescript(f"BEGIN; {FROM_VERSION_1} PRAGMA user_version = {VERSION}; COMMIT;")


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
        lock.acquire(timeout=1)  # `is_in_use` holds it for a moment
    except Timeout:
        if (why := _why_unlockable(lock.lock_file)) is not None:
            raise InputError(
                f"{path.parent} is on a file system without locks ({why}); the run's folder needs one"
            ) from None
        raise InputError(f"{path.parent} is in use by another search; wait for it or stop it") from None
    except (OSError, NotImplementedError) as error:
        raise InputError(f"{path.parent} cannot be written ({getattr(error, 'strerror', None) or error})") from None
    return lock


def _why_unlockable(path: str) -> str | None:
    """What the system says where a file cannot be locked though nobody holds it; filelock goes on trying."""
    if fcntl is None:
        return None
    with open(path, "a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            return None if error.errno in (errno.EWOULDBLOCK, errno.EACCES) else error.strerror
    return None


def is_in_use(path: str | Path) -> bool:
    """Whether a search is writing the store at this moment."""
    lock = Path(str(path) + ".lock")
    try:
        with FileLock(lock).acquire(timeout=0) if lock.exists() else contextlib.nullcontext():
            return False
    except Timeout:
        return True


def how_to_resume(directory: Path) -> str:
    """What continues the run in a folder: the command, where one started it, or the function."""
    if (directory / CONFIG).exists():
        return f"run `evoyolo resume {directory}`"
    return f"call `search` again with directory={str(directory)!r} and resume=True"


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
            f"{path}: {error}; what was recorded before is safe: mend the cause, then {how_to_resume(path.parent)}"
        ) from None
