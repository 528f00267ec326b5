"""The labels of a dataset in the form that COCO's evaluation takes."""

from __future__ import annotations

from typing import Any

from .dataset import Dataset


def coco_ground_truth(dataset: Dataset, split: str = "val") -> dict[str, Any]:
    """The labels of a split as COCO annotations: image ids count from 0 in the order of the split, boxes in pixels."""
    annotated = dataset.annotated(split)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for image_id, (path, (width, height)) in enumerate(zip(annotated.paths, annotated.sizes.tolist())):
        images.append({"id": image_id, "file_name": str(path), "width": width, "height": height})
        for is_crowd, boxes in enumerate((annotated.boxes[image_id], annotated.crowds[image_id])):
            for label, x, y, w, h in boxes.tolist():
                box = [(x - w / 2) * width, (y - h / 2) * height, w * width, h * height]
                annotations.append(
                    {
                        "id": len(annotations) + 1,  # pycocotools takes annotation 0 for "no match"
                        "image_id": image_id,
                        "category_id": int(label),
                        "bbox": box,
                        "area": box[2] * box[3],
                        "iscrowd": is_crowd,
                    }
                )
    categories = [{"id": i, "name": name} for i, name in enumerate(dataset.names)]
    return {"info": {}, "images": images, "annotations": annotations, "categories": categories}
