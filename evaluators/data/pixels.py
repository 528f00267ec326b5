"""Every image decoded once, before anything is paid for, and remembered for as long as its file stays as it is."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from search_spaces import InputError
from search_spaces.files import read_json
from search_spaces.writing import write_text

from .errors import DatasetError
from .folders import cache_directory
from .images import check_image
from .together import Tell, together


@dataclass(frozen=True)
class Pixels:
    """(n, 2) widths and heights of images, upright, and (n,) bytes of their files."""

    sizes: np.ndarray
    file_bytes: np.ndarray


def check_pixels(paths: Sequence[Path], tell: Tell | None = None, *, of: str = "") -> Pixels:
    """Decode the images that are new or have changed since they were last decoded here.

    Args:
        tell: is told how many of these are done.
        of: names these images among others, whose memory is kept apart: their dataset and split.

    Raises:
        DatasetError: an image is missing, cannot be decoded, or is too small.
    """
    memory = _memory_of(of)
    known = _read(memory) if memory else {}
    names = [as_text(path) for path in paths]
    stats = [_stat(path) for path in paths]
    new = [path for path, name, stat in zip(paths, names, stats) if known.get(name, [])[:2] != stat]
    sizes = dict(zip(new, together(new, check_image, tell)))
    entries = {
        name: [*stat, *sizes[path]] if path in sizes else known[name] for path, name, stat in zip(paths, names, stats)
    }
    if memory and (new or len(entries) < len(known)):
        with contextlib.suppress(OSError):  # it only saves time
            memory.parent.mkdir(parents=True, exist_ok=True)
            write_text(memory, json.dumps({"readers": _readers(), "images": entries}))
    table = np.array([entries[name] for name in names], np.int64).reshape(-1, 4)
    return Pixels(table[:, 2:], table[:, 0])


def as_text(path: str | Path) -> str:
    """A path as text that any file may hold, also where it is no UTF-8; two paths have two texts."""
    return os.fsencode(path).replace(b"\\", b"\\\\").decode("utf-8", "backslashreplace")


def _stat(path: Path) -> list[int]:
    try:
        stat = os.stat(path)
    except FileNotFoundError:
        raise DatasetError(f"{path}: the image does not exist") from None
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror})") from None
    return [stat.st_size, stat.st_mtime_ns]


def _memory_of(what: str) -> Path | None:
    name = hashlib.sha256(what.encode()).hexdigest()[:16]
    try:
        return cache_directory() / "pixels" / f"{name}.json"
    except InputError:  # without a cache everything is decoded each time
        return None


def _readers() -> dict[str, str]:
    """What decodes images here: another version may see other pixels."""
    found = {}
    for package in ("ultralytics", "opencv-python", "opencv-python-headless", "pillow"):
        with contextlib.suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def _read(memory: Path) -> dict[str, Any]:
    """File -> [bytes, time of change in ns, width, height]; empty where there is nothing of use."""
    try:
        content = read_json(memory, most_mb=None) if memory.exists() else None
    except InputError:
        return {}
    if not isinstance(content, dict) or content.get("readers") != _readers():
        return {}
    images = content.get("images")
    return {
        name: entry
        for name, entry in (images.items() if isinstance(images, dict) else ())
        if isinstance(entry, list) and len(entry) == 4 and all(type(number) is int for number in entry)
    }
