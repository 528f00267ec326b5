"""Locks between the processes of one user on one machine; the system frees them when a process dies."""

from __future__ import annotations

from filelock import FileLock

from search_spaces.writing import own

from .caches import user_folder


def machine_lock(name: str) -> FileLock:
    """The lock called `name`; wait for it with `with`."""
    folder = user_folder()  # a file that another user made could not be opened
    return FileLock(own(folder / f"{name}.lock", folder))
