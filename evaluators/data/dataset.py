"""A detection dataset in Ultralytics' layout, and loading one from what a user names."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from search_spaces.files import read_text, read_yaml

from .coco_json import cached_coco
from .digits import digits_yaml
from .errors import DatasetError
from .folders import cache_directory as default_cache_directory
from .images import SUFFIXES
from .layout import SPLITS


@dataclass(frozen=True)
class Dataset:
    """A detection dataset in Ultralytics' layout: labels in `labels/` where images are in `images/`.

    Attributes:
        name: for messages.
        yaml_path: its data.yaml.
        names: class names by index.
        train, val: the images of each split.
    """

    name: str
    yaml_path: Path
    root: Path
    names: tuple[str, ...]
    train: tuple[Path, ...]
    val: tuple[Path, ...]
    sources: Mapping[str, list[str]] = field(default_factory=dict)  # each split as Ultralytics takes it

    @property
    def num_classes(self) -> int:
        """How many classes its boxes have."""
        return len(self.names)

    def data_dict(self) -> dict[str, Any]:
        """What `get_dataset` of an Ultralytics trainer returns."""
        return {
            "path": str(self.root),
            **{split: list(sources) for split, sources in self.sources.items()},
            "nc": self.num_classes,
            "names": dict(enumerate(self.names)),
            "channels": 3,
            "yaml_file": str(self.yaml_path),
        }


def load_dataset(source: str | Path, *, cache_directory: str | Path | None = None) -> Dataset:
    """A dataset from what a user names; of a data.yaml nothing is executed and its `download` is ignored.

    Args:
        source: "digits" (built in), an Ultralytics data.yaml, or COCO json: "train.json:val.json", or a single json,
            of which a fifth of the images (chosen by a hash of their names) becomes the validation split.
        cache_directory: for what is generated or converted; None takes $EVOYOLO_CACHE or ~/.cache/evoyolo.

    The `path` of a data.yaml is relative to the file's folder, or else to the working directory; never to a folder
    from Ultralytics' settings.

    Raises:
        DatasetError: a file that is missing or broken, or a split without images.
    """
    text = str(source)
    if text == "digits":
        return _read_yaml(digits_yaml(directory=cache_directory), "digits")
    if text.endswith((".yaml", ".yml")):
        return _read_yaml(Path(text), text)
    if text.endswith(".json"):
        return _read_yaml(cached_coco(text, Path(cache_directory or default_cache_directory())), text)
    raise DatasetError(f"{text}: a dataset is digits, a data.yaml, or COCO json (train.json:val.json)")


def _read_yaml(path: Path, name: str) -> Dataset:
    path = path.absolute()
    content = read_yaml(path, DatasetError)
    if not isinstance(content, dict):
        raise DatasetError(f"{path}: must hold the fields path, train, val and names")
    names = content.get("names")
    if isinstance(names, list):
        names = dict(enumerate(names))
    if not isinstance(names, dict) or not names or set(names) != set(range(len(names))):
        given = reprlib.repr(content.get("names"))
        raise DatasetError(f"{path}: names must list the classes, numbered 0, 1, 2 and so on; it is {given}")
    names = tuple(str(names[i]) for i in range(len(names)))
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DatasetError(f"{path}: names has {twice[0]!r} more than once; results are told apart by class name")
    if content.get("nc", len(names)) != len(names):
        raise DatasetError(f"{path}: nc is {content['nc']} but names has {len(names)} classes")
    if "val" not in content and "validation" in content:  # Roboflow's and Hugging Face's word, which Ultralytics takes
        content["val"] = content["validation"]
    root = _root(path, str(content.get("path") or "."))
    sources, images = {}, {}
    for split in SPLITS:
        entries = content.get(split)
        entries = [entries] if isinstance(entries, str) else entries
        if not isinstance(entries, list) or not entries or not all(isinstance(entry, str) for entry in entries):
            raise DatasetError(
                f"{path}: {split} must name a folder of images or a list of them; it is {reprlib.repr(entries)}"
            )
        sources[split] = [str(_place(root, entry)) for entry in entries]
        images[split] = tuple(image for place in sources[split] for image in _images(Path(place), path, split))
        if not images[split]:
            raise DatasetError(f"{path}: {split} has no images in {', '.join(sources[split])}")
    return Dataset(name, path, root, names, images["train"], images["val"], sources)


def _root(yaml_path: Path, text: str) -> Path:
    places = [(base / text).resolve() for base in (yaml_path.parent, Path.cwd())]
    root = next((place for place in places if place.is_dir()), None)
    if root is None:
        looked = " nor ".join(dict.fromkeys(map(str, places)))
        raise DatasetError(f"{yaml_path}: path names {text}, but there is no folder {looked}")
    return root


def _place(root: Path, entry: str) -> Path:
    place = (root / entry).resolve()
    if not place.exists() and entry.startswith("../"):  # Roboflow's files go one folder up too far
        place = (root / entry[3:]).resolve()
    return place


def _images(place: Path, yaml_path: Path, split: str) -> list[Path]:
    if place.is_dir():
        return sorted(
            p
            for p in place.rglob("*")
            if p.suffix.lower() in SUFFIXES and not any(part.startswith(".") for part in p.relative_to(place).parts)
        )  # hidden files are no images, such as the ._ ones of macOS
    if place.suffix == ".txt":
        lines = (line.strip() for line in read_text(place, DatasetError).splitlines())
        listed = [line for line in lines if line.lower().endswith(SUFFIXES)]
        # As in Ultralytics: ./ is the folder of the list, other relative paths start at the working directory
        return [(place.parent if line.startswith("./") else Path.cwd()) / line for line in listed]
    raise DatasetError(f"{yaml_path}: {split} names {place}, which is neither a folder nor a .txt list of images")
