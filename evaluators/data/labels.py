"""The labels of images: read from their files line by line, repaired where that takes no guess, and refused where it would."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from search_spaces.files import read_text

from .errors import DatasetError

TOLERANCE = 0.01  # beyond the image, of coordinates: Ultralytics' own
NOTICEABLE = 1e-3  # what is cut by less is the rounding of many tools, and not counted
DUPLICATES, CUT, WITHOUT_AREA = "duplicates dropped", "boxes cut to their image", "boxes without area dropped"
POLYGONS, KEYPOINTS = "polygons taken as their boxes", "boxes with keypoints, which are left out"


@dataclass(frozen=True)
class Labels:
    """The boxes of an image.

    Attributes:
        boxes: (n, 5) of class, and centre x, y, width and height as shares of the image.
        repaired: what was done to the file's rows -> how many of them.
    """

    boxes: np.ndarray
    repaired: Counter[str] = field(default_factory=Counter)


def label_path(image: Path, folder: str = "labels") -> Path:
    """The label file of an image: the last `images` folder on its path becomes `labels`."""
    parts = list(image.parts)
    for i in range(len(parts) - 2, -1, -1):
        if parts[i] == "images":
            parts[i] = folder
            break
    return Path(*parts).with_suffix(".txt")


def read_labels(image: Path, num_classes: int, keypoint_numbers: int = 0) -> Labels:
    """The labels of an image; none where it has no label file.

    Args:
        keypoint_numbers: numbers that follow every box, which data.yaml declares as `kpt_shape`.

    Raises:
        DatasetError: a row that is neither a box nor a polygon of a known class inside the image.
    """
    path = label_path(image)
    if not os.path.exists(path):
        path = label_path(Path(os.path.realpath(image)))  # beside what a link points to
    if not os.path.exists(path):
        return Labels(np.zeros((0, 5)))
    rows, repaired = [], Counter[str]()
    for number, line in enumerate(read_text(path, DatasetError).splitlines(), start=1):
        if words := line.split():
            rows.append(_read_row(words, f"{path}, line {number}", num_classes, keypoint_numbers, repaired))
    return Labels(_cleaned(np.array(rows, float).reshape(-1, 5), repaired), +repaired)


def read_crowds(image: Path, num_classes: int) -> np.ndarray:
    """The (n, 5) regions that a converted dataset keeps as crowds: in `crowds/`, where boxes are in `labels/`."""
    path = label_path(image, "crowds")
    if path == label_path(image) or not os.path.exists(path):
        return np.zeros((0, 5))
    lines = enumerate(read_text(path, DatasetError).splitlines(), start=1)
    rows = [
        _read_row(line.split(), f"{path}, line {n}", num_classes, 0, Counter()) for n, line in lines if line.strip()
    ]
    return _cleaned(np.array(rows, float).reshape(-1, 5), Counter())


def _read_row(
    words: list[str], where: str, num_classes: int, keypoint_numbers: int, repaired: Counter[str]
) -> list[float]:
    """One row as a box: class, and centre x, y, width and height, as they stand there."""
    text = " ".join(words[:6]) + (" ..." if len(words) > 6 else "")
    with_keypoints = keypoint_numbers > 0 and len(words) == 5 + keypoint_numbers
    is_polygon = not with_keypoints and len(words) >= 7 and len(words) % 2 == 1
    if len(words) != 5 and not with_keypoints and not is_polygon:
        hint = "; a confidence is no part of a label" if len(words) == 6 else ""
        raise DatasetError(
            f"{where}: has {len(words)} columns; a row is class x y width height, or class and the corners of a polygon{hint}"
        )
    try:
        label, *numbers = (float(word) for word in (words if is_polygon else words[:5]))
    except ValueError:
        raise DatasetError(f"{where}: {text!r} is not {'all' if is_polygon else 'five'} numbers") from None
    if not label.is_integer() or not 0 <= label < num_classes:
        raise DatasetError(f"{where}: class {words[0]} is out of range; there are classes 0 to {num_classes - 1}")
    values = np.array(numbers)
    if not np.isfinite(values).all():
        raise DatasetError(f"{where}: {text!r} holds a number that is not finite")
    if not is_polygon and values[2:].min() < 0:
        raise DatasetError(f"{where}: the box has width {values[2]:g} and height {values[3]:g}; both must be above 0")
    if values.min() < -TOLERANCE or values.max() > 1 + TOLERANCE:
        raise DatasetError(f"{where}: {text!r} lies outside the image; coordinates are shares of it, from 0 to 1")
    repaired[KEYPOINTS] += with_keypoints
    repaired[POLYGONS] += is_polygon
    if is_polygon:
        low, high = values.reshape(-1, 2).min(0), values.reshape(-1, 2).max(0)
        return [label, *(low + high) / 2, *high - low]
    return [label, *numbers]


def _cleaned(rows: np.ndarray, repaired: Counter[str]) -> np.ndarray:
    """Boxes cut to the image, without those that have no area, each once; others keep their numbers to the last bit."""
    corners = np.hstack([rows[:, 1:3] - rows[:, 3:] / 2, rows[:, 1:3] + rows[:, 3:] / 2])
    inside = corners.clip(0, 1)
    beyond = np.abs(corners - inside).max(1, initial=0)
    middle, size = (inside[:, :2] + inside[:, 2:]) / 2, inside[:, 2:] - inside[:, :2]
    boxes = np.where((beyond > 0)[:, None], np.column_stack([rows[:, 0], middle, size]), rows)
    has_area = (boxes[:, 3:] > 1e-7).all(1)
    repaired[WITHOUT_AREA] += int((~has_area).sum())
    repaired[CUT] += int((beyond > NOTICEABLE)[has_area].sum())
    # what training calls the same row: equal in single precision
    _, first = np.unique(boxes[has_area].astype(np.float32), axis=0, return_index=True)
    repaired[DUPLICATES] += int(has_area.sum()) - len(first)
    return boxes[has_area][np.sort(first)]
