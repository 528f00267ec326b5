"""The same work on many files, side by side, with one message for all that is wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from .errors import DatasetError

Thing = TypeVar("Thing")
Found = TypeVar("Found")
Tell = Callable[[int, int], None]  # how many files are done, and of how many
THREADS = 8  # reading waits more than it computes


def together(things: Sequence[Thing], work: Callable[[Thing], Found], tell: Tell | None = None) -> list[Found]:
    """`work` on every one, in a few threads. Raises DatasetError: the first of theirs, and how many more there were."""
    found: list[Found] = []
    errors: list[DatasetError] = []

    def guarded(thing: Thing) -> Found | DatasetError:
        try:
            return work(thing)
        except DatasetError as error:
            return error

    with ThreadPoolExecutor(THREADS) as pool:
        for done, each in enumerate(pool.map(guarded, things), start=1):
            if isinstance(each, DatasetError):
                errors.append(each)
            else:
                found.append(each)
            if tell is not None:
                tell(done, len(things))
    if errors:
        more = f"; {len(errors) - 1:,} more files cannot be used either" if len(errors) > 1 else ""
        raise DatasetError(f"{errors[0]}{more}")
    return found
