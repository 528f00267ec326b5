"""Datasets: loading them, checking them before anything is trained, and converting them to Ultralytics' layout."""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import reprlib
import shutil
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import yaml
from PIL import ExifTags, Image, UnidentifiedImageError

from search_spaces import InputError
from search_spaces.files import read_text, read_yaml

from .digits import cache_directory as default_cache_directory
from .digits import digits_yaml, whole_folder

SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
SPLITS = ("train", "val")
DECIMALS = 6  # of the numbers in label files
ORIENTATION = ExifTags.Base.Orientation
SMALLEST_EDGE = 10  # pixels; Ultralytics leaves out smaller images, saying so only in its log


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
        return _read_yaml(_cached_coco(text, Path(cache_directory or default_cache_directory())), text)
    raise DatasetError(f"{text}: a dataset is digits, a data.yaml, or COCO json (train.json:val.json)")


def _read_text(path: Path) -> str:
    return read_text(path, DatasetError)


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
        lines = (line.strip() for line in _read_text(place).splitlines())
        listed = [line for line in lines if line.lower().endswith(SUFFIXES)]
        # As in Ultralytics: ./ is the folder of the list, other relative paths start at the working directory
        return [(place.parent if line.startswith("./") else Path.cwd()) / line for line in listed]
    raise DatasetError(f"{yaml_path}: {split} names {place}, which is neither a folder nor a .txt list of images")


# -- checking -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class DatasetSummary:
    """What a checked dataset holds: per split the images, boxes, images without a box, and boxes by class."""

    images: dict[str, int]
    boxes: dict[str, int]
    background: dict[str, int]
    boxes_by_class: dict[str, dict[str, int]]

    def __str__(self) -> str:
        parts = [
            f"{split}: {self.images[split]:,} images, {self.boxes[split]:,} boxes"
            + (f", {self.background[split]:,} images without a box" if self.background[split] else "")
            for split in self.images
        ]
        names = next(iter(self.boxes_by_class.values()))
        totals = {name: sum(counts[name] for counts in self.boxes_by_class.values()) for name in names}
        classes = ", ".join(f"{name} {count:,}" for name, count in totals.items())
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
        if not label.is_integer() or not 0 <= label < num_classes:
            raise DatasetError(f"{where}: class {words[0]} is out of range; there are classes 0 to {num_classes - 1}")
        x, y, width, height = box
        if not all(map(math.isfinite, box)):
            raise DatasetError(f"{where}: {line.strip()!r} holds a number that is not finite")
        if width <= 0 or height <= 0:
            raise DatasetError(f"{where}: the box has width {width:g} and height {height:g}; both must be above 0")
        slack = 1e-3  # of rounding in the files of many tools
        if min(x - width / 2, y - height / 2) < -slack or max(x + width / 2, y + height / 2) > 1 + slack:
            raise DatasetError(f"{where}: the box lies outside the image; centre and size are shares from 0 to 1")
        boxes.append((int(label), x, y, width, height))
    return boxes


def image_size(path: Path) -> tuple[int, int]:
    """(width, height) in pixels as the image is shown, from the file's header. Raises DatasetError when it is no image."""
    try:
        with Image.open(path) as image:
            size = image.size
            # asked of a PNG without it, getexif decodes the whole image
            orientation = image.getexif().get(ORIENTATION) if "exif" in image.info else None
    except FileNotFoundError:
        raise DatasetError(f"{path}: the image does not exist") from None
    except (UnidentifiedImageError, OSError, ImportError):  # ImportError: Ultralytics' patch of PIL looks for pi_heif
        raise DatasetError(f"{path}: not an image that can be read") from None
    # Phones store photographs lying on their side; readers of pixels (OpenCV, so Ultralytics) turn them upright
    return size[::-1] if orientation in (5, 6, 7, 8) else size


def _check_image(path: Path) -> None:
    width, height = image_size(path)
    if min(width, height) < SMALLEST_EDGE:
        raise DatasetError(
            f"{path}: is {width} x {height} pixels; images must be at least {SMALLEST_EDGE} x {SMALLEST_EDGE}"
        )


def check_dataset(dataset: Dataset) -> DatasetSummary:
    """Look at every image's header and every label before anything is trained.

    Raises:
        DatasetError: the first thing wrong: an image missing, unreadable or below 10 x 10 pixels, a box outside its
            image, a class out of range, a malformed line, a split without any label file or any box.
    """
    images, boxes, background, by_class = {}, {}, {}, {}
    for split in SPLITS:
        paths = getattr(dataset, split)
        with ThreadPoolExecutor(8) as pool:  # reading files waits more than it computes
            list(pool.map(_check_image, paths))
            labels = list(pool.map(lambda image: read_labels(image, dataset.num_classes), paths))
        images[split], boxes[split] = len(paths), sum(map(len, labels))
        background[split] = sum(not found for found in labels)
        counts = Counter(label for found in labels for label, *_ in found)
        by_class[split] = {name: counts[i] for i, name in enumerate(dataset.names)}
        if not boxes[split]:
            expected = label_path(paths[0])
            missing = "" if expected.exists() else f"; the labels of {paths[0]} are expected in {expected}"
            raise DatasetError(f"{dataset.yaml_path}: {split} has {len(paths)} images and not one box{missing}")
    return DatasetSummary(images, boxes, background, by_class)


def calibration_images(source: str, count: int = 32, size: int = 640) -> np.ndarray:
    """(count, 3, size, size) float32 RGB from 0 to 1: training images to calibrate INT8 with, stretched to a square."""
    paths = load_dataset(source).train
    chosen = paths[:: max(1, len(paths) // count)][:count]
    images = []
    for path in chosen:
        with Image.open(path) as image:
            images.append(np.asarray(image.convert("RGB").resize((size, size)), np.float32) / 255)
    return np.ascontiguousarray(np.stack(images).transpose(0, 3, 1, 2))


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
        splits = "; ".join(
            f"{split}: {self.images[split]:,} images, {self.boxes[split]:,} boxes" for split in self.images
        )
        return f"wrote {self.yaml_path}\n{splits}; {self.clipped} boxes cut to their image, {self.dropped} without area dropped"


# split -> [(image, width, height, [(class, x1, y1, x2, y2) in pixels])]
Annotated = Mapping[str, Sequence[tuple[Path, int, int, Sequence[tuple[int, float, float, float, float]]]]]


def _write_layout(root: Path, names: Sequence[str], splits: Annotated) -> Conversion:
    """Write images (linked where the file system can), labels and data.yaml; `root` appears whole or not at all."""
    images, boxes, clipped, dropped = {}, {}, 0, 0
    with whole_folder(root) as temporary:
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
                    box = ((x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height)
                    if round(min(box[2:]), DECIMALS) <= 0:
                        dropped += 1
                        continue
                    lines.append(f"{label} " + " ".join(f"{v:.{DECIMALS}f}" for v in box) + "\n")
                boxes[split] += len(lines)
                (temporary / "labels" / split / f"{name}.txt").write_text("".join(lines), encoding="utf-8")
        content = {**{split: f"images/{split}" for split in splits}, "names": dict(enumerate(names))}
        (temporary / "data.yaml").write_text(
            yaml.safe_dump(content, sort_keys=False, allow_unicode=True), encoding="utf-8"
        )
    return Conversion(root / "data.yaml", images, boxes, clipped, dropped)


def _new_folder(output: str | Path) -> Path:
    root = Path(output)
    if root.exists():
        raise DatasetError(f"{root} exists; name a folder that does not")
    return root


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise DatasetError(f"{source}: the image does not exist") from None
    except OSError:
        shutil.copyfile(source, target)


def convert_voc(source: str | Path, output: str | Path) -> Conversion:
    """Pascal VOC (Annotations/*.xml, JPEGImages/, ImageSets/Main/{train,val,test}.txt) to Ultralytics' layout.

    VOC's pixels count from 1 and its boxes include both corners, so x1 and y1 lose 1. Boxes are cut to their image and
    those without area dropped. Objects marked difficult are kept. Classes are numbered in alphabetical order. Image
    sizes are read from the images, since annotations of real datasets often have them wrong.

    Raises:
        DatasetError: `output` exists, or a list, image or annotation is missing or broken; names the file.
    """
    source, output = Path(source), _new_folder(output)
    lists = source / "ImageSets" / "Main"
    found = {split: lists / f"{split}.txt" for split in (*SPLITS, "test") if (lists / f"{split}.txt").exists()}
    if not set(SPLITS) <= set(found):
        raise DatasetError(f"{lists}: has no train.txt and val.txt with the images of each split")
    read = {}
    for split, path in found.items():
        listed = dict.fromkeys(_read_text(path).split())  # once each
        if not listed:
            raise DatasetError(f"{path}: lists no image")
        read[split] = [_read_voc(source, name) for name in listed]
    names = sorted({name for entries in read.values() for *_, boxes in entries for name, *_ in boxes})
    if not names:
        raise DatasetError(f"{source / 'Annotations'}: the annotations of the listed images hold not one object")
    index = {name: i for i, name in enumerate(names)}
    splits = {
        split: [(path, w, h, [(index[name], *box) for name, *box in boxes]) for path, w, h, boxes in entries]
        for split, entries in read.items()
    }
    return _write_layout(output, names, splits)


class _WithoutDocumentType(ElementTree.TreeBuilder):
    """Refuses a document type, and with it every entity: entities can be made to expand without end."""

    def doctype(self, name, public_id, system):
        raise DatasetError("declares a document type, which annotations do not")


def _read_voc(source: Path, name: str):
    path = source / "Annotations" / f"{name}.xml"
    try:
        # as bytes: the file says itself in which encoding it is
        tree = ElementTree.fromstring(path.read_bytes(), ElementTree.XMLParser(target=_WithoutDocumentType()))
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror})") from None
    except ElementTree.ParseError as error:
        raise DatasetError(f"{path}, line {error.position[0]}: not valid XML") from None
    except DatasetError as error:
        raise DatasetError(f"{path}: {error}") from None
    except (LookupError, ValueError) as error:  # an encoding that is unknown
        raise DatasetError(f"{path}: not valid XML ({error})") from None
    image = next((p for s in SUFFIXES for p in [source / "JPEGImages" / f"{name}{s}"] if p.exists()), None)
    if image is None:
        raise DatasetError(f"{path}: its image {source / 'JPEGImages' / name}.jpg does not exist")
    boxes = []
    for thing in tree.iter("object"):
        try:
            corners = [float(thing.find("bndbox").find(tag).text) for tag in ("xmin", "ymin", "xmax", "ymax")]
            if not all(map(math.isfinite, corners)):
                raise ValueError
            boxes.append((thing.find("name").text.strip(), corners[0] - 1, corners[1] - 1, corners[2], corners[3]))
        except (AttributeError, TypeError, ValueError):
            raise DatasetError(f"{path}: an object has no name, or no box of four numbers") from None
    return image, *image_size(image), boxes


def convert_coco(source: str | Path, output: str | Path) -> Conversion:
    """COCO json ("train.json:val.json", or one file that is split) to Ultralytics' layout.

    Categories are numbered from 0 in the order of their ids; crowd annotations are left out, boxes cut to their image
    and those without area dropped. Images are looked for
    beside the json, in `images/` beside it, and in the folders train, val, train2017 and val2017 there and one up.

    Raises:
        DatasetError: `output` exists, a file is missing, not JSON or not COCO annotations, an image or category id is
            unknown, or the two files number their categories differently.
    """
    return _convert_coco(source, _new_folder(output))


def _convert_coco(source: str | Path, output: Path) -> Conversion:
    paths = _coco_paths(source)
    documents = [_read_coco(path) for path in paths]
    categories = {}
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

        def in_val(entry):
            return hashlib.sha256(entry[0].name.encode()).digest()[0] % 5 == 0

        splits = {"train": [e for e in read[0] if not in_val(e)], "val": [e for e in read[0] if in_val(e)]}
        if not all(splits.values()):
            raise DatasetError(f"{source}: {len(read[0])} images are too few to split; give train.json:val.json")
    return _write_layout(output, [categories[c] for c in sorted(categories)], splits)


def _coco_paths(source: str | Path) -> list[Path]:
    paths = [Path(part) for part in re.split(r"(?<=\.json):", str(source))]  # not at the colon of a Windows drive
    if len(paths) > 2:
        raise DatasetError(f"{source}: at most a training and a validation json")
    return paths


COCO_FIELDS = {
    "images": {"id": (int, str), "file_name": str},
    "annotations": {"image_id": (int, str), "category_id": int, "bbox": list},
    "categories": {"id": int, "name": str},
}


def _read_coco(path: Path) -> dict:
    try:
        document = json.loads(_read_text(path))
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


def _coco_entries(path: Path, document: dict, index: Mapping[int, int]) -> list:
    places = [
        base / sub
        for base in (path.parent, path.parent.parent)
        for sub in ("", "images", "train", "val", "train2017", "val2017")
    ]
    found = {image["id"]: [] for image in document["images"]}
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
    entries = []
    for image in document["images"]:
        file = next((p for place in places if (p := place / image["file_name"]).is_file()), None)
        if file is None:
            raise DatasetError(
                f"{path}: image {image['file_name']} was found neither beside it nor in images/, train/ or val/"
            )
        entries.append((file, *image_size(file), found[image["id"]]))
    return entries


def _cached_coco(source: str, directory: Path) -> Path:
    """The converted dataset in the cache, named by the json's content, so that it is made once."""
    digest = hashlib.sha256()
    for path in _coco_paths(source):
        digest.update(_read_text(path).encode() + str(path.absolute()).encode())
    root = directory / f"coco-{digest.hexdigest()[:12]}"
    if not (root / "data.yaml").exists():
        _convert_coco(source, root)
    return root / "data.yaml"
