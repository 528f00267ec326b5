"""What a user names as a dataset: a data.yaml, COCO json, or a folder that holds either, or XML."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from search_spaces import InputError
from search_spaces.files import read_yaml

from .coco_json import coco_paths
from .errors import DatasetError
from .voc import is_voc
from .yaml_file import absolute

TAKEN = (
    "a dataset is digits, a data.yaml, a folder that holds one, COCO json (train.json:val.json), or a folder of VOC XML"
)
VALIDATION = ("val", "valid", "validation", "test")  # folders, the first that is there


@dataclass(frozen=True)
class Place:
    """A dataset and how it is read; `source` has absolute paths."""

    kind: Literal["yaml", "coco", "voc"]
    source: str


def find_dataset(text: str) -> Place:
    """Where a dataset is. Raises DatasetError for what is none, or a folder that holds none or several."""
    if re.search(r"\.ya?ml$", text, re.IGNORECASE):
        return Place("yaml", str(absolute(text)))
    if text.lower().endswith(".json"):
        return Place("coco", ":".join(str(absolute(path)) for path in coco_paths(text)))
    folder = absolute(text)
    if not os.path.isdir(folder):
        raise DatasetError(f"{text}: {TAKEN}" + ("" if os.path.exists(folder) else f"; there is no {folder}"))
    described = [path for path in sorted(folder.iterdir()) if re.search(r"\.ya?ml$", path.name, re.IGNORECASE)]
    described = [path for path in described if _names_splits(path)]
    if len(described) > 1:
        raise DatasetError(f"{folder}: has {', '.join(path.name for path in described)}; name one of them")
    if described:
        return Place("yaml", str(described[0]))
    if (coco := _coco_in(folder)) is not None:
        return Place("coco", ":".join(map(str, coco)))
    if is_voc(folder):
        return Place("voc", str(folder))
    raise DatasetError(f"{folder}: holds no dataset that is known; {TAKEN}")


def absolute_source(text: str) -> str:
    """What names the same dataset from any working directory."""
    return text if text == "digits" else find_dataset(text).source


def _names_splits(path: Path) -> bool:
    """Whether a YAML file is a dataset's, and not of other things that lie there."""
    try:
        content = read_yaml(path, DatasetError)
    except InputError:
        return path.stem.lower() == "data"  # it must be, and what is wrong in it is to be said
    return isinstance(content, dict) and "train" in content and ("names" in content or "nc" in content)


def _coco_in(folder: Path) -> list[Path] | None:
    """The two files of COCO's own layout (annotations/instances_*.json) or of Roboflow's (train/_annotations.coco.json)."""
    ours = folder / "train" / "_annotations.coco.json"
    for split in VALIDATION:
        theirs = folder / split / "_annotations.coco.json"
        if ours.is_file() and theirs.is_file():
            return [ours, theirs]
    trained = sorted(folder.glob("annotations/instances_train*.json"))
    judged = sorted(folder.glob("annotations/instances_val*.json"))
    return [trained[0], judged[0]] if len(trained) == len(judged) == 1 else None
