"""Latency: measuring networks in a runtime on a device, and predicting it for networks that were not measured."""

from ..formats.onnx import export_onnx, onnx_difference, stirred
from .measurement import Latency, LatencyMeter
from .predictor import LatencyPredictor

__all__ = ["Latency", "LatencyMeter", "LatencyPredictor", "export_onnx", "onnx_difference", "stirred"]
