"""Which dataset it is: what is kept with a run, so that one that is resumed goes on with the same images and labels."""

from __future__ import annotations

import base64
import json
import os
import zlib
from collections.abc import Mapping
from typing import Any

from .dataset import Dataset
from .layout import SPLITS
from .pixels import as_text

MOST_BYTES = 2**31  # of the entries of a split; of ten million images


def dataset_identity(dataset: Dataset) -> dict[str, Any]:
    """Plain data that names a dataset: its place, its classes, and of every image its file, size in bytes and labels.

    The images of each split are a compressed text, since there may be millions.
    """
    splits = {}
    for split in SPLITS:
        found = dataset.annotated(split)
        names = [as_text(os.path.relpath(path, dataset.root)) for path in found.paths]
        splits[split] = _packed(list(zip(names, found.file_bytes.tolist(), found.label_digests())))
    return {"root": as_text(dataset.root), "names": list(dataset.names), **splits}


def what_changed(before: Mapping[str, Any], now: Mapping[str, Any]) -> str | None:
    """What makes a dataset another one than before, in words that name the first file; None where it is the same.

    The place does not count: a dataset may be moved.

    Raises:
        KeyError, TypeError, ValueError: `before` is not what `dataset_identity` gives.
    """
    if before["names"] != now["names"]:
        return f"its classes are {', '.join(now['names'])} now, and were {', '.join(before['names'])}"
    for split in SPLITS:
        if before[split] == now[split]:
            continue
        was, is_now = ({name: rest for name, *rest in _unpacked(of[split])} for of in (before, now))
        both = [name for name in was if name in is_now]
        differences = {
            "images of {} are gone": [name for name in was if name not in is_now],
            "images of {} are new": [name for name in is_now if name not in was],
            "images of {} are other files now": [name for name in both if was[name][0] != is_now[name][0]],
            "images of {} have other labels now": [name for name in both if was[name][1] != is_now[name][1]],
        }
        for words, names in differences.items():
            if names:
                return f"{len(names):,} {words.format(split)}, such as {names[0]}"
        return f"the images of {split} are listed in another order, or more often"
    return None


def _packed(entries: list[tuple[str, int, str]]) -> str:
    return base64.b85encode(zlib.compress(json.dumps(entries, separators=(",", ":")).encode())).decode()


def _unpacked(text: str) -> list[list[Any]]:
    try:
        content = zlib.decompressobj().decompress(base64.b85decode(text), MOST_BYTES)
    except zlib.error as error:
        raise ValueError(str(error)) from None
    return json.loads(content)
