"""ONNX Runtime: ONNX files on CPUs, and on NVIDIA's GPUs by CUDA or TensorRT."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .runtime import Runtime, Session, Unavailable, fixed_image
from .silence import silence_onnxruntime


def load() -> Any:
    """The package `onnxruntime`, silenced. Raises Unavailable where it is not installed."""
    try:
        import onnxruntime
    except ImportError:
        raise Unavailable("ONNX Runtime is not installed; `pip install onnxruntime` brings it") from None
    silence_onnxruntime(onnxruntime)
    return onnxruntime


class OnnxRuntimeSession(Session):
    """An ONNX Runtime inference session with one input and one output."""

    def __init__(self, session: Any, shape: Sequence[int], version: str) -> None:
        self.version = version
        self._session = session
        self._input = session.get_inputs()[0].name
        self._feed = {self._input: fixed_image(shape)}

    def run(self) -> None:
        self._session.run(None, self._feed)

    def infer(self, image: np.ndarray) -> np.ndarray:
        return self._session.run(None, {self._input: image})[0]


class OnnxRuntime(Runtime):
    """ONNX Runtime; INT8 is in the file, FP16 is a setting of TensorRT alone."""

    name = "onnxruntime"
    kind = "onnx"
    suffix = ".onnx"
    packages = ("onnxruntime", "onnxruntime-gpu")
    devices = ("cpu", "cuda", "tensorrt")
    precisions = ("FP32", "FP16", "INT8")

    def check(self, device: str, precision: str) -> None:
        super().check(device, precision)
        if precision == "FP16" and device != "tensorrt":
            raise Unavailable(f"onnxruntime runs these models in FP16 on tensorrt only, not on {device}")

    def open(self, path: str, shape: Sequence[int], threads: int, device: str, precision: str) -> OnnxRuntimeSession:
        onnxruntime = load()
        provider = {"cpu": "CPU", "cuda": "CUDA", "tensorrt": "Tensorrt"}[device] + "ExecutionProvider"
        if provider not in onnxruntime.get_available_providers():
            there = ", ".join(onnxruntime.get_available_providers())
            raise Unavailable(
                f"ONNX Runtime {onnxruntime.__version__} has no provider for {device!r} here (it has {there}); "
                "`pip install onnxruntime-gpu` brings CUDA and TensorRT where NVIDIA's libraries are installed"
            )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.log_severity_level = 3
        # Threads wait actively inside a run, as by default, but not between runs: those of the reference model would
        # take the cores of the one that is measured.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        settings: dict[str, bool] = {}
        if device == "tensorrt":
            settings = {"trt_fp16_enable": precision == "FP16", "trt_int8_enable": precision == "INT8"}
        session = onnxruntime.InferenceSession(path, options, providers=[(provider, settings)])
        if session.get_providers()[0] != provider:  # it falls back to the CPU by itself
            raise Unavailable(f"ONNX Runtime could not start {provider} (it would run on the CPU)")
        return OnnxRuntimeSession(session, shape, onnxruntime.__version__)


RUNTIME = OnnxRuntime()
