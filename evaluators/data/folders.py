"""Folders that are made once: where they are kept, and how they are never seen half made."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path


def cache_directory() -> Path:
    """Where generated and converted datasets are kept: $EVOYOLO_CACHE or ~/.cache/evoyolo."""
    return Path(os.environ.get("EVOYOLO_CACHE") or Path.home() / ".cache" / "evoyolo")


@contextlib.contextmanager
def whole_folder(root: Path) -> Iterator[Path]:
    """A temporary folder that becomes `root` when its block ends well; `root` is never seen half made.

    Processes may race: each fills its own folder, the first to finish gives it its place, the others' are dropped.
    """
    root.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{root.name}-", dir=root.parent))
    try:
        yield temporary
        os.chmod(temporary, 0o755)  # mkdtemp's folders are for their owner alone
        try:
            os.replace(temporary, root)
        except OSError:
            if not (root / "data.yaml").exists():  # not another process that was faster
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
