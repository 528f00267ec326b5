"""Training detectors with Ultralytics, and reading what that writes."""

from ..precision import precision_on
from .checkpoint import load_checkpoint
from .settings import Fidelity, check_settings, effective
from .train import CHECKPOINT, TrainingResult, train, trainer_of
from .yolov8 import DetectorTraining

__all__ = [
    "CHECKPOINT",
    "DetectorTraining",
    "Fidelity",
    "TrainingResult",
    "check_settings",
    "effective",
    "load_checkpoint",
    "precision_on",
    "train",
    "trainer_of",
]
