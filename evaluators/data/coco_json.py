"""COCO's json annotations, converted to Ultralytics' layout."""

from __future__ import annotations

import hashlib
import json
import math
import re
import reprlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from search_spaces.files import read_text

from .errors import DatasetError
from .images import image_size
from .layout import SPLITS, Box, Conversion, Entry, new_folder, write_layout


def convert_coco(source: str | Path, output: str | Path) -> Conversion:
    """COCO json ("train.json:val.json", or one file that is split) to Ultralytics' layout.

    Categories are numbered from 0 in the order of their ids; crowd annotations are left out, boxes cut to their image
    and those without area dropped. Images are looked for beside the json, in `images/` beside it, and in the folders
    train, val, train2017 and val2017 there and one up.

    Raises:
        DatasetError: `output` exists, a file is missing, not JSON or not COCO annotations, an image or category id is
            unknown, or the two files number their categories differently.
    """
    return _convert_coco(source, new_folder(output))


def _convert_coco(source: str | Path, output: Path) -> Conversion:
    paths = _coco_paths(source)
    documents = [_read_coco(path) for path in paths]
    categories: dict[int, str] = {}
    for path, document in zip(paths, documents):
        for category in document["categories"]:
            name = str(category["name"])
            if categories.setdefault(category["id"], name) != name:
                raise DatasetError(
                    f"{path}: category {category['id']} is {name!r} here and {categories[category['id']]!r} before"
                )
    if not categories:
        raise DatasetError(f"{source}: has no categories")
    index = {category: i for i, category in enumerate(sorted(categories))}
    read = [_coco_entries(path, document, index) for path, document in zip(paths, documents)]
    if len(read) == 2:
        splits = dict(zip(SPLITS, read))
    else:

        def in_val(entry: Entry) -> bool:
            return hashlib.sha256(entry[0].name.encode()).digest()[0] % 5 == 0

        splits = {"train": [e for e in read[0] if not in_val(e)], "val": [e for e in read[0] if in_val(e)]}
        if not all(splits.values()):
            raise DatasetError(f"{source}: {len(read[0])} images are too few to split; give train.json:val.json")
    return write_layout(output, [categories[c] for c in sorted(categories)], splits)


def _coco_paths(source: str | Path) -> list[Path]:
    paths = [Path(part) for part in re.split(r"(?<=\.json):", str(source))]  # not at the colon of a Windows drive
    if len(paths) > 2:
        raise DatasetError(f"{source}: at most a training and a validation json")
    return paths


COCO_FIELDS: dict[str, dict[str, Any]] = {  # of every entry, with their types
    "images": {"id": (int, str), "file_name": str},
    "annotations": {"image_id": (int, str), "category_id": int, "bbox": list},
    "categories": {"id": int, "name": str},
}


def _read_coco(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(read_text(path, DatasetError))
    except json.JSONDecodeError as error:
        raise DatasetError(f"{path}, line {error.lineno}: not valid JSON") from None
    for name, fields in COCO_FIELDS.items():
        entries = document.get(name) if isinstance(document, dict) else None
        if not isinstance(entries, list):
            raise DatasetError(f"{path}: has no list of {name}; it must be COCO detection annotations")
        for i, entry in enumerate(entries):
            for key, kinds in fields.items():
                if not isinstance(entry, dict) or key not in entry:
                    raise DatasetError(f"{path}: {name}[{i}] has no {key}")
                if not isinstance(entry[key], kinds):
                    raise DatasetError(
                        f"{path}: {name}[{i}] has the {key} {reprlib.repr(entry[key])}, which COCO does not allow"
                    )
    if not document["images"]:
        raise DatasetError(f"{path}: its list of images is empty")
    return document


def _coco_entries(path: Path, document: dict[str, Any], index: Mapping[int, int]) -> list[Entry]:
    places = [
        base / sub
        for base in (path.parent, path.parent.parent)
        for sub in ("", "images", "train", "val", "train2017", "val2017")
    ]
    found: dict[int | str, list[Box]] = {image["id"]: [] for image in document["images"]}
    if len(found) < len(document["images"]):
        raise DatasetError(f"{path}: several images have the same id")
    for i, annotation in enumerate(document["annotations"]):
        where = f"{path}: annotations[{i}]"
        if annotation.get("iscrowd"):
            continue
        if annotation["image_id"] not in found:
            raise DatasetError(f"{where}: image_id {annotation['image_id']!r} is not among the images")
        if annotation["category_id"] not in index:
            raise DatasetError(f"{where}: category_id {annotation['category_id']!r} is not among the categories")
        try:
            x, y, width, height = map(float, annotation["bbox"])
            if not all(map(math.isfinite, (x, y, width, height))):
                raise ValueError
        except (TypeError, ValueError):
            raise DatasetError(f"{where}: bbox {reprlib.repr(annotation['bbox'])} is not x, y, width, height") from None
        found[annotation["image_id"]].append((index[annotation["category_id"]], x, y, x + width, y + height))
    entries: list[Entry] = []
    for image in document["images"]:
        file = next((p for place in places if (p := place / image["file_name"]).is_file()), None)
        if file is None:
            raise DatasetError(
                f"{path}: image {image['file_name']} was found neither beside it nor in images/, train/ or val/"
            )
        entries.append((file, *image_size(file), found[image["id"]]))
    return entries


def cached_coco(source: str, directory: Path) -> Path:
    """The converted dataset in the cache, named by the json's content, so that it is made once."""
    digest = hashlib.sha256()
    for path in _coco_paths(source):
        digest.update(read_text(path, DatasetError).encode() + str(path.absolute()).encode())
    root = directory / f"coco-{digest.hexdigest()[:12]}"
    if not (root / "data.yaml").exists():
        _convert_coco(source, root)
    return root / "data.yaml"
