"""Pascal VOC's annotations, converted to Ultralytics' layout."""

from __future__ import annotations

import math
from pathlib import Path
from xml.etree import ElementTree

from search_spaces.files import read_text

from .errors import DatasetError
from .images import SUFFIXES, image_size
from .layout import SPLITS, Conversion, new_folder, write_layout


def convert_voc(source: str | Path, output: str | Path) -> Conversion:
    """Pascal VOC (Annotations/*.xml, JPEGImages/, ImageSets/Main/{train,val,test}.txt) to Ultralytics' layout.

    VOC's pixels count from 1 and its boxes include both corners, so x1 and y1 lose 1. Boxes are cut to their image and
    those without area dropped. Objects marked difficult are kept. Classes are numbered in alphabetical order. Image
    sizes are read from the images, since annotations of real datasets often have them wrong.

    Raises:
        DatasetError: `output` exists, or a list, image or annotation is missing or broken; names the file.
    """
    source, output = Path(source), new_folder(output)
    lists = source / "ImageSets" / "Main"
    found = {split: lists / f"{split}.txt" for split in (*SPLITS, "test") if (lists / f"{split}.txt").exists()}
    if not set(SPLITS) <= set(found):
        raise DatasetError(f"{lists}: has no train.txt and val.txt with the images of each split")
    read = {}
    for split, path in found.items():
        listed = dict.fromkeys(read_text(path, DatasetError).split())  # once each
        if not listed:
            raise DatasetError(f"{path}: lists no image")
        read[split] = [_read_voc(source, name) for name in listed]
    names = sorted({name for entries in read.values() for *_, boxes in entries for name, *_ in boxes})
    if not names:
        raise DatasetError(f"{source / 'Annotations'}: the annotations of the listed images hold not one object")
    index = {name: i for i, name in enumerate(names)}
    splits = {
        split: [
            (path, w, h, [(index[name], x1, y1, x2, y2) for name, x1, y1, x2, y2 in boxes])
            for path, w, h, boxes in entries
        ]
        for split, entries in read.items()
    }
    return write_layout(output, names, splits)


class _WithoutDocumentType(ElementTree.TreeBuilder):
    """Refuses a document type, and with it every entity: entities can be made to expand without end."""

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        raise DatasetError("declares a document type, which annotations do not")


def _read_voc(source: Path, name: str) -> tuple[Path, int, int, list[tuple[str, float, float, float, float]]]:
    """The image of an annotation, its width and height, and its boxes: class name and corners in pixels from 0."""
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
            corners = [float(thing.findtext(f"bndbox/{tag}") or "nan") for tag in ("xmin", "ymin", "xmax", "ymax")]
            label = (thing.findtext("name") or "").strip()
            if not label or not all(map(math.isfinite, corners)):
                raise ValueError
            boxes.append((label, corners[0] - 1, corners[1] - 1, corners[2], corners[3]))
        except ValueError:
            raise DatasetError(f"{path}: an object has no name, or no box of four numbers") from None
    return image, *image_size(image), boxes
