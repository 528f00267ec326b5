"""Annotations converted to Ultralytics' layout: into a folder of the user's, or once into the cache."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from search_spaces.files import read_json

from .errors import DatasetError
from .folders import whole_folder
from .layout import AnnotatedImages, Conversion, write_layout

VERSION = b"2"  # of what a conversion means: those of other versions in the cache are not taken
SOURCES = "sources.json"  # the images that a conversion in the cache links to, and their state at that time

State = tuple[str, int, int]


def convert(output: str | Path, read: Callable[[], AnnotatedImages]) -> Conversion:
    """Write what `read` gives to a new folder, which stands alone: its images are copies.

    Raises:
        DatasetError: `output` exists or cannot be written, or the annotations or images are wrong.
    """
    root = Path(output)
    if root.exists():
        raise DatasetError(f"{root} exists; name a folder that does not")
    found = read()
    with _whole(root) as temporary:
        conversion = write_layout(temporary, found)
    return replace(conversion, yaml_path=root / "data.yaml")


def cached(kind: str, directory: Path, annotations: Iterable[bytes], read: Callable[[], AnnotatedImages]) -> Path:
    """The data.yaml of a conversion in the cache, made unless there is one of the same annotations and images.

    Args:
        kind: of annotations; begins the folder's name.
        annotations: what tells them from others.
        read: reads them, if it must be done.

    Raises:
        DatasetError: the annotations or images are wrong, or the cache cannot be written.
    """
    name = f"{kind}-{_digest(VERSION, *annotations)}"
    for root in sorted(directory.glob(f"{name}-*/")):
        if (root / "data.yaml").exists() and _is_current(root / SOURCES):
            return root / "data.yaml"
    found = read()
    # before an image is read: if one changes meanwhile, this conversion is not taken again
    states = json.dumps(_states(entry.path for entries in found.splits.values() for entry in entries))
    root = directory / f"{name}-{_digest(states.encode())}"
    with _whole(root) as temporary:
        write_layout(temporary, found, link=True)
        (temporary / SOURCES).write_text(states, encoding="utf-8")
    return root / "data.yaml"


def file_state(path: str | Path) -> State:
    """What changes when a file does: its absolute path, size in bytes, and time of change in ns. Raises DatasetError."""
    try:
        status = os.stat(path)
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror})") from None
    return os.path.abspath(path), status.st_size, status.st_mtime_ns


def _states(paths: Iterable[str | Path]) -> list[State]:
    return sorted({file_state(path) for path in paths})


def _is_current(sources: Path) -> bool:
    try:
        states = read_json(sources, most_mb=None)
        return _states(path for path, _, _ in states) == [tuple(state) for state in states]
    except (TypeError, ValueError):  # InputError is a ValueError
        return False


def _digest(*parts: bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()[:12]


@contextlib.contextmanager
def _whole(root: Path) -> Iterator[Path]:
    try:
        with whole_folder(root) as temporary:
            yield temporary
    except OSError as error:
        raise DatasetError(f"{error.filename or root}: cannot be read or written ({error.strerror})") from None
