"""Datasets: loading them, checking them before anything is trained, and converting them to Ultralytics' layout."""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from PIL import Image, UnidentifiedImageError

from search_spaces import InputError

from .digits import cache_directory, digits_yaml

SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
SPLITS = ("train", "val")


class DatasetError(InputError):
    """A dataset cannot be used; the message names the file and, in a label file, the line."""


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
        return len(self.names)

    def data_dict(self) -> dict:
        """What `get_dataset` of an Ultralytics trainer returns."""
        return {
            "path": str(self.root),
            **{split: list(sources) for split, sources in self.sources.items()},
            "nc": self.num_classes,
            "names": dict(enumerate(self.names)),
            "channels": 3,
            "yaml_file": str(self.yaml_path),
        }


def label_path(image: Path) -> Path:
    """The label file of an image: the last `images` folder on its path becomes `labels`."""
    parts = list(image.parts)
    for i in range(len(parts) - 2, -1, -1):
        if parts[i] == "images":
            parts[i] = "labels"
            break
    return Path(*parts).with_suffix(".txt")


# -- loading --------------------------------------------------------------------------------------------------------


def load_dataset(source: str | Path) -> Dataset:
    """A dataset from what a user names.

    Args:
        source: "digits" (built in), an Ultralytics data.yaml, or COCO json: "train.json:val.json", or a single json,
            of which a fifth of the images (chosen by a hash of their names) becomes the validation split.

    Raises:
        DatasetError: a file that is missing or broken, or a split without images.
    """
    text = str(source)
    if text == "digits":
        return _read_yaml(digits_yaml(), "digits")
    if text.endswith((".yaml", ".yml")):
        return _read_yaml(Path(text), text)
    if text.endswith(".json"):
        return _read_yaml(_cached_coco(text), text)
    raise DatasetError(f"{text}: a dataset is digits, a data.yaml, or COCO json (train.json:val.json)")


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise DatasetError(f"{path}: not a text file") from None


def _read_yaml(path: Path, name: str) -> Dataset:
    path = path.absolute()
    try:
        content = yaml.safe_load(_read_text(path))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise DatasetError(f"{path}{f', line {mark.line + 1}' if mark else ''}: not valid YAML") from None
    if not isinstance(content, dict):
        raise DatasetError(f"{path}: must hold the fields path, train, val and names")
    names = content.get("names")
    if isinstance(names, list):
        names = dict(enumerate(names))
    if not isinstance(names, dict) or not names or sorted(names) != list(range(len(names))):
        raise DatasetError(f"{path}: names must list the classes, numbered 0, 1, 2 and so on; it is {content.get('names')!r}")
    if content.get("nc", len(names)) != len(names):
        raise DatasetError(f"{path}: nc is {content['nc']} but names has {len(names)} classes")
    root = (path.parent / str(content.get("path") or ".")).resolve()
    sources, images = {}, {}
    for split in SPLITS:
        entries = content.get(split)
        entries = [entries] if isinstance(entries, str) else entries
        if not isinstance(entries, list) or not entries or not all(isinstance(entry, str) for entry in entries):
            raise DatasetError(f"{path}: {split} must name a folder of images or a list of them; it is {entries!r}")
        sources[split] = [str((root / entry).resolve()) for entry in entries]
        images[split] = tuple(image for place in sources[split] for image in _images(Path(place), path, split))
        if not images[split]:
            raise DatasetError(f"{path}: {split} has no images in {', '.join(sources[split])}")
    return Dataset(name, path, root, tuple(str(names[i]) for i in range(len(names))), images["train"], images["val"], sources)


def _images(place: Path, yaml_path: Path, split: str) -> list[Path]:
    if place.is_dir():
        return sorted(p for p in place.rglob("*") if p.suffix.lower() in SUFFIXES)
    if place.suffix == ".txt":
        lines = (line.strip() for line in _read_text(place).splitlines())
        return [(place.parent / line).resolve() if line.startswith("./") else Path(line) for line in lines if line]
    raise DatasetError(f"{yaml_path}: {split} names {place}, which is neither a folder nor a .txt list of images")


# -- checking -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class DatasetSummary:
    """What a checked dataset holds: per split the images, boxes and images without a box; boxes by class."""

    images: dict[str, int]
    boxes: dict[str, int]
    background: dict[str, int]
    boxes_by_class: dict[str, int]

    def __str__(self) -> str:
        parts = [
            f"{split}: {self.images[split]:,} images, {self.boxes[split]:,} boxes"
            + (f", {self.background[split]:,} images without a box" if self.background[split] else "")
            for split in self.images
        ]
        classes = ", ".join(f"{name} {count:,}" for name, count in self.boxes_by_class.items())
        return f"{'; '.join(parts)}; classes: {classes}"


def read_labels(image: Path, num_classes: int) -> list[tuple[int, float, float, float, float]]:
    """Boxes of an image, (class, x, y, width, height), the centre and size as shares of the image.

    Raises:
        DatasetError: a line that is no box of a known class inside the image.
    """
    path = label_path(image)
    if not path.exists():
        return []
    boxes = []
    for number, line in enumerate(_read_text(path).splitlines(), start=1):
        words = line.split()
        if not words:
            continue
        where = f"{path}, line {number}"
        if len(words) != 5:
            raise DatasetError(f"{where}: has {len(words)} columns; a box is: class x y width height")
        try:
            numbers = [float(word) for word in words]
        except ValueError:
            raise DatasetError(f"{where}: {line.strip()!r} is not five numbers") from None
        label, *box = numbers
        if label != int(label) or not 0 <= label < num_classes:
            raise DatasetError(f"{where}: class {words[0]} is out of range; there are classes 0 to {num_classes - 1}")
        x, y, width, height = box
        if not all(map(math.isfinite, box)) or width <= 0 or height <= 0:
            raise DatasetError(f"{where}: the box has width {width:g} and height {height:g}; both must be above 0")
        slack = 1e-3  # of rounding in the files of many tools
        if min(x - width / 2, y - height / 2) < -slack or max(x + width / 2, y + height / 2) > 1 + slack:
            raise DatasetError(f"{where}: the box lies outside the image; centre and size are shares from 0 to 1")
        boxes.append((int(label), x, y, width, height))
    return boxes


def image_size(path: Path) -> tuple[int, int]:
    """(width, height) in pixels from the file's header. Raises DatasetError when it is no image."""
    try:
        with Image.open(path) as image:
            return image.size
    except FileNotFoundError:
        raise DatasetError(f"{path}: the image does not exist") from None
    except (UnidentifiedImageError, OSError, ImportError):  # ImportError: Ultralytics' patch of PIL looks for pi_heif
        raise DatasetError(f"{path}: not an image that can be read") from None


def check_dataset(dataset: Dataset) -> DatasetSummary:
    """Look at every image's header and every label before anything is trained.

    Raises:
        DatasetError: the first thing wrong: an image missing or unreadable, a box outside its image, a class out of
            range, a malformed line, a split without any label file or any box.
    """
    images, boxes, background = {}, {}, {}
    by_class = dict.fromkeys(dataset.names, 0)
    for split in SPLITS:
        paths = getattr(dataset, split)
        with ThreadPoolExecutor(8) as pool:  # reading files waits more than it computes
            list(pool.map(image_size, paths))
            labels = list(pool.map(lambda image: read_labels(image, dataset.num_classes), paths))
        images[split], boxes[split] = len(paths), sum(map(len, labels))
        background[split] = sum(not found for found in labels)
        for found in labels:
            for label, *_ in found:
                by_class[dataset.names[label]] += 1
        if not boxes[split]:
            expected = label_path(paths[0])
            missing = "" if expected.exists() else f"; the labels of {paths[0]} are expected in {expected}"
            raise DatasetError(f"{dataset.yaml_path}: {split} has {len(paths)} images and not one box{missing}")
    return DatasetSummary(images, boxes, background, by_class)


def coco_ground_truth(dataset: Dataset, split: str = "val") -> dict:
    """The labels of a split as COCO annotations: image ids count from 0 in the order of the split, boxes in pixels."""
    images, annotations = [], []
    for image_id, path in enumerate(getattr(dataset, split)):
        width, height = image_size(path)
        images.append({"id": image_id, "file_name": str(path), "width": width, "height": height})
        for label, x, y, w, h in read_labels(path, dataset.num_classes):
            box = [(x - w / 2) * width, (y - h / 2) * height, w * width, h * height]
            annotations.append(
                {
                    "id": len(annotations) + 1,  # pycocotools takes annotation 0 for "no match"
                    "image_id": image_id,
                    "category_id": label,
                    "bbox": box,
                    "area": box[2] * box[3],
                    "iscrowd": 0,
                }
            )
    categories = [{"id": i, "name": name} for i, name in enumerate(dataset.names)]
    return {"info": {}, "images": images, "annotations": annotations, "categories": categories}


# -- converting -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Conversion:
    """What a conversion wrote: images and boxes per split, boxes cut to their image, boxes dropped as degenerate."""

    yaml_path: Path
    images: dict[str, int]
    boxes: dict[str, int]
    clipped: int
    dropped: int

    def __str__(self) -> str:
        splits = "; ".join(f"{split}: {self.images[split]:,} images, {self.boxes[split]:,} boxes" for split in self.images)
        return f"wrote {self.yaml_path}\n{splits}; {self.clipped} boxes cut to their image, {self.dropped} without area dropped"


# split -> [(image, width, height, [(class, x1, y1, x2, y2) in pixels])]
Annotated = Mapping[str, Sequence[tuple[Path, int, int, Sequence[tuple[int, float, float, float, float]]]]]


def _write_layout(root: Path, names: Sequence[str], splits: Annotated) -> Conversion:
    """Write images (linked where the file system can), labels and data.yaml; `root` appears whole or not at all."""
    if root.exists():
        raise DatasetError(f"{root} exists; name a folder that does not")
    root.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{root.name}-", dir=root.parent))
    images, boxes, clipped, dropped = {}, {}, 0, 0
    try:
        for split, entries in splits.items():
            for kind in ("images", "labels"):
                (temporary / kind / split).mkdir(parents=True)
            taken = set()
            images[split], boxes[split] = len(entries), 0
            for source, width, height, found in entries:
                name = source.stem if source.stem not in taken else f"{source.parent.name}-{source.stem}"
                if name in taken:
                    raise DatasetError(f"two images of {split} are named {source.name}")
                taken.add(name)
                _link(source, temporary / "images" / split / f"{name}{source.suffix.lower()}")
                lines = []
                for label, *corners in found:
                    x1, x2 = (min(max(v, 0), width) for v in corners[0::2])
                    y1, y2 = (min(max(v, 0), height) for v in corners[1::2])
                    clipped += [x1, y1, x2, y2] != list(corners)
                    if x2 <= x1 or y2 <= y1:
                        dropped += 1
                        continue
                    box = ((x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height)
                    lines.append(f"{label} " + " ".join(f"{v:.6f}" for v in box) + "\n")
                boxes[split] += len(lines)
                (temporary / "labels" / split / f"{name}.txt").write_text("".join(lines), encoding="utf-8")
        content = {**{split: f"images/{split}" for split in splits}, "names": dict(enumerate(names))}
        (temporary / "data.yaml").write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True), encoding="utf-8")
        try:
            os.chmod(temporary, 0o755)
            os.replace(temporary, root)
        except OSError:
            if not (root / "data.yaml").exists():  # not another process that was faster with the same
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return Conversion(root / "data.yaml", images, boxes, clipped, dropped)


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise DatasetError(f"{source}: the image does not exist") from None
    except OSError:
        shutil.copyfile(source, target)


def convert_voc(source: str | Path, output: str | Path) -> Conversion:
    """Pascal VOC (Annotations/*.xml, JPEGImages/, ImageSets/Main/{train,val,test}.txt) to Ultralytics' layout.

    VOC's pixels count from 1 and its boxes include both corners, so x1 and y1 lose 1. Classes are numbered in
    alphabetical order. Image sizes are read from the images, since annotations of real datasets often have them wrong.

    Raises:
        DatasetError: a list, image or annotation that is missing or broken; names the file.
    """
    source = Path(source)
    lists = source / "ImageSets" / "Main"
    found = {split: lists / f"{split}.txt" for split in (*SPLITS, "test") if (lists / f"{split}.txt").exists()}
    if not set(SPLITS) <= set(found):
        raise DatasetError(f"{lists}: has no train.txt and val.txt with the images of each split")
    read = {split: [_read_voc(source, name) for name in _read_text(path).split()] for split, path in found.items()}
    names = sorted({name for entries in read.values() for *_, boxes in entries for name, *_ in boxes})
    index = {name: i for i, name in enumerate(names)}
    splits = {
        split: [(path, w, h, [(index[name], *box) for name, *box in boxes]) for path, w, h, boxes in entries]
        for split, entries in read.items()
    }
    return _write_layout(Path(output), names, splits)


def _read_voc(source: Path, name: str):
    path = source / "Annotations" / f"{name}.xml"
    text = _read_text(path)
    if "<!DOCTYPE" in text or "<!ENTITY" in text:  # entities can be made to expand without end
        raise DatasetError(f"{path}: declares a document type, which annotations do not")
    try:
        tree = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise DatasetError(f"{path}, line {error.position[0]}: not valid XML") from None
    image = next((p for s in SUFFIXES for p in [source / "JPEGImages" / f"{name}{s}"] if p.exists()), None)
    if image is None:
        raise DatasetError(f"{path}: its image {source / 'JPEGImages' / name}.jpg does not exist")
    boxes = []
    for thing in tree.iter("object"):
        try:
            corners = [float(thing.find("bndbox").find(tag).text) for tag in ("xmin", "ymin", "xmax", "ymax")]
            boxes.append((thing.find("name").text.strip(), corners[0] - 1, corners[1] - 1, corners[2], corners[3]))
        except (AttributeError, TypeError, ValueError):
            raise DatasetError(f"{path}: an object has no name, or no box of four numbers") from None
    return image, *image_size(image), boxes


def convert_coco(source: str | Path, output: str | Path) -> Conversion:
    """COCO json ("train.json:val.json", or one file that is split) to Ultralytics' layout.

    Categories are numbered from 0 in the order of their ids; crowd annotations are left out. Images are looked for
    beside the json, in `images/` beside it, and in the folders train, val, train2017 and val2017 there and one up.

    Raises:
        DatasetError: a file that is missing, not JSON or not COCO annotations, an unknown image or category id.
    """
    paths = [Path(part) for part in str(source).split(":")]
    if len(paths) > 2:
        raise DatasetError(f"{source}: at most a training and a validation json")
    documents = [_read_coco(path) for path in paths]
    categories = {c["id"]: str(c["name"]) for document in documents for c in document["categories"]}
    index = {category: i for i, category in enumerate(sorted(categories))}
    read = [_coco_entries(path, document, index) for path, document in zip(paths, documents)]
    if len(read) == 2:
        splits = dict(zip(SPLITS, read))
    else:

        def in_val(entry):
            return hashlib.sha256(entry[0].name.encode()).digest()[0] % 5 == 0

        splits = {"train": [e for e in read[0] if not in_val(e)], "val": [e for e in read[0] if in_val(e)]}
        if not all(splits.values()):
            raise DatasetError(f"{source}: {len(read[0])} images are too few to split; give train.json:val.json")
    return _write_layout(Path(output), [categories[c] for c in sorted(categories)], splits)


def _read_coco(path: Path) -> dict:
    try:
        document = json.loads(_read_text(path))
    except json.JSONDecodeError as error:
        raise DatasetError(f"{path}, line {error.lineno}: not valid JSON") from None
    for name, keys in (("images", ("id", "file_name")), ("annotations", ("image_id", "category_id", "bbox")), ("categories", ("id", "name"))):
        entries = document.get(name) if isinstance(document, dict) else None
        if not isinstance(entries, list):
            raise DatasetError(f"{path}: has no list of {name}; it must be COCO detection annotations")
        for i, entry in enumerate(entries):
            missing = [key for key in keys if not isinstance(entry, dict) or key not in entry]
            if missing:
                raise DatasetError(f"{path}: {name}[{i}] has no {missing[0]}")
    return document


def _coco_entries(path: Path, document: dict, index: Mapping[int, int]) -> list:
    places = [base / sub for base in (path.parent, path.parent.parent) for sub in ("", "images", "train", "val", "train2017", "val2017")]
    found = {image["id"]: [] for image in document["images"]}
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
        except (TypeError, ValueError):
            raise DatasetError(f"{where}: bbox {annotation['bbox']!r} is not x, y, width, height") from None
        found[annotation["image_id"]].append((index[annotation["category_id"]], x, y, x + width, y + height))
    entries = []
    for image in document["images"]:
        file = next((p for place in places if (p := place / image["file_name"]).is_file()), None)
        if file is None:
            raise DatasetError(f"{path}: image {image['file_name']} was found neither beside it nor in images/, train/ or val/")
        entries.append((file, *image_size(file), found[image["id"]]))
    return entries


def _cached_coco(source: str) -> Path:
    """The converted dataset in the cache, named by the json's content, so that it is made once."""
    digest = hashlib.sha256()
    for part in source.split(":"):
        digest.update(_read_text(Path(part)).encode() + str(Path(part).absolute()).encode())
    root = cache_directory() / f"coco-{digest.hexdigest()[:12]}"
    if not (root / "data.yaml").exists():
        convert_coco(source, root)
    return root / "data.yaml"
