"""COCO mAP with pycocotools: the reported accuracy."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import nn

from search_spaces.graph import check_image_size

from ..data import Dataset, DatasetError, coco_ground_truth

# COCOeval.stats in its order
STATS = ("map50_95", "map50", "map75", "map_small", "map_medium", "map_large")


def score_detections(ground_truth: Mapping, detections: Sequence[Mapping]) -> dict[str, float]:
    """COCO's average precisions of detections ({image_id, category_id, bbox in xywh pixels, score}).

    Returns:
        map50_95, map50, map75, by size map_small, map_medium, map_large, and map50_95 of every category as
        `ap/NAME`. What no annotation allows to measure (no small box, say) is left out; no detections score 0.
    """
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = dict(ground_truth)
        truth.createIndex()
        found = COCO()
        if detections:
            found = truth.loadRes(list(detections))
        else:
            found.dataset = {**ground_truth, "annotations": []}
            found.createIndex()
        evaluation = COCOeval(truth, found, "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    scores = {name: float(value) for name, value in zip(STATS, evaluation.stats) if value >= 0}
    precision = evaluation.eval["precision"]  # IoU thresholds, recalls, categories, areas, detections per image
    for position, category in enumerate(ground_truth["categories"]):
        values = precision[:, :, position, 0, -1]
        if (values > -1).any():
            scores[f"ap/{category['name']}"] = float(values[values > -1].mean())
    return scores


def detect(
    model: nn.Module,
    images: Sequence[Path],
    image_size,
    *,
    batch: int = 16,
    device: str = "cpu",
    confidence: float = 0.001,
    iou: float = 0.7,
    max_detections: int = 300,
) -> list[dict]:
    """Detections in COCO's form by an Ultralytics model; image ids count from 0 in the order given.

    The images are letterboxed to `image_size` pixels and the boxes suppressed per class, as Ultralytics' validation
    does it; boxes are in pixels of the original image.
    """
    from ultralytics.data.augment import LetterBox
    from ultralytics.utils.nms import non_max_suppression
    from ultralytics.utils.ops import scale_boxes

    shape = check_image_size(image_size)
    letterbox = LetterBox(shape, auto=False, scaleup=True)
    device = torch.device(f"cuda:{device}" if str(device).isdigit() else device)
    model = model.to(device).float().eval()
    detections = []
    for start in range(0, len(images), batch):
        originals = []
        for path in images[start : start + batch]:
            image = cv2.imread(str(path))
            if image is None:
                raise DatasetError(f"{path}: not an image that can be read")
            originals.append(image)
        stacked = np.stack([letterbox(image=image)[..., ::-1].transpose(2, 0, 1) for image in originals])
        with torch.no_grad():
            raw = model(torch.from_numpy(np.ascontiguousarray(stacked)).to(device).float() / 255)
            results = non_max_suppression(
                raw, confidence, iou, multi_label=True, max_det=max_detections, nc=len(model.names)
            )
        for offset, (image, boxes) in enumerate(zip(originals, results)):
            corners = scale_boxes(shape, boxes[:, :4], image.shape[:2]).cpu().numpy().astype(float)
            for (x1, y1, x2, y2), score, label in zip(corners, boxes[:, 4].tolist(), boxes[:, 5].tolist()):
                box = [x1, y1, x2 - x1, y2 - y1]
                detections.append({"image_id": start + offset, "category_id": int(label), "bbox": box, "score": score})
    return detections


def coco_map(model: nn.Module, dataset: Dataset, image_size, *, split: str = "val", **options) -> dict[str, float]:
    """COCO's average precisions of a model on a split of a dataset; `options` are those of `detect`."""
    return score_detections(
        coco_ground_truth(dataset, split), detect(model, getattr(dataset, split), image_size, **options)
    )
