"""Locks between the processes of one user on one machine; the system frees them when a process dies."""

from __future__ import annotations

import getpass
import tempfile
from pathlib import Path

from filelock import FileLock


def machine_lock(name: str) -> FileLock:
    """The lock called `name`; wait for it with `with`."""
    # one per user: a file that another user made could not be opened
    return FileLock(Path(tempfile.gettempdir()) / f"evoyolo-{getpass.getuser()}-{name}.lock")
