"""Ultralytics' layout, written from annotated images: images/, labels/ and data.yaml; crowds/ and notes.json are ours."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from search_spaces.yaml_text import to_yaml

from .errors import DatasetError
from .images import SUFFIXES, image_size
from .labels import CUT, DUPLICATES, WITHOUT_AREA
from .together import together

SPLITS = ("train", "val")
DECIMALS = 6  # of the numbers in label files
NOTES = "notes.json"
SPLIT_NOTE = "a fifth of the images, chosen by a hash of their names, serves as val"

CROWDS = "crowd regions kept; what is detected in them counts neither way"
RESIZED = "images have another size than their annotations state; boxes scaled"

Box = tuple[str, float, float, float, float]  # class, x1, y1, x2, y2 in pixels


@dataclass
class AnnotatedImage:
    """An image and what its annotations say of it.

    Attributes:
        path: of the image.
        where: these annotations, for messages.
        stated: (width, height) that they give the image, in whose pixels the boxes are; None: the image's own.
        boxes: of single objects.
        crowds: of regions with objects that nobody told apart.
    """

    path: Path
    where: str
    stated: tuple[int, int] | None = None
    boxes: list[Box] = field(default_factory=list)
    crowds: list[Box] = field(default_factory=list)


@dataclass(frozen=True)
class AnnotatedImages:
    """What a reader of annotations found: class names in their order, images by split, and what is to be told of them."""

    names: Sequence[str]
    splits: Mapping[str, Sequence[AnnotatedImage]]
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Conversion:
    """What a conversion wrote.

    Attributes:
        yaml_path: the data.yaml.
        images, boxes, crowds, background: by split the images, boxes, crowd regions, and images without a box.
        clipped, dropped, duplicates: boxes cut to their image, dropped without area in it, dropped as written twice.
        notes: all that was decided, repaired or left out, a line each; `notes.json` beside the data.yaml keeps them.
    """

    yaml_path: Path
    images: dict[str, int]
    boxes: dict[str, int]
    crowds: dict[str, int]
    background: dict[str, int]
    clipped: int
    dropped: int
    duplicates: int
    notes: tuple[str, ...]

    def __str__(self) -> str:
        splits = "; ".join(
            f"{split}: {self.images[split]:,} images, {self.boxes[split]:,} boxes"
            + (f", {self.crowds[split]:,} crowd regions" if self.crowds[split] else "")
            + (f", {self.background[split]:,} images without a box" if self.background[split] else "")
            for split in self.images
        )
        return "\n".join((f"wrote {self.yaml_path}", splits, *self.notes))


def write_layout(folder: Path, found: AnnotatedImages, *, link: bool = False) -> Conversion:
    """Write images, labels and data.yaml into a folder.

    Args:
        link: images become symbolic links, where the file system has them, instead of copies. Never hard links: what
            is written to a file by one of its names is there by all of them.

    Raises:
        DatasetError: an image that is missing, is none, or has another shape than its annotations state.
        OSError: something cannot be copied or written.
    """
    images, boxes, crowds, background = (dict.fromkeys(found.splits, 0) for _ in range(4))
    counts: Counter[str] = Counter()
    index = {name: i for i, name in enumerate(found.names)}
    for split, entries in found.splits.items():
        for kind in ("images", "labels"):
            (folder / kind / split).mkdir(parents=True)
        frames = together(entries, _frame)
        images[split] = len(entries)
        taken: set[str] = set()
        for entry, (size, is_own) in zip(entries, frames):
            counts[RESIZED] += not is_own
            name = _free_name(entry.path, taken)
            _put(entry.path, folder / "images" / split / f"{name}{entry.path.suffix.lower()}", link)
            rows = _rows(entry.boxes, size, index, counts)
            (folder / "labels" / split / f"{name}.txt").write_text("".join(rows), encoding="utf-8")
            boxes[split] += len(rows)
            background[split] += not rows
            if regions := _rows(entry.crowds, size, index, counts):
                path = folder / "crowds" / split / f"{name}.txt"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text("".join(regions), encoding="utf-8")
                crowds[split] += len(regions)
    counts[CROWDS] = sum(crowds.values())
    shared = [] if link else _shared(found.splits)  # who loads the dataset sees it by the links
    notes = (*found.notes, *shared, *(f"{count:,} {what}" for what, count in counts.items() if count))
    (folder / NOTES).write_text(json.dumps(notes, indent=1), encoding="utf-8")
    content = {**{split: f"images/{split}" for split in found.splits}, "names": dict(enumerate(found.names))}
    (folder / "data.yaml").write_text(to_yaml(content), encoding="utf-8")
    figures = (counts[CUT], counts[WITHOUT_AREA], counts[DUPLICATES])
    return Conversion(folder / "data.yaml", images, boxes, crowds, background, *figures, notes)


def split_by_name(images: Sequence[AnnotatedImage], source: str | Path) -> dict[str, list[AnnotatedImage]]:
    """Train and val: a hash of their names chooses a fifth of the images, the same ones wherever it is done.

    Raises:
        DatasetError: there are fewer than two images; names `source`.
    """
    if len(images) < 2:
        raise DatasetError(f"{source}: {len(images)} images are too few to split into train and val")
    ranks = [hashlib.sha256(os.fsencode(image.path.name)).digest() for image in images]
    chosen = {i for i, rank in enumerate(ranks) if rank[0] % 5 == 0}
    order = sorted(range(len(images)), key=ranks.__getitem__)
    chosen = (chosen or {order[0]}) if len(chosen) < len(images) else chosen - {order[-1]}  # no split stays empty
    parts: tuple[list[AnnotatedImage], list[AnnotatedImage]] = ([], [])
    for i, image in enumerate(images):
        parts[i in chosen].append(image)
    return dict(zip(SPLITS, parts))


def _frame(entry: AnnotatedImage) -> tuple[tuple[int, int], bool]:
    """The width and height in whose pixels the boxes of an image are, and whether they are the image's own."""
    if entry.path.suffix.lower() not in SUFFIXES:
        raise DatasetError(f"{entry.where}: {entry.path} is no image that training reads ({', '.join(SUFFIXES)})")
    own = image_size(entry.path)
    if entry.stated in (None, own):
        return own, True
    (width, height), (stated_width, stated_height) = own, entry.stated
    # the same shape up to a pixel of rounding: it was resized after it was annotated
    if abs(stated_width * height - stated_height * width) > max(*own, *entry.stated):
        raise DatasetError(
            f"{entry.where}: states {stated_width} x {stated_height} pixels, but {entry.path} is shown with "
            f"{width} x {height}; correct them, or set them to 0 where boxes are in the image's own pixels"
        )
    return entry.stated, False


def _rows(boxes: Sequence[Box], size: tuple[int, int], index: Mapping[str, int], counts: Counter[str]) -> list[str]:
    """The rows of a label file: each box cut to its image, once, if that leaves any of it."""
    width, height = size
    rows: dict[str, None] = {}
    for label, *corners in boxes:
        x1, x2 = (min(max(v, 0), width) for v in corners[0::2])
        y1, y2 = (min(max(v, 0), height) for v in corners[1::2])
        shares = ((x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height)
        row = f"{index[label]} " + " ".join(f"{v:.{DECIMALS}f}" for v in shares) + "\n"
        if round(min(shares[2:]), DECIMALS) <= 0:
            counts[WITHOUT_AREA] += 1
        elif row in rows:
            counts[DUPLICATES] += 1
        else:
            counts[CUT] += [x1, y1, x2, y2] != corners
            rows[row] = None
    return list(rows)


def _free_name(path: Path, taken: set[str]) -> str:
    """A name for the files of an image that no other image of its split has, on any file system, and that none hides."""
    stem = path.stem.lstrip(".") or "image"
    longer = f"{path.parent.name}-{stem}"
    names = itertools.chain((stem, longer), (f"{longer}-{i}" for i in itertools.count(2)))
    name = next(name for name in names if name.casefold() not in taken)
    taken.add(name.casefold())
    return name


def _put(source: Path, target: Path, link: bool) -> None:
    if link:
        try:
            os.symlink(os.path.abspath(source), target)
            return
        except OSError:  # a file system without links, or a user who may make none
            pass
    shutil.copyfile(source, target)


def _shared(splits: Mapping[str, Sequence[AnnotatedImage]]) -> list[str]:
    """What is to be said of images that are both learned from and judged with."""
    learned = {entry.path for entry in splits["train"]}
    shared = {split: sum(entry.path in learned for entry in splits[split]) for split in splits if split != "train"}
    return [f"{count:,} images of {split} are in train too" for split, count in shared.items() if count]
