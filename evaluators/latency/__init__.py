"""Latency: measuring networks in a runtime on a device, and predicting it for networks that were not measured."""

from .measurement import Latency, LatencyMeter
from .onnx_export import export_onnx, onnx_difference, stirred
from .predictor import LatencyPredictor

__all__ = ["Latency", "LatencyMeter", "LatencyPredictor", "export_onnx", "onnx_difference", "stirred"]
