"""Training detectors with Ultralytics, and reading what that writes."""

from ..precision import precision_on
from .checkpoint import load_checkpoint
from .long import Judging, train_long
from .settings import Fidelity, check_settings, effective, long_batch, long_settings, steps_of
from .train import CHECKPOINT, TrainingResult, train, trainer_of
from .weights import Taken, take_over
from .yolov8 import DetectorTraining

__all__ = [
    "CHECKPOINT",
    "DetectorTraining",
    "Fidelity",
    "Judging",
    "Taken",
    "TrainingResult",
    "check_settings",
    "effective",
    "load_checkpoint",
    "long_batch",
    "long_settings",
    "precision_on",
    "steps_of",
    "take_over",
    "train",
    "train_long",
    "trainer_of",
]
