"""Images of a dataset as one array, to calibrate quantisation with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from .dataset import Dataset, load_dataset


def calibration_images(source: Dataset | str | Path, count: int = 32, size: int = 640) -> np.ndarray:
    """Training images to calibrate INT8 with, (count, 3, size, size) float32 RGB from 0 to 1, stretched to a square.

    Args:
        source: a loaded dataset, or what `load_dataset` takes.

    Raises:
        DatasetError: the dataset cannot be loaded.
    """
    paths = (source if isinstance(source, Dataset) else load_dataset(source)).train
    chosen = paths[:: max(1, len(paths) // count)][:count]
    images = []
    for path in chosen:
        with Image.open(path) as image:
            images.append(np.asarray(image.convert("RGB").resize((size, size)), np.float32) / 255)
    return np.ascontiguousarray(np.stack(images).transpose(0, 3, 1, 2))
