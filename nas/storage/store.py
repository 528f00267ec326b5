"""The record of a run in SQLite: the only source of truth for what was asked, where it runs and how it ended."""

from __future__ import annotations

import contextlib
import json
import math
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock

from search_spaces import Architecture, InputError, SearchSpace
from search_spaces.definition import define

from . import schema
from .checks import check_tables, space_of
from .connection import connect, disk_errors, reading
from .locks import write_lock
from .records import Evaluation, Event, evaluation_of, event_of, trial_name
from .schema import VERSION, quoted
from .spending import share
from .states import ENDED, RETRIED, SPENDING, State
from .values import NUMBER_OR_NONE, check_fields, meta_value


class Store:
    """A run's evaluations. One writer at a time; any number of readers, also while it is written.

    Every method that changes something has made it durable when it returns: the journal, a write-ahead log except on network
    file systems, is synchronised at every commit, so neither a killed process nor a power cut loses what was acknowledged. An
    evaluation takes seconds at least; a synchronisation takes milliseconds.

    Attributes:
        space: that every recorded architecture is of: the one that was given, without its restrictions, or else one that is
            made from the record.
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
        version = schema.application_and_version(connection)[1]  # an earlier one is only read
        self._columns, self._events = schema.columns(version), schema.event_query(version)
        self._has_repeats = version > 2
        self._fidelities: list[float] = (self.get_meta("settings") or {}).get("fidelities", [])
        first = " AND repeat = 0" if self._has_repeats else ""
        ended = f"SELECT fidelity, count(*) FROM ({self._events}) WHERE state IN ({quoted(SPENDING)}){first} GROUP BY fidelity"
        with reading(path):
            # by fidelity, what was paid for
            self._ended: Counter[float | None] = Counter(dict(connection.execute(ended)))
        for fidelity in self._ended:
            check_fields({"fidelity": fidelity}, {"fidelity": NUMBER_OR_NONE}, f"{path}: an event")
        self._repeated = sum(e.status in SPENDING and not e.confirms for e in self.repeats())  # paid for by the budget

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
        """A new store of a search of `space`.

        Args:
            settings: what JSON holds, for the record; its `fidelities`, where there are several, tell what an evaluation costs.
            clock: what tells the time of every change, in seconds.
            durable: False leaves synchronising to the system: for records that cost nothing to make again.

        Raises:
            InputError: the file exists, the folder cannot be written, or the settings are not what JSON holds or have another
                meaning for one of the names that a search uses itself (`values.SETTINGS`).
        """
        path = Path(path)
        definition, whole = define(space), define(space.unrestricted)
        meta = {"space": definition, "settings": dict(settings)}
        if whole != definition:
            meta["unrestricted"] = whole
        try:
            texts = {name: json.dumps(value) for name, value in meta.items()}
        except TypeError as error:
            raise InputError(f"settings of {path.parent} must be what JSON holds ({error})") from None
        meta_value("settings", texts["settings"], str(path.parent))
        lock = write_lock(path)
        with _releasing_on_error(lock), disk_errors(path):
            if path.exists():
                raise InputError(f"{path} exists")
            connection = connect(path)
            if not durable:
                connection.execute("PRAGMA synchronous = OFF")
            schema.create(connection, texts)
            return cls(path, connection, space.unrestricted, lock, clock)

    @classmethod
    def open(cls, path: str | Path, space: SearchSpace | None = None, *, read_only: bool = False) -> Store:
        """An existing store.

        Args:
            space: what is searched; without it, one with the recorded choices, which lacks what is code in the user's own.
            read_only: only look; then a search may write it meanwhile.

        Raises:
            InputError: no such file, not a store, damaged, written by a newer version, of another space than `space` or one
                with choices or values that `space` lacks, or (to write) in use by another search.
        """
        path = Path(path)
        if not path.is_file():
            raise InputError(f"{path}: no such file")
        lock = None if read_only else write_lock(path)
        with contextlib.ExitStack() as opened, _releasing_on_error(lock), disk_errors(path, read_only):
            try:
                connection = connect(path, read_only)
                opened.callback(connection.close)  # of a store that is refused nothing is held
                application, version = schema.application_and_version(connection)
            except sqlite3.DatabaseError as error:
                if isinstance(error, sqlite3.OperationalError):
                    raise
                raise InputError(f"{path}: not a store of evoyolo ({error})") from None
            if application != schema.APPLICATION_ID:
                raise InputError(f"{path}: not a store of evoyolo")
            if version > VERSION:
                raise InputError(
                    f"{path} was written by a newer evoyolo (store version {version}, this one reads up to {VERSION}); "
                    "upgrade evoyolo"
                )
            with reading(path):
                check_tables(path, connection, version)
                if version < VERSION and not read_only:
                    schema.migrate(connection, version)
                store = cls(path, connection, space_of(path, connection, space, read_only), lock)
            opened.pop_all()
            return store

    def close(self) -> None:
        """Let go of the file, and of the right to write it."""
        self._connection.close()
        if self._lock:
            self._lock.release()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    # -- writing ------------------------------------------------------------------------------------------------

    def asked(
        self,
        architecture: Architecture,
        estimates: Mapping[str, float],
        *,
        fidelity: float | None = None,
        repeat: int = 0,
        confirms: bool = False,
    ) -> None:
        """An evaluation begins, goes on at a higher fidelity, or begins again because it never ended.

        Args:
            repeat: 0 for the evaluation of an architecture; its repeats with other random numbers count from 1, here and in
                every other method, and leave it as it is.
            confirms: whether it is a repeat that the budget of the search does not pay for.
        """
        values = json.dumps(architecture.to_dict())
        with self._changing(architecture, repeat, State.ASKED):
            changed = self._connection.execute(
                "INSERT INTO evaluations (key, architecture, status, fidelity, metrics, asked_at, repeat, confirms) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (key, repeat) DO UPDATE SET status = excluded.status, fidelity = excluded.fidelity, "
                f"asked_at = excluded.asked_at, attempts = attempts + (status != '{State.PAUSED}') "
                f"WHERE status NOT IN ({quoted(ENDED)})",
                (architecture.key, values, State.ASKED, fidelity, _metrics(estimates), self.clock(), repeat, confirms),
            ).rowcount
            if not changed:
                raise KeyError(f"{trial_name(architecture.key, repeat)} has ended")

    def running(self, architecture: Architecture, *, node: str | None = None, repeat: int = 0) -> None:
        """Its evaluation has started somewhere."""
        with self._changing(architecture, repeat, State.RUNNING, node=node):
            self._update(architecture, repeat, status=State.RUNNING, started_at=self.clock(), node=node)

    def paused(
        self,
        architecture: Architecture,
        metrics: Mapping[str, float],
        *,
        seconds: float | None = None,
        node: str | None = None,
    ) -> None:
        """It was judged at the fidelity it was asked at, which is not the last."""
        self._end(architecture, 0, State.PAUSED, metrics, None, seconds, node)

    def finished(
        self,
        architecture: Architecture,
        metrics: Mapping[str, float],
        *,
        seconds: float | None = None,
        node: str | None = None,
        repeat: int = 0,
    ) -> None:
        """It was evaluated to the end; the metrics join those that were known before."""
        self._end(architecture, repeat, State.FINISHED, metrics, None, seconds, node)

    def failed(
        self,
        architecture: Architecture,
        reason: str,
        *,
        seconds: float | None = None,
        node: str | None = None,
        repeat: int = 0,
    ) -> None:
        """It could not be evaluated, and is not asked again."""
        self._end(architecture, repeat, State.FAILED, {}, reason, seconds, node)

    def rejected(
        self,
        architecture: Architecture,
        metrics: Mapping[str, float],
        reason: str | None,
        *,
        seconds: float | None = None,
        node: str | None = None,
        repeat: int = 0,
    ) -> None:
        """A hard constraint was found violated, so the rest of its evaluation was not paid for."""
        self._end(architecture, repeat, State.REJECTED, metrics, reason, seconds, node)

    def retried(self, architecture: Architecture, reason: str, *, node: str | None = None, repeat: int = 0) -> None:
        """Its process or node went away, through no known fault of the architecture; it will be asked again."""
        with self._changing(architecture, repeat, RETRIED, node=node, detail=reason):
            self._update(architecture, repeat, status=State.ASKED, started_at=None, node=None)

    def _end(
        self,
        architecture: Architecture,
        repeat: int,
        state: State,
        metrics: Mapping[str, float],
        reason: str | None,
        seconds: float | None,
        node: str | None,
    ) -> None:
        before = self.evaluation(architecture, repeat)
        merged = _metrics({**before.metrics, **metrics})
        if seconds is not None:
            seconds += before.seconds or 0
        with self._changing(architecture, repeat, state, node=node, detail=reason or merged):
            self._update(
                architecture,
                repeat,
                status=state,
                metrics=merged,
                reason=reason,
                ended_at=self.clock(),
                seconds=seconds,
                node=node,
            )
        if state in SPENDING:
            if repeat:
                self._repeated += not before.confirms
            else:
                self._ended[before.fidelity] += 1

    @contextlib.contextmanager
    def _changing(
        self,
        architecture: Architecture,
        repeat: int,
        state: str,
        *,
        node: str | None = None,
        detail: str | None = None,
    ) -> Iterator[None]:
        """A change of the evaluation and its event, at the fidelity it then has; both or neither."""
        with disk_errors(self.path), self._connection:
            yield
            self._connection.execute(
                "INSERT INTO events (at, key, state, fidelity, node, detail, repeat) "
                "SELECT ?, key, ?, fidelity, ?, ?, repeat FROM evaluations WHERE key = ? AND repeat = ?",
                (self.clock(), state, node, detail, architecture.key, repeat),
            )

    def _update(self, architecture: Architecture, repeat: int, **columns: object) -> None:
        assignments = ", ".join(f"{name} = ?" for name in columns)
        changed = self._connection.execute(
            f"UPDATE evaluations SET {assignments} WHERE key = ? AND repeat = ?",
            (*columns.values(), architecture.key, repeat),
        ).rowcount
        if not changed:
            raise KeyError(f"{trial_name(architecture.key, repeat)} was never asked")

    def amend(self, architecture: Architecture, metrics: Mapping[str, float]) -> None:
        """Add to, or measure again, the metrics of a finished evaluation."""
        merged = {**self.evaluation(architecture).metrics, **metrics}
        with disk_errors(self.path), self._connection:
            self._update(architecture, 0, metrics=_metrics(merged))

    def set_meta(self, name: str, value: object) -> None:
        """Keep a value that JSON holds under `name`. Raises InputError for one that could not be read back."""
        meta_value(name, json.dumps(value), str(self.path))
        with disk_errors(self.path), self._connection:
            self._connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, json.dumps(value)))

    # -- reading ------------------------------------------------------------------------------------------------

    def get_meta(self, name: str) -> Any:
        """The JSON value kept under `name`, None when there is none."""
        with reading(self.path):
            row = self._connection.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return meta_value(name, row[0], str(self.path)) if row else None

    @property
    def spent(self) -> float:
        """Whole evaluations that were paid for, failures included; of several fidelities each counts its share.

        Repeats count as whole ones, but for those that confirm.
        """
        return sum(count * share(self._fidelities, f) for f, count in self._ended.items()) + self._repeated

    def evaluations(self, status: State | None = None) -> list[Evaluation]:
        """All evaluations, or those of one state, in the order they were asked; repeats are none of them."""
        where = "(? IS NULL OR status = ?)" + (" AND repeat = 0" if self._has_repeats else "")
        return self._read(where, (status, status))

    def repeats(self) -> list[Evaluation]:
        """All repeats of evaluations, in the order they were asked."""
        return self._read("repeat != 0", ()) if self._has_repeats else []

    def events(self) -> list[Event]:
        """All changes of state, in order."""
        with reading(self.path):
            return [event_of(row, str(self.path)) for row in self._connection.execute(self._events)]

    def evaluation(self, architecture: Architecture, repeat: int = 0) -> Evaluation:
        """What is recorded of one architecture, or of a repeat. Raises KeyError when it was never asked."""
        found = self._read(
            "key = ?" + (" AND repeat = ?" if self._has_repeats else " AND ? = 0"), (architecture.key, repeat)
        )
        if not found:
            raise KeyError(f"{trial_name(architecture.key, repeat)} was never asked")
        return found[0]

    def _read(self, where: str, values: Sequence[Any]) -> list[Evaluation]:
        query = f"SELECT {self._columns} FROM evaluations WHERE {where} ORDER BY id"
        with reading(self.path):
            return [self._evaluation(row) for row in self._connection.execute(query, values)]

    def _evaluation(self, row: Sequence[Any]) -> Evaluation:
        return evaluation_of(self.space, self._columns.split(", "), row, str(self.path))


def _metrics(metrics: Mapping[str, float]) -> str:
    for name, value in metrics.items():
        if not isinstance(value, (int, float)) or not math.isfinite(value):
            raise InputError(f"metric {name} is {value!r}, not a finite number")
    return json.dumps(dict(metrics))


@contextlib.contextmanager
def _releasing_on_error(lock: FileLock | None) -> Iterator[None]:
    try:
        yield
    except BaseException:
        if lock:
            lock.release()
        raise
