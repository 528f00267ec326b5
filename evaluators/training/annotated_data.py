"""A split as Ultralytics' dataset: the images and boxes that were checked and are judged, and nothing else of the folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from ultralytics.data.augment import Albumentations
from ultralytics.data.dataset import YOLODataset

from ..data.annotated import AnnotatedSplit

NOWHERE = Path(__file__) / "none.npy"  # below a file, so that it cannot be there


class AnnotatedData(YOLODataset):
    """Ultralytics' dataset without its reading of labels, which repairs users' images in place and keeps pickled caches
    beside their labels.

    Args:
        annotated: the split.
        fraction: share of the images, or how many of them: the first ones.
        options: of `YOLODataset`.
    """

    def __init__(self, annotated: AnnotatedSplit, *, fraction: float | int = 1.0, **options: Any) -> None:
        self.annotated = annotated
        count = len(annotated.paths)
        wanted = fraction if isinstance(fraction, int) and fraction > 1 else max(1, round(count * fraction))
        self.count = min(count, wanted)
        super().__init__(img_path="", **options)

    def get_img_files(self, img_path: Any) -> list[str]:
        return [str(path) for path in self.annotated.paths[: self.count]]

    def get_labels(self) -> list[dict[str, Any]]:
        boxes = [boxes.astype(np.float32) for boxes in self.annotated.boxes[: self.count]]
        return [
            {
                "im_file": file,
                "shape": (int(height), int(width)),
                "cls": rows[:, :1],
                "bboxes": rows[:, 1:],
                "segments": [],
                "keypoints": None,
                "normalized": True,
                "bbox_format": "xywh",
            }
            for file, rows, (width, height) in zip(self.im_files, boxes, self.annotated.sizes)
        ]

    def build_transforms(self, hyp: Any) -> Any:
        """Ultralytics' augmentations, but for those of another package that may be installed: a seed would mean something else
        where it is."""
        transforms = super().build_transforms(hyp)
        transforms.transforms = [each for each in transforms.transforms if not isinstance(each, Albumentations)]
        return transforms

    @property
    def npy_files(self) -> list[Path]:
        """Where Ultralytics would look for arrays beside the images, which it also removes and replaces."""
        return [NOWHERE] * len(self.im_files)

    @npy_files.setter
    def npy_files(self, files: list[Path]) -> None:
        pass
