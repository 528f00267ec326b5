"""COCO mAP with pycocotools: the reported accuracy."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from search_spaces import InputError

from ..data import Dataset, coco_ground_truth
from ..formats.onnx import ImageSize
from .detections import ModelPredictor, Predictor, detect

# COCOeval.stats in its order
STATS = ("map50_95", "map50", "map75", "map_small", "map_medium", "map_large")


def score_detections(ground_truth: Mapping[str, Any], detections: Sequence[Mapping[str, Any]]) -> dict[str, float]:
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


def coco_map(
    predictor: Predictor | nn.Module,
    dataset: Dataset,
    image_size: ImageSize | None = None,
    *,
    split: str = "val",
    device: str = "cpu",
    **options: Any,
) -> dict[str, float]:
    """COCO's average precisions of whatever detects, on a split of a dataset.

    Args:
        predictor: of `open_predictor`, or a detection model, which is run in PyTorch on `device`.
        image_size: pixels, an edge or (height, width); None is the predictor's own.
        options: those of `detect`.

    Returns:
        What `score_detections` returns.

    Raises:
        InputError: the classes are not as many as the dataset's, or an image size that is missing or wrong.
    """
    runs = ModelPredictor(predictor, device) if isinstance(predictor, nn.Module) else predictor
    if runs.names is not None and len(runs.names) != dataset.num_classes:
        raise InputError(
            f"the model detects {len(runs.names)} classes, the dataset {dataset.name} has {dataset.num_classes}"
        )
    detections = detect(runs, getattr(dataset, split), image_size, **options)
    return score_detections(coco_ground_truth(dataset, split), detections)
