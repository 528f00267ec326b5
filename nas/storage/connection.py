"""Connections to the file of a store, and what goes wrong with them as one InputError."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from search_spaces import InputError
from search_spaces.writing import own

from .file_systems import network_file_system
from .folder import RunFolder

COMPANIONS = ("-wal", "-shm", "-journal")  # files that SQLite keeps beside a store while it is open


def connect(path: Path, read_only: bool = False) -> sqlite3.Connection:
    """A connection to a store, with the journal that its file system bears; to read where nothing can be written too."""
    companions = [own(path.with_name(path.name + suffix), path.parent) for suffix in COMPANIONS]
    can_write = os.access(path.parent, os.W_OK) and (os.access(path, os.W_OK) or not path.exists())
    if read_only and not can_write:
        # A log's index cannot be made here. Without a log nobody is writing, and otherwise SQLite finds its own way.
        is_quiet = _has_log(path) and not any(file.exists() and file.stat().st_size for file in companions)
        address = f"{path.absolute().as_uri()}?mode=ro{'&immutable=1' if is_quiet else ''}"
        return sqlite3.connect(address, uri=True, timeout=30, check_same_thread=False)
    connection = sqlite3.connect(path, timeout=30, check_same_thread=False)
    if read_only:  # a reader needs write access to the log's index, so this is a promise kept by
        connection.execute("PRAGMA query_only = ON")
        return connection
    if network_file_system(path.parent):
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")  # to read a log that is there without memory to share
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("PRAGMA locking_mode = NORMAL")
    else:
        connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    return connection


def _has_log(path: Path) -> bool:
    """Whether a store is of the kind that has a write-ahead log, as its header tells."""
    with open(path, "rb") as file:
        return file.read(20)[18:] == b"\2\2"


@contextlib.contextmanager
def disk_errors(path: Path, read_only: bool = False) -> Iterator[None]:
    """What SQLite finds wrong while a store is opened or written is an InputError that says how to go on."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        if read_only and isinstance(error, sqlite3.OperationalError):
            raise InputError(
                f"{path} cannot be read here ({error}); copy its folder to where you can write, and look there"
            ) from None
        raise InputError(
            f"{path}: {error}; what was recorded before is safe: mend the cause, then {RunFolder(path.parent).how_to_resume()}"
        ) from None


@contextlib.contextmanager
def reading(path: Path) -> Iterator[None]:
    """What SQLite finds wrong while a store is read is an InputError that names it."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise InputError(f"{path}: cannot be read ({error})") from None
    except (sqlite3.Error, MemoryError) as error:  # of memory, a damaged length asks for any amount
        raise InputError(
            f"{path}: is damaged ({error or 'a length in it is absurd'}); use a copy that is whole"
        ) from None
