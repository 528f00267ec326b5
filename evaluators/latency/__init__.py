"""Latency: measuring networks in a runtime on a device, and predicting it for networks that were not measured."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..formats.onnx import export_onnx, onnx_difference, stirred
    from .measurement import Latency, LatencyMeter
    from .predictor import LatencyPredictor

__all__ = ["Latency", "LatencyMeter", "LatencyPredictor", "export_onnx", "onnx_difference", "stirred"]

_HOMES = {
    **dict.fromkeys(("export_onnx", "onnx_difference", "stirred"), "..formats.onnx"),
    **dict.fromkeys(("Latency", "LatencyMeter"), ".measurement"),
    "LatencyPredictor": ".predictor",
}


def __getattr__(name: str) -> Any:
    # torch takes seconds to import, and a device profile is read without it
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name], __name__), name)
