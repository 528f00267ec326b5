"""The trainer of YOLO11's family: the one of YOLOv8's, whose head, loss and assignment Ultralytics' YOLO11 has kept."""

from __future__ import annotations

from .yolov8 import DetectorTraining

TRAINER = DetectorTraining
