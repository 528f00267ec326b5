"""Images of a dataset as one array, to calibrate quantisation with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from .dataset import Dataset, load_dataset
from .images import letterboxed, read_image


def calibration_images(source: Dataset | str | Path, count: int = 32, size: int = 640) -> np.ndarray:
    """Training images to calibrate INT8 with, (count, 3, size, size) float32 RGB from 0 to 1, as networks will see them.

    Args:
        source: a loaded dataset, or what `load_dataset` takes.

    Raises:
        DatasetError: the dataset cannot be loaded, or an image not be read.
    """
    dataset = source if isinstance(source, Dataset) else load_dataset(source)
    return letterboxed([read_image(path) for path in calibration_paths(dataset, count)], (size, size))


def calibration_paths(dataset: Dataset, count: int) -> tuple[Path, ...]:
    """The training images that `calibration_images` takes."""
    return evenly(dataset.train, count)


def evenly(paths: Sequence[Path], count: int) -> tuple[Path, ...]:
    """At most `count` of the paths, spread over all of them."""
    return tuple(paths[:: max(1, len(paths) // count)][:count])
