"""Reading a data.yaml by Ultralytics' rules: classes, and the images of each split."""

from __future__ import annotations

import os
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from search_spaces import InputError
from search_spaces.errors import shown
from search_spaces.files import expanded, read_json, read_text, read_yaml
from search_spaces.graph import MOST_CLASSES

from .errors import DatasetError
from .images import SUFFIXES
from .layout import NOTES, SPLITS


@dataclass(frozen=True)
class DataYaml:
    """What a data.yaml says, with every image's absolute path."""

    path: Path
    root: Path
    names: tuple[str, ...]
    train: tuple[Path, ...]
    val: tuple[Path, ...]
    keypoint_numbers: int
    notes: tuple[str, ...]


def read_data_yaml(path: Path) -> DataYaml:
    """Read a data.yaml, and list the images of its splits.

    Raises:
        DatasetError: a field that is missing or wrong, a folder that is not there, a split without images.
    """
    path = absolute(path)
    # class names are text as it stands there: `yes`, `no`, `1e3` and `null` are names as others are
    content = read_yaml(path, DatasetError, text=("names",))
    if not isinstance(content, dict):
        raise DatasetError(f"{path}: must hold the fields path, train, val and names")
    channels = content.get("channels", 3)
    if channels != 3:
        raise DatasetError(
            f"{path}: channels is {shown(channels)}; networks here take images of three channels: "
            "remove the field, and grey images are read as such"
        )
    names = _names(path, content)
    if "val" not in content and "validation" in content:  # Roboflow's and Hugging Face's word, which Ultralytics takes
        content["val"] = content["validation"]
    root, notes = _root(path, content), _notes_of(path)
    images: dict[str, tuple[Path, ...]] = {}
    for split in SPLITS:
        entries = content.get(split)
        entries = [entries] if isinstance(entries, str) else entries
        if not isinstance(entries, list) or not entries or not all(isinstance(entry, str) for entry in entries):
            raise DatasetError(
                f"{path}: {split} must name a folder of images or a list of them; it is {shown(entries)}"
            )
        places = [_place(root, entry) for entry in entries]
        found = [image for place in places for image in _images(place, path, split, notes)]
        if not found:
            raise DatasetError(f"{path}: {split} has no images in {', '.join(map(str, places))}")
        images[split] = tuple(sorted(found, key=str))  # Ultralytics' order, of which `fraction` takes the first
    return DataYaml(path, root, names, images["train"], images["val"], _keypoint_numbers(path, content), tuple(notes))


def absolute(path: str | Path) -> Path:
    """An absolute path without `..`; a link on the way stays one, so that labels are looked for where the user sees them."""
    raw = Path(expanded(str(path)))
    plain = Path(os.path.abspath(raw))
    try:
        same = ".." not in raw.parts or os.path.samefile(plain, raw)
    except OSError:
        same = not os.path.exists(raw)
    return plain if same else Path(os.path.realpath(raw))


def _names(path: Path, content: dict[str, Any]) -> tuple[str, ...]:
    names, nc = content.get("names"), _whole(content.get("nc"))
    if "nc" in content and (nc is None or not 1 <= nc <= MOST_CLASSES):
        raise DatasetError(
            f"{path}: nc is {shown(content['nc'])}; it must be the number of classes, at most {MOST_CLASSES:,}"
        )
    if names is None and nc is not None:
        return tuple(f"class_{i}" for i in range(nc))  # as Ultralytics calls them
    if isinstance(names, list):
        names = dict(enumerate(names))
    given = names if isinstance(names, dict) else {}
    numbered = {_whole(key): name for key, name in given.items()}
    if (
        not numbered
        or set(numbered) != set(range(len(given)))
        or not all(isinstance(n, str) for n in numbered.values())
    ):
        raise DatasetError(
            f"{path}: names must list the classes, numbered 0, 1, 2 and so on; it is {shown(content.get('names'))}"
        )
    ordered = [numbered[i] for i in range(len(numbered))]
    twice = sorted(name for name, count in Counter(ordered).items() if count > 1)
    if twice:
        raise DatasetError(f"{path}: names has {twice[0]!r} more than once; results are told apart by class name")
    if nc is not None and nc != len(ordered):
        raise DatasetError(f"{path}: nc is {nc} but names has {len(ordered)} classes")
    return tuple(ordered)


def _whole(value: Any) -> int | None:
    """A whole number, also one that is written as text or with a point; None for anything else."""
    if isinstance(value, str) and re.fullmatch(r"[+-]?\d{1,9}", value.strip()):
        return int(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != value or abs(value) > 1e9:
        return None
    return int(value) if value == int(value) else None


def _keypoint_numbers(path: Path, content: dict[str, Any]) -> int:
    shape = content.get("kpt_shape")
    if shape is None:
        return 0
    counts = [_whole(entry) for entry in shape] if isinstance(shape, list) else []
    points, numbers = counts if len(counts) == 2 else (None, None)
    if points is None or points < 1 or numbers not in (2, 3):
        raise DatasetError(f"{path}: kpt_shape is {shown(shape)}; it must be [keypoints, 2 or 3 numbers of each]")
    return points * numbers


def _root(path: Path, content: dict[str, Any]) -> Path:
    text = content.get("path") or "."
    if not isinstance(text, str):
        raise DatasetError(f"{path}: path must name a folder; it is {shown(text)}")
    places = [absolute(base / expanded(text)) for base in (path.parent, Path.cwd())]
    root = next((place for place in places if os.path.isdir(place)), None)
    if root is None:
        looked = " nor ".join(dict.fromkeys(map(str, places)))
        raise DatasetError(f"{path}: path names {text}, but there is no folder {looked}")
    return root


def _place(root: Path, entry: str) -> Path:
    place = absolute(root / expanded(entry))
    if not os.path.exists(place) and entry.startswith("../"):  # Roboflow's files go one folder up too far
        place = absolute(root / entry[3:])
    return place


def _images(place: Path, yaml_path: Path, split: str, notes: list[str]) -> list[Path]:
    if os.path.isdir(place):
        return _images_below(place)
    if place.suffix.lower() == ".txt" and os.path.isfile(place):
        return _listed(place, notes)
    if place.suffix.lower() in SUFFIXES and os.path.isfile(place):
        return [place]
    raise DatasetError(f"{yaml_path}: {split} names {place}, which is neither a folder nor a .txt list of images")


def _images_below(place: Path) -> list[Path]:
    """Images in a folder and those in it, through links too, but for hidden ones such as the ._ files of macOS."""
    found: list[Path] = []
    above = {os.path.realpath(place)}
    for folder, folders, files in os.walk(place, followlinks=True):
        kept = []
        for name in folders:
            inner = os.path.join(folder, name)
            if not name.startswith(".") and not (os.path.islink(inner) and os.path.realpath(inner) in above):
                kept.append(name)
                above.add(os.path.realpath(inner))
        folders[:] = kept
        found += [
            Path(folder, name)
            for name in files
            if not name.startswith(".") and os.path.splitext(name)[1].lower() in SUFFIXES
        ]
    return found


def _listed(place: Path, notes: list[str]) -> list[Path]:
    """The images of a list; as in Ultralytics ./ is the list's folder, and other paths start at the working directory."""
    found, ignored, flagged = [], 0, 0
    for line in read_text(place, DatasetError).splitlines():
        if not (line := line.strip()):
            continue
        if not line.lower().endswith(SUFFIXES):
            with_flags = re.fullmatch(r"(.*\S)((?:\s+[+-]?\d+)+)", line)  # as lists of Pascal VOC have them
            if not with_flags or not with_flags[1].lower().endswith(SUFFIXES):
                ignored += 1
                continue
            line, flagged = with_flags[1], flagged + 1
        image = Path(expanded(line))
        at_work = absolute(Path.cwd() / image)
        beside = absolute(place.parent / image)
        found.append(
            beside if line.startswith("./") or (not os.path.exists(at_work) and os.path.exists(beside)) else at_work
        )
    if ignored:
        notes.append(f"{place} has {ignored:,} lines that name no image, and are left out")
    if flagged:
        notes.append(f"{place} has flags behind {flagged:,} images, and they are left out")
    return found


def _notes_of(path: Path) -> list[str]:
    """What a conversion has left to say beside the data.yaml that it wrote."""
    beside = path.parent / NOTES
    try:
        notes = read_json(beside) if beside.is_file() else []
    except InputError:
        return []
    return [note for note in notes if isinstance(note, str)] if isinstance(notes, list) else []
