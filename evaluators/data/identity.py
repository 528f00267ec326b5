"""Which dataset it is: what is kept with a run, so that one that is resumed goes on with the same images and labels."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from .dataset import Dataset
from .layout import SPLITS


def dataset_identity(dataset: Dataset) -> dict[str, Any]:
    """Plain data that names a dataset: its place, its classes, and of every image its file, size in bytes and labels."""
    splits = {}
    for split in SPLITS:
        found = dataset.annotated(split)
        names = [os.path.relpath(path, dataset.root) for path in found.paths]
        splits[split] = [list(entry) for entry in zip(names, found.file_bytes.tolist(), found.label_digests())]
    return {"root": str(dataset.root), "names": list(dataset.names), **splits}


def what_changed(before: Mapping[str, Any], now: Mapping[str, Any]) -> str | None:
    """What makes a dataset another one than before, in words that name the first file; None where it is the same.

    The place does not count: a dataset may be moved.
    """
    if before["names"] != now["names"]:
        return f"its classes are {', '.join(now['names'])} now, and were {', '.join(before['names'])}"
    for split in SPLITS:
        was, is_now = ({name: rest for name, *rest in of[split]} for of in (before, now))
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
        if before[split] != now[split]:
            return f"the images of {split} are listed in another order, or more often"
    return None
