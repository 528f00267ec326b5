"""The labels of images: read from their files, checked line by line."""

from __future__ import annotations

import math
from pathlib import Path

from search_spaces.files import read_text

from .errors import DatasetError


def label_path(image: Path) -> Path:
    """The label file of an image: the last `images` folder on its path becomes `labels`."""
    parts = list(image.parts)
    for i in range(len(parts) - 2, -1, -1):
        if parts[i] == "images":
            parts[i] = "labels"
            break
    return Path(*parts).with_suffix(".txt")


def read_labels(image: Path, num_classes: int) -> list[tuple[int, float, float, float, float]]:
    """Boxes of an image, (class, x, y, width, height), the centre and size as shares of the image.

    Raises:
        DatasetError: a line that is no box of a known class inside the image.
    """
    path = label_path(image)
    if not path.exists():
        return []
    boxes = []
    for number, line in enumerate(read_text(path, DatasetError).splitlines(), start=1):
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
