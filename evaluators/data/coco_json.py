"""COCO's json annotations, converted to Ultralytics' layout."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from search_spaces.errors import shown
from search_spaces.files import read_json, read_text

from .coco_regions import region_corners
from .conversion import cached, convert
from .errors import DatasetError
from .layout import SPLIT_NOTE, SPLITS, AnnotatedImage, AnnotatedImages, Conversion, split_by_name

FOLDERS = tuple(f"{split}{year}" for split in ("train", "val", "valid", "test") for year in ("", "2017"))


def convert_coco(source: str | Path, output: str | Path) -> Conversion:
    """COCO json ("train.json:val.json", or one file that is split) to Ultralytics' layout.

    Categories are numbered from 0 in the order of their ids; the row that Roboflow adds for its project is no class.
    Crowd annotations become regions in which detections count neither way. Boxes are cut to their image; those without
    area and those written twice are dropped. Where there is no bbox, the segmentation's is taken. Images are looked for
    beside the json, in `images/` beside it, in the folders of splits (train, val2017, ...) in both, and the same one up.

    Raises:
        DatasetError: `output` exists, a file is missing, not JSON or not COCO annotations, an image or category id is
            unknown, the categories of the files differ, or an image has another shape than the json states.
    """
    return convert(output, lambda: _read_coco(source))


def cached_coco(source: str | Path, directory: Path) -> Path:
    """The data.yaml of the converted dataset in a cache, made once for the same json and the same images.

    Raises:
        DatasetError: as `convert_coco`.
    """
    parts = [(os.fsencode(path.absolute()), read_text(path, DatasetError).encode()) for path in coco_paths(source)]
    return cached("coco", directory, [part for pair in parts for part in pair], lambda: _read_coco(source))


def _read_coco(source: str | Path) -> AnnotatedImages:
    paths = coco_paths(source)
    documents = [_read_document(path) for path in paths]
    notes: list[str] = []
    classes = _classes(paths, documents, notes)
    read = [_images(path, document, classes, notes) for path, document in zip(paths, documents)]
    if len(read) == 2:
        splits = dict(zip(SPLITS, read))
    else:
        splits = split_by_name(read[0], source)
        notes.append(SPLIT_NOTE)
    return AnnotatedImages(list(classes.values()), splits, notes)


def coco_paths(source: str | Path) -> list[Path]:
    """The files that `train.json:val.json` or `all.json` names. Raises DatasetError for more than two."""
    paths = [Path(part) for part in re.split(r"(?i)(?<=\.json):", str(source))]  # not at the colon of a Windows drive
    if len(paths) > 2:
        raise DatasetError(f"{source}: at most a training and a validation json")
    return paths


def _identity(value: Any) -> int | str | None:
    """An id as it is compared: 1, 1.0 and "1" are the same one. None for what is no id."""
    if isinstance(value, str):
        return int(value) if re.fullmatch(r"0|-?[1-9][0-9]{0,17}", value) else value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _number(value: Any) -> int | None:
    found = _identity(value)
    return found if isinstance(found, int) else None


def _flag(value: Any) -> int | None:
    found = int(value or 0) if value is None or isinstance(value, bool) else _number(value)
    return found if found in (0, 1) else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value.strip() else None


def _name(value: Any) -> str | None:
    return _text(str(value) if isinstance(value, int) and not isinstance(value, bool) else value)


@dataclass(frozen=True)
class _Field:
    key: str
    read: Callable[[Any], Any]  # None for what it cannot be
    must_be: str
    required: bool = True


FIELDS = {
    "images": (_Field("id", _identity, "a number or text"), _Field("file_name", _text, "text")),
    "annotations": (
        _Field("image_id", _identity, "a number or text"),
        _Field("category_id", _number, "a whole number"),
        _Field("iscrowd", _flag, "0 or 1", required=False),
    ),
    "categories": (_Field("id", _number, "a whole number"), _Field("name", _name, "text")),
}


def _read_document(path: Path) -> dict[str, Any]:
    """The lists of a file, the fields of their entries in the form that they have here."""
    # of many tools, which write NaN into fields that nobody reads here
    document = read_json(path, DatasetError, most_mb=None, strict=False)
    for kind, fields in FIELDS.items():
        entries = document.get(kind) if isinstance(document, dict) else None
        if not isinstance(entries, list):
            raise DatasetError(f"{path}: has no list of {kind}; it must be COCO detection annotations")
        for i, entry in enumerate(entries):
            where = f"{path}: {kind}[{i}]"
            if not isinstance(entry, dict):
                raise DatasetError(f"{where} is {shown(entry)}; it must have fields")
            for field in fields:
                if field.required and field.key not in entry:
                    raise DatasetError(f"{where} has no {field.key}")
                value = field.read(given := entry.get(field.key))
                if value is None:
                    raise DatasetError(f"{where} has the {field.key} {shown(given)}; it must be {field.must_be}")
                entry[field.key] = value
    if not document["images"]:
        raise DatasetError(f"{path}: its list of images is empty")
    if document["annotations"] and all(annotation["iscrowd"] for annotation in document["annotations"]):
        raise DatasetError(
            f"{path}: every annotation is marked iscrowd=1, a region in which detections count neither way, so that "
            "nothing is left to learn; set it to 0 wherever a box is one object"
        )
    return document


def _classes(paths: Sequence[Path], documents: Sequence[Mapping[str, Any]], notes: list[str]) -> dict[int, str]:
    """Category id -> class name, in the order of the ids."""
    classes: dict[int, str] = {}
    supercategories: dict[int, Any] = {}
    for path, document in zip(paths, documents):
        for category in document["categories"]:
            number, name = category["id"], category["name"]
            if classes.setdefault(number, name) != name:
                raise DatasetError(
                    f"{path}: category {number} is {shown(name)} here and {shown(classes[number])} before"
                )
            supercategories[number] = category.get("supercategory")
    used = {annotation["category_id"] for document in documents for annotation in document["annotations"]}
    if 0 in classes and 0 not in used and any(classes[0] == s for number, s in supercategories.items() if number):
        notes.append(f"category 0 ({shown(classes.pop(0))}) is what others belong to, not a class; dropped")
    by_name: dict[str, list[int]] = {}
    for number, name in sorted(classes.items()):
        by_name.setdefault(name, []).append(number)
    for name, numbers in by_name.items():
        kept = [number for number in numbers if number in used] or numbers[:1]
        if len(kept) > 1:
            ids = " and ".join(map(str, kept))
            raise DatasetError(
                f"{paths[0]}: the categories {ids} are both named {shown(name)}; give one of them another name"
            )
        for number in numbers:
            if number not in kept:
                del classes[number]
                notes.append(
                    f"category {number} ({shown(name)}) has the name of category {kept[0]} and no annotation; dropped"
                )
    if not classes:
        raise DatasetError(f"{paths[0]}: has no categories")
    return dict(sorted(classes.items()))


def _images(
    path: Path, document: Mapping[str, Any], classes: Mapping[int, str], notes: list[str]
) -> list[AnnotatedImage]:
    find = _finder(path)
    by_id: dict[int | str, AnnotatedImage] = {}
    by_file: dict[Path, AnnotatedImage] = {}
    for i, image in enumerate(document["images"]):
        where = f"{path}: images[{i}]"
        size = (_number(image.get("width")) or 0, _number(image.get("height")) or 0)
        stated = size if min(size) > 0 else None
        file = find(image["file_name"], where)
        entry = by_file.setdefault(file, AnnotatedImage(file, where, stated))
        if entry.stated != stated:
            raise DatasetError(f"{where}: {shown(image['file_name'])} is listed before with another width and height")
        if image["id"] in by_id:
            raise DatasetError(f"{path}: several images have the same id {shown(image['id'])}")
        by_id[image["id"]] = entry
    if len(by_file) < len(by_id):
        notes.append(f"{path}: {len(by_id) - len(by_file):,} images are listed more than once; their boxes are joined")
    for i, annotation in enumerate(document["annotations"]):
        where = f"{path}: annotations[{i}]"
        if annotation["image_id"] not in by_id:
            raise DatasetError(f"{where}: image_id {shown(annotation['image_id'])} is not among the images")
        if annotation["category_id"] not in classes:
            raise DatasetError(f"{where}: category_id {shown(annotation['category_id'])} is not among the categories")
        entry = by_id[annotation["image_id"]]
        box = (classes[annotation["category_id"]], *region_corners(annotation, where))
        (entry.crowds if annotation["iscrowd"] else entry.boxes).append(box)
    return list(by_file.values())


def _finder(json_path: Path) -> Callable[[str, str], Path]:
    """The function (file_name, where) that finds an image; the nearest folder that has it goes first."""
    ways = [
        [place for name in names if os.path.isdir(place := base / name)]
        for base in (json_path.parent, json_path.absolute().parent.parent)
        for names in ([""], ["images"], FOLDERS, [f"images/{folder}" for folder in FOLDERS])
    ]

    def find(name: str, where: str) -> Path:
        for spelling in dict.fromkeys((name, name.replace("\\", "/"))):  # Windows' tools write its separator
            for places in ways:
                found = [(place, file) for place in places if os.path.isfile(file := place / spelling)]
                if len(found) > 1:  # train/1.jpg and val/1.jpg are two images; val.json means its own
                    own = [each for each in found if each[0].name in json_path.stem]
                    if len(own) != 1:
                        files = " and ".join(str(file) for _, file in found)
                        raise DatasetError(f"{where}: {shown(name)} may be {files}; its file_name must say which")
                    found = own
                if found:
                    return found[0][1]
        raise DatasetError(
            f"{where}: image {shown(name)} was found neither beside the file nor in images/, train/ or val/ there or one up"
        )

    return find
