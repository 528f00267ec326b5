"""Checking a dataset before anything is trained on it."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field

from .dataset import Dataset
from .layout import SPLITS
from .together import Tell


@dataclass(frozen=True)
class DatasetSummary:
    """What a checked dataset holds.

    Attributes:
        images, boxes, background, crowds: of each split: images, boxes, images without a box, and crowds, in which detections
            count neither way.
        boxes_by_class: of each split.
        repaired: of each split, what was done to rows of label files -> how many of them.
        notes: what else a user should know.
    """

    images: dict[str, int]
    boxes: dict[str, int]
    background: dict[str, int]
    boxes_by_class: dict[str, dict[str, int]]
    crowds: dict[str, int] = field(default_factory=dict)
    repaired: dict[str, dict[str, int]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        parts = []
        for split in self.images:
            counted = [f"{self.images[split]:,} images", f"{self.boxes[split]:,} boxes"]
            if self.background[split]:
                counted.append(f"{self.background[split]:,} images without a box")
            if self.crowds.get(split):
                counted.append(f"{self.crowds[split]:,} crowds")
            counted += [f"{count:,} {what}" for what, count in self.repaired.get(split, {}).items()]
            parts.append(f"{split}: {', '.join(counted)}")
        names = next(iter(self.boxes_by_class.values()))
        totals = {name: sum(counts[name] for counts in self.boxes_by_class.values()) for name in names}
        classes = ", ".join(f"{name} {count:,}" for name, count in totals.items())
        return "\n".join([f"{'; '.join(parts)}; classes: {classes}", *(f"note: {note}" for note in self.notes)])


def check_dataset(dataset: Dataset, tell: Tell | None = None) -> DatasetSummary:
    """Decode every image and read every label before anything is trained.

    Args:
        tell: is told how many images of a split have been decoded, and of how many; those that have been before, and have not
            changed since, are not decoded again.

    Raises:
        DatasetError: an image missing, cut off, unreadable or below 10 x 10 pixels, a box outside its image, a class out of
            range, a malformed row, a split without any label file or any box; the first, and how many more.
    """
    images, boxes, background, by_class, crowds, repaired = {}, {}, {}, {}, {}, {}
    for split in SPLITS:
        found = dataset.annotated(split, anew=True, tell=tell)
        images[split], boxes[split] = len(found.paths), len(found.rows)
        background[split] = int((found.counts == 0).sum())
        counts = Counter(found.rows[:, 0].astype(int).tolist())
        by_class[split] = {name: counts[i] for i, name in enumerate(dataset.names)}
        crowds[split], repaired[split] = len(found.crowd_rows), dict(found.repaired)
    notes = (*dataset.notes, *_about_the_splits(dataset))
    return DatasetSummary(images, boxes, background, by_class, crowds, repaired, notes)


def _about_the_splits(dataset: Dataset) -> list[str]:
    notes = []
    for split in SPLITS:
        paths = getattr(dataset, split)
        if len(set(paths)) < len(paths):
            notes.append(
                f"{split} lists {len(paths) - len(set(paths)):,} images more than once, and they count so often"
            )
    trained = {os.path.realpath(path) for path in dataset.train}
    both = sum(os.path.realpath(path) in trained for path in dataset.val)
    if both:
        which = "all" if both == len(dataset.val) else f"{both:,} of {len(dataset.val):,}"
        notes.append(f"{which} images of val are trained on as well: accuracy on them says little of new images")
    return notes
