"""One split with everything that is known of it: the same images and boxes for training, calibration and judging."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from .labels import read_crowds, read_labels
from .pixels import check_pixels
from .together import Tell, together


@dataclass(frozen=True)
class AnnotatedSplit:
    """The images of a split and their boxes, in few arrays, so that it travels to workers quickly.

    Attributes:
        paths: of the n images.
        sizes: (n, 2) width and height in pixels, upright.
        file_bytes: (n,) sizes of the files.
        rows, crowd_rows: (k, 5) boxes of all images one after another: class, and centre x, y, width and height as shares of
            the image. A detection in a crowd counts neither way.
        counts, crowd_counts: (n,) boxes of each image.
        repaired: what was done to rows of label files -> how many of them.
    """

    paths: tuple[Path, ...]
    sizes: np.ndarray
    file_bytes: np.ndarray
    rows: np.ndarray
    counts: np.ndarray
    crowd_rows: np.ndarray
    crowd_counts: np.ndarray
    repaired: Counter[str]

    @cached_property
    def boxes(self) -> list[np.ndarray]:
        """The boxes of each image."""
        return np.split(self.rows, np.cumsum(self.counts)[:-1])

    @cached_property
    def crowds(self) -> list[np.ndarray]:
        """The crowds of each image."""
        return np.split(self.crowd_rows, np.cumsum(self.crowd_counts)[:-1])

    def __getstate__(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self)}  # what is cut out of them is cut anew

    def label_digests(self) -> list[str]:
        """What identifies the labels of each image."""
        return [
            hashlib.sha256(boxes.tobytes() + b"|" + crowds.tobytes()).hexdigest()[:12]
            for boxes, crowds in zip(self.boxes, self.crowds)
        ]


def annotate(
    paths: Sequence[Path], num_classes: int, *, keypoint_numbers: int = 0, of: str = "", tell: Tell | None = None
) -> AnnotatedSplit:
    """Decode every image, unless it has been since it was last changed, and read every label.

    Arguments are those of `read_labels` and `check_pixels`.

    Raises:
        DatasetError: an image or a row of a label file that cannot be used; the first, and how many more there are.
    """
    labels = together(paths, lambda path: read_labels(path, num_classes, keypoint_numbers))
    crowds = together(paths, lambda path: read_crowds(path, num_classes))
    pixels = check_pixels(paths, tell, of=of)
    return AnnotatedSplit(
        tuple(paths),
        pixels.sizes,
        pixels.file_bytes,
        np.concatenate([found.boxes for found in labels]),
        np.array([len(found.boxes) for found in labels]),
        np.concatenate(crowds),
        np.array([len(found) for found in crowds]),
        sum((found.repaired for found in labels), Counter[str]()),
    )
