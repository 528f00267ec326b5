"""Latency: exporting a network to a runtime and measuring it there."""

from .measurement import Latency, measure_latency
from .onnx_export import export_onnx, onnx_difference, stirred

__all__ = ["Latency", "export_onnx", "measure_latency", "onnx_difference", "stirred"]
