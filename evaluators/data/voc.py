"""Pascal VOC's annotations, as VOC and labelImg lay them out, converted to Ultralytics' layout."""

from __future__ import annotations

import math
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

from search_spaces.errors import shown
from search_spaces.files import read_text

from .conversion import cached, convert, file_state
from .errors import DatasetError
from .images import SUFFIXES
from .layout import SPLIT_NOTE, SPLITS, AnnotatedImage, AnnotatedImages, Box, Conversion, split_by_name

# Folders whose names say what is in them, and those that say of which split it is
CONTENTS = ("annotations", "annotation", "xml", "xmls", "labels", "jpegimages", "images", "image", "imgs", "img")
SPLIT_FOLDERS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
DEEPEST = 8  # folders in one another

Key = tuple[str, ...]  # the path of an image or annotation without the folders that say what it is, and without suffix


def convert_voc(source: str | Path, output: str | Path) -> Conversion:
    """XML annotations in the form of Pascal VOC to Ultralytics' layout.

    The XML files are in Annotations/ and the images in JPEGImages/ or images/, or they are beside each other. Splits are
    lists in ImageSets/Main, or folders train, val (valid) and test; without val, test serves as such; without either, a
    fifth of the images. An annotation is of the image of its own name, or else of that of its <filename>; images without
    one have no objects.

    VOC's pixels count from 1 and its boxes include both corners, so x1 and y1 lose 1. Boxes are cut to their image;
    those without area and those written twice are dropped. Objects marked difficult are kept. Classes are numbered in
    alphabetical order.

    Raises:
        DatasetError: `output` exists, or a list, image or annotation is missing or broken; names the file.
    """
    return convert(output, lambda: _read_voc(Path(source)))


def is_voc(folder: Path) -> bool:
    """Whether a folder holds XML annotations where `convert_voc` looks for them."""
    return any(path.suffix.lower() == ".xml" for _, path in _files(folder))


def cached_voc(folder: Path, directory: Path) -> Path:
    """The data.yaml of the converted dataset in a cache, made once for the same lists, annotations and images.

    Raises:
        DatasetError: as `convert_voc`.
    """
    files = [path for _, path in _files(folder)] + list(_lists(folder).values())
    states = [os.fsencode("\n".join(map(str, file_state(path)))) for path in sorted(files)]
    return cached("voc", directory, states, lambda: _read_voc(folder))


def _read_voc(source: Path) -> AnnotatedImages:
    files = _Files.of(source)
    notes: list[str] = []
    parts = _listed(source, files) or _in_folders(files, notes) or {"train": list(files)}
    if "train" not in parts:
        raise DatasetError(f"{source}: has {' and '.join(parts)}, but no train")
    reader = _Reader(files)
    read = {split: reader.images(keys) for split, keys in parts.items()}
    if not set(parts) & {"val", "test"}:
        read = split_by_name(read["train"], source)
        notes.append(SPLIT_NOTE)
    elif "val" not in parts:
        read = {"train": read["train"], "val": read["test"]}
        notes.append("test serves as val, since there is no val")
    names = sorted({name for entries in read.values() for entry in entries for name, *_ in entry.boxes})
    if not names:
        raise DatasetError(f"{source}: its annotations hold not one object")
    ordered = {split: read[split] for split in (*SPLITS, "test") if split in read}
    return AnnotatedImages(names, ordered, (*notes, *(f"{count:,} {what}" for what, count in reader.counts.items())))


# -- which files there are ----------------------------------------------------------------------------------------


def _files(
    folder: Path, key: Key = (), anywhere: bool = False, above: tuple[str, ...] = ()
) -> Iterator[tuple[Key, Path]]:
    """The annotations and images of a folder, in no order; of unknown folders only those within known ones."""
    real = os.path.realpath(folder)
    if real in above or len(above) > DEEPEST:  # links may go in circles
        return
    try:
        entries = list(os.scandir(folder))
    except OSError as error:
        raise DatasetError(f"{folder}: cannot be read as a folder ({error.strerror})") from None
    for entry in entries:
        name, path = entry.name, Path(entry.path)
        if name.startswith("."):
            continue
        if path.suffix.lower() in (".xml", *SUFFIXES) and os.path.isfile(path):
            yield (*key, path.stem), path
        elif os.path.isdir(path):
            if name.lower() in CONTENTS:
                yield from _files(path, key, True, (*above, real))
            elif anywhere or name.lower() in SPLIT_FOLDERS:
                yield from _files(path, (*key, name), anywhere, (*above, real))


@dataclass(frozen=True)
class _Files:
    """The annotations and images of a folder by key; images of one key differ in suffix or folder."""

    annotations: Mapping[Key, Path]
    images: Mapping[Key, Sequence[Path]]

    @classmethod
    def of(cls, source: Path) -> _Files:
        annotations: dict[Key, Path] = {}
        images: dict[Key, list[Path]] = {}
        for key, path in sorted(_files(source), key=lambda found: found[1]):
            if path.suffix.lower() != ".xml":
                images.setdefault(key, []).append(path)
            elif (other := annotations.setdefault(key, path)) != path:
                raise DatasetError(f"{other} and {path} annotate the same image; keep one of them")
        if not annotations:
            raise DatasetError(
                f"{source}: has no annotations (.xml), neither beside images nor in Annotations/, train/, val/ or test/"
            )
        return cls(annotations, images)

    def __iter__(self) -> Iterator[Key]:
        return iter(dict.fromkeys((*self.annotations, *self.images)))


def _lists(source: Path) -> dict[str, Path]:
    """The lists of images that there are: train, val, test, trainval."""
    places = (source / "ImageSets" / "Main", source / "ImageSets")
    paths = [place / f"{name}.txt" for place in places for name in ("trainval", "test", "val", "train")]
    return {path.stem: path for path in reversed(paths) if os.path.isfile(path)}


def _listed(source: Path, files: _Files) -> dict[str, list[Key]]:
    """The keys of each split by the lists of ImageSets/; nothing if there are none."""
    lists = _lists(source)
    trainval = lists.pop("trainval", None)
    if trainval is not None:
        lists.setdefault("train", trainval)
    known = set(files)
    parts: dict[str, list[Key]] = {}
    for split, path in lists.items():
        lines = [line.strip() for line in read_text(path, DatasetError).splitlines()]
        keys = dict.fromkeys(_listed_key(line, known, path) for line in lines if line)  # once each
        if not keys:
            raise DatasetError(f"{path}: lists no image")
        parts[split] = list(keys)
    return parts


def _listed_key(line: str, known: set[Key], path: Path) -> Key:
    """The key of a line such as `000001`, `"my photo.jpg"` or `000001 -1`; the flag says whether a class is there."""
    for name in (line, re.sub(r"\s+-?[01]$", "", line)):
        *folders, name = re.split(r"[/\\]", name.strip('"'))
        stem = name[: -len(Path(name).suffix)] if Path(name).suffix.lower() in SUFFIXES else name
        for last in (name, stem):
            key = (*(folder for folder in folders if folder.lower() not in CONTENTS), last)
            if key in known:
                return key
    raise DatasetError(f"{path}: lists {shown(line)}, of which there is neither an annotation nor an image")


def _in_folders(files: _Files, notes: list[str]) -> dict[str, list[Key]]:
    """The keys of each split by the folders that they are in; nothing if there are no such folders."""
    parts: dict[str, list[Key]] = {}
    outside = 0
    for key in files:
        split = next((SPLIT_FOLDERS[name.lower()] for name in key[:-1] if name.lower() in SPLIT_FOLDERS), None)
        if split is not None:
            parts.setdefault(split, []).append(key)
        else:
            outside += key in files.annotations
    if parts and outside:
        notes.append(f"{outside:,} annotations outside of the folders {', '.join(parts)} are left out")
    return parts


# -- what is in them ----------------------------------------------------------------------------------------------


@dataclass
class _Reader:
    """Reads annotations with their images, and counts what is to be told."""

    files: _Files
    counts: Counter[str] = field(default_factory=Counter)

    def images(self, keys: Sequence[Key]) -> list[AnnotatedImage]:
        """The annotated images of these keys, and those that have no annotation, once each."""
        annotated = [self._annotated(key) for key in keys if key in self.files.annotations]
        taken = {entry.path for entry in annotated}
        rest = [path for key in keys if key not in self.files.annotations for path in self.files.images[key]]
        without = [AnnotatedImage(path, str(path)) for path in rest if path not in taken]
        if without:
            self.counts["images have no annotation; taken as images without objects"] += len(without)
        return annotated + without

    def _annotated(self, key: Key) -> AnnotatedImage:
        path = self.files.annotations[key]
        root, utf8 = _parsed(path)
        if utf8:
            self.counts["annotations are read as UTF-8, although they declare another encoding"] += 1
        entry = AnnotatedImage(self._image(key, path, root), str(path), _stated(root))
        for number, thing in enumerate(root.iter("object"), start=1):
            entry.boxes.append(_box(thing, f"{path}: object {number}"))
            if (thing.findtext("difficult") or "").strip() == "1":
                self.counts["objects marked difficult are kept"] += 1
        return entry

    def _image(self, key: Key, path: Path, root: ElementTree.Element) -> Path:
        named = re.split(r"[/\\]", (root.findtext("filename") or "").strip())[-1]
        found = self.files.images.get(key) or [
            p for p in self.files.images.get((*key[:-1], Path(named).stem), ()) if p.name == named
        ]
        if len(found) > 1:
            found = [p for p in found if p.name == named] or found
        if len(found) > 1:
            raise DatasetError(f"{path}: its image may be {found[0]} or {found[1]}; keep one of them")
        if not found:
            raise DatasetError(f"{path}: there is no image of its name{f', and no {shown(named)}' if named else ''}")
        return found[0]


class _WithoutDocumentType(ElementTree.TreeBuilder):
    """Refuses a document type, and with it every entity: entities can be made to expand without end."""

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        raise DatasetError("declares a document type, which annotations do not")


def _parsed(path: Path) -> tuple[ElementTree.Element, bool]:
    """The root of an annotation, and whether it had to be read as UTF-8 against what it declares."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror})") from None
    wrong = ""
    for encoding in (None, "utf-8"):  # .NET declares UTF-16 and writes UTF-8
        try:
            parser = ElementTree.XMLParser(target=_WithoutDocumentType(), encoding=encoding)
            root = ElementTree.fromstring(content, parser)
        except DatasetError as error:
            raise DatasetError(f"{path}: {error}") from None
        except ElementTree.ParseError as error:
            wrong = wrong or f"{path}, line {error.position[0]}: not valid XML"
        except (LookupError, ValueError) as error:  # an encoding that is unknown
            wrong = wrong or f"{path}: not valid XML ({error})"
        else:
            if root.tag != "annotation":
                raise DatasetError(f"{path}: is {shown(root.tag)}, not an <annotation> in the form of Pascal VOC")
            return root, encoding is not None
    raise DatasetError(wrong)


def _stated(root: ElementTree.Element) -> tuple[int, int] | None:
    """Width and height as the annotation states them; many tools write 0."""
    width, height = ((root.findtext(f"size/{tag}") or "").strip() for tag in ("width", "height"))
    if not all(re.fullmatch(r"[0-9]{1,9}(\.0*)?", text) for text in (width, height)):
        return None
    size = int(float(width)), int(float(height))
    return size if min(size) > 0 else None


def _box(thing: ElementTree.Element, where: str) -> Box:
    label = (thing.findtext("name") or "").strip()
    if not label:
        raise DatasetError(f"{where} has no name")
    corners = []
    for tag in ("xmin", "ymin", "xmax", "ymax"):
        text = (thing.findtext(f"bndbox/{tag}") or "").strip()
        try:
            corners.append(float(text))
        except ValueError:
            corners.append(math.nan)
        if not math.isfinite(corners[-1]):
            raise DatasetError(f"{where} has the {tag} {shown(text)} in its bndbox; it must be a number")
    return label, corners[0] - 1, corners[1] - 1, corners[2], corners[3]
