"""OpenVINO: ONNX files and its own on CPUs and on Intel's GPUs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .runtime import Runtime, Session, Unavailable, fixed_image
from .silence import without_openvino_telemetry


def load() -> Any:
    """The package `openvino`, which reports to nobody then. Raises Unavailable where it is not installed."""
    try:
        with without_openvino_telemetry():
            import openvino
    except ImportError:
        raise Unavailable("OpenVINO is not installed; `pip install openvino` brings it") from None
    return openvino


class OpenVinoSession(Session):
    """A compiled model with a request that holds the timed image."""

    def __init__(self, compiled: Any, shape: Sequence[int], version: str) -> None:
        self.version = version
        self._compiled = compiled
        self._request = compiled.create_infer_request()
        self._request.get_input_tensor().data[:] = fixed_image(shape)

    def run(self) -> None:
        self._request.infer()

    def infer(self, image: np.ndarray) -> np.ndarray:
        # by the compiled model's own request, so that the timed one keeps its image; its output is shared, so copied
        return np.array(self._compiled(image)[0], np.float32)


class OpenVino(Runtime):
    """OpenVINO; FP16 is a hint to the device, INT8 is in the file."""

    name = "openvino"
    kind = "onnx"
    suffix = ".onnx"
    others = (".xml",)  # its own, with the weights in a .bin beside it
    packages = ("openvino",)
    devices = ("cpu", "gpu")
    precisions = ("FP32", "FP16", "INT8")

    def open(self, path: str, shape: Sequence[int], threads: int, device: str, precision: str) -> OpenVinoSession:
        openvino = load()
        core = openvino.Core()
        if device.upper() not in {name.split(".")[0] for name in core.available_devices}:
            raise Unavailable(f"OpenVINO sees no device {device!r} here; it sees {', '.join(core.available_devices)}")
        half = precision == "FP16"
        settings: dict[str, Any] = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "f16" if half else "f32",
        }
        if device == "cpu":
            settings.update({"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1})
        compiled = core.compile_model(core.read_model(path), device.upper(), settings)
        return OpenVinoSession(compiled, shape, openvino.__version__.split("-")[0])


RUNTIME = OpenVino()
