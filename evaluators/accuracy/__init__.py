"""COCO mAP of anything that runs, through one interface with the runtimes that measure latency."""

from .coco import coco_map, score_detections
from .detections import ModelPredictor, Predictor, SessionPredictor, detect, open_predictor

__all__ = [
    "ModelPredictor",
    "Predictor",
    "SessionPredictor",
    "coco_map",
    "detect",
    "open_predictor",
    "score_detections",
]
