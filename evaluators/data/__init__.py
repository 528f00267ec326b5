"""Datasets: loading, checking and converting them, and the one that is built in."""

from .calibration import calibration_images
from .check import DatasetSummary, check_dataset
from .coco_json import convert_coco
from .dataset import Dataset, load_dataset
from .errors import DatasetError
from .ground_truth import coco_ground_truth
from .identity import dataset_identity, what_changed
from .places import absolute_source
from .voc import convert_voc

__all__ = [
    "Dataset",
    "DatasetError",
    "DatasetSummary",
    "absolute_source",
    "calibration_images",
    "check_dataset",
    "coco_ground_truth",
    "convert_coco",
    "convert_voc",
    "dataset_identity",
    "load_dataset",
    "what_changed",
]
