"""Datasets' folders that are made once: where they are kept, and how they are never seen half made."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from search_spaces.writing import new_folder

from ..caches import cache_directory as cache_directory


@contextlib.contextmanager
def whole_folder(root: Path) -> Iterator[Path]:
    """A temporary folder that becomes `root` when its block ends well; `root` is never seen half made.

    Processes may race: each fills its own folder, the first to finish gives it its place, the others' are dropped.
    """
    try:
        with new_folder(root) as temporary:
            yield temporary
    except OSError:
        if not (root / "data.yaml").exists():  # not another process that was faster
            raise
