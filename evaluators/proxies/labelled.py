"""The labelled images that untrained networks are shown: drawn at random, or of a dataset."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.functional import interpolate

from search_spaces import InputError

from ..data import Dataset
from ..data.images import read_image

CELLS = 16  # along an edge of a random image: features of every level then differ from image to image
MOST_BOXES = 4  # of a random image


@dataclass(frozen=True)
class LabelledImages:
    """n images with their boxes; every network is shown them at its own image size.

    Attributes:
        images: (n, 3, height, width) float32 RGB from 0 to 1.
        boxes: for each image (k, 5): class, then centre x, y, width and height as shares of the image.
    """

    images: np.ndarray
    boxes: Sequence[np.ndarray]

    def check(self, num_classes: int) -> None:
        """Raise InputError unless these are images with boxes of `num_classes` classes."""
        shape = np.shape(self.images)
        if len(shape) != 4 or shape[1] != 3 or 0 in shape:
            raise InputError(f"batch: images must have the shape (n, 3, height, width), not {shape}")
        if not np.isfinite(self.images).all():
            raise InputError("batch: images must be numbers from 0 to 1, and some are none")
        if len(self.boxes) != shape[0]:
            raise InputError(f"batch: {shape[0]} images have {len(self.boxes)} arrays of boxes; each needs one")
        for number, boxes in enumerate(self.boxes):
            if np.ndim(boxes) != 2 or np.shape(boxes)[1] != 5:
                raise InputError(f"batch: boxes of image {number} must have the shape (k, 5), not {np.shape(boxes)}")
            if not np.isfinite(boxes).all() or not ((boxes >= 0).all() and (boxes[:, 1:] <= 1).all()):
                raise InputError(f"batch: boxes of image {number} must be a class and four shares from 0 to 1")
            if (boxes[:, 0] >= num_classes).any():
                found = int(boxes[:, 0].max())
                raise InputError(
                    f"batch: image {number} has class {found}; the last of {num_classes} is {num_classes - 1}"
                )

    def batches(self, batch_size: int, image_size: tuple[int, int]) -> list[dict[str, torch.Tensor]]:
        """All whole batches, as Ultralytics' detection loss takes them, at (height, width) pixels."""
        images = interpolate(
            torch.as_tensor(self.images, dtype=torch.float32), image_size, mode="bilinear", antialias=True
        )
        batches = []
        for start in range(0, len(images) - batch_size + 1, batch_size):
            boxes = [np.asarray(each, np.float32) for each in self.boxes[start : start + batch_size]]
            rows = torch.from_numpy(np.concatenate(boxes))
            index = np.repeat(np.arange(batch_size), [len(each) for each in boxes])
            batches.append(
                {
                    "img": images[start : start + batch_size],
                    "cls": rows[:, :1],
                    "bboxes": rows[:, 1:],
                    "batch_idx": torch.from_numpy(index.astype(np.float32)),
                }
            )
        return batches


def random_images(count: int, num_classes: int, seed: int = 0) -> LabelledImages:
    """Images of coarse noise, smooth at every size, with one to four boxes each of random classes."""
    rng = np.random.default_rng(seed)
    boxes = []
    for _ in range(count):
        number = int(rng.integers(1, MOST_BOXES + 1))
        sizes = rng.uniform(0.1, 0.6, (number, 2))
        centres = rng.uniform(sizes / 2, 1 - sizes / 2)
        boxes.append(np.column_stack([rng.integers(num_classes, size=number), centres, sizes]).astype(np.float32))
    return LabelledImages(rng.random((count, 3, CELLS, CELLS), np.float32), boxes)


def dataset_images(dataset: Dataset, count: int, image_size: int, seed: int = 0) -> LabelledImages:
    """Training images drawn by the seed, stretched to squares of `image_size` pixels, and their boxes.

    Raises:
        InputError: the training split has fewer images, or one that cannot be read.
    """
    import cv2

    split = dataset.annotated("train")
    if len(split.paths) < count:
        raise InputError(f"{dataset.name}: the training split has {len(split.paths)} images, and {count} are needed")
    chosen = np.random.default_rng(seed).permutation(len(split.paths))[:count]
    pixels = [
        cv2.resize(read_image(split.paths[i]), (image_size, image_size), interpolation=cv2.INTER_AREA) for i in chosen
    ]
    images = np.stack(pixels)[..., ::-1].transpose(0, 3, 1, 2).astype(np.float32) / 255
    return LabelledImages(images, [split.boxes[i] for i in chosen])
