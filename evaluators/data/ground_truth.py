"""The labels of a dataset in the form that COCO's evaluation takes."""

from __future__ import annotations

from typing import Any

from .dataset import Dataset
from .images import image_size
from .labels import read_labels


def coco_ground_truth(dataset: Dataset, split: str = "val") -> dict[str, Any]:
    """The labels of a split as COCO annotations: image ids count from 0 in the order of the split, boxes in pixels."""
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for image_id, path in enumerate(getattr(dataset, split)):
        width, height = image_size(path)
        images.append({"id": image_id, "file_name": str(path), "width": width, "height": height})
        for label, x, y, w, h in read_labels(path, dataset.num_classes):
            box = [(x - w / 2) * width, (y - h / 2) * height, w * width, h * height]
            annotations.append(
                {
                    "id": len(annotations) + 1,  # pycocotools takes annotation 0 for "no match"
                    "image_id": image_id,
                    "category_id": label,
                    "bbox": box,
                    "area": box[2] * box[3],
                    "iscrowd": 0,
                }
            )
    categories = [{"id": i, "name": name} for i, name in enumerate(dataset.names)]
    return {"info": {}, "images": images, "annotations": annotations, "categories": categories}
