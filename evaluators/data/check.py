"""Checking a dataset before anything is trained on it."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from .dataset import Dataset
from .errors import DatasetError
from .images import check_image
from .labels import label_path, read_labels
from .layout import SPLITS


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
            list(pool.map(check_image, paths))
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
