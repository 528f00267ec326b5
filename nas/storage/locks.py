"""Who may write a store: one search at a time, by a lock that the operating system takes back when its process dies."""

from __future__ import annotations

import contextlib
import errno
from pathlib import Path

from filelock import FileLock, Timeout

from search_spaces import InputError
from search_spaces.writing import own

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

HELD = (errno.EWOULDBLOCK, errno.EACCES)  # what the system answers where another process holds a lock


def write_lock(store: Path) -> FileLock:
    """The right to write a store, held until it is released.

    Raises:
        InputError: another search has it, the folder cannot be written, or its file system has no locks.
    """
    lock = _lock_of(store)
    try:
        lock.acquire(timeout=1)  # `is_in_use` holds it for a moment
    except Timeout:
        if (why := _why_unlockable(lock.lock_file)) is not None:
            raise InputError(
                f"{store.parent} is on a file system without locks ({why}); the run's folder needs one"
            ) from None
        raise InputError(f"{store.parent} is in use by another search; wait for it or stop it") from None
    except (OSError, NotImplementedError) as error:
        raise InputError(f"{store.parent} cannot be written ({getattr(error, 'strerror', None) or error})") from None
    return lock


def is_in_use(store: str | Path) -> bool:
    """Whether a search is writing the store at this moment. Nothing is written to find out, so anybody may ask."""
    lock = _lock_of(Path(store))
    if not Path(lock.lock_file).exists():
        return False
    if fcntl is None:
        try:
            with lock.acquire(timeout=0):
                return False
        except Timeout:
            return True
    # where it cannot be opened nothing can be told
    with contextlib.suppress(OSError), open(lock.lock_file, "rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError as error:
            return error.errno in HELD
    return False


def _lock_of(store: Path) -> FileLock:
    # filelock follows links, and empties the file that it opens
    return FileLock(own(store.with_name(f"{store.name}.lock"), store.parent))


def _why_unlockable(path: str) -> str | None:
    """What the system says where a file cannot be locked though nobody holds it; filelock goes on trying."""
    if fcntl is None:
        return None
    with open(path, "a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            return None if error.errno in HELD else error.strerror
    return None
