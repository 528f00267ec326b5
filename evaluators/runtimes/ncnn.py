"""ncnn: its own .param and .bin files on CPUs, most of them small boards."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from .runtime import Runtime, Session, Unavailable, fixed_image


class NcnnSession(Session):
    """An ncnn network whose input is in0 and whose output is out0, as pnnx names them."""

    def __init__(self, net: Any, matrix: Any, shape: Sequence[int], version: str) -> None:
        self.version = version
        self._net, self._matrix = net, matrix
        self._data = fixed_image(shape)[0]  # kept, since a matrix only points to its values
        self._image = matrix(self._data)

    def _extract(self, image: Any) -> np.ndarray:
        extractor = self._net.create_extractor()
        extractor.input("in0", image)
        status, output = extractor.extract("out0")
        if status:
            raise RuntimeError(f"ncnn ended with status {status}")
        return np.array(output)

    def run(self) -> None:
        self._extract(self._image)

    def infer(self, image: np.ndarray) -> np.ndarray:
        data = np.ascontiguousarray(image[0])
        return self._extract(self._matrix(data))[None]


class Ncnn(Runtime):
    """ncnn; FP16 is a setting of the runtime, the file's weights stay FP32."""

    name = "ncnn"
    kind = "ncnn"
    suffix = ".param"
    packages = ("ncnn",)
    devices = ("cpu",)
    precisions = ("FP32", "FP16")

    def open(self, path: str, shape: Sequence[int], threads: int, device: str, precision: str) -> NcnnSession:
        try:
            import ncnn
        except ImportError:
            raise Unavailable("ncnn is not installed; `pip install ncnn` brings it") from None
        net = ncnn.Net()
        half = precision == "FP16"
        net.opt.num_threads = threads
        net.opt.use_vulkan_compute = False
        net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = half
        net.opt.use_bf16_storage = False
        weights = path[: -len(self.suffix)] + ".bin"
        if net.load_param(path) or net.load_model(weights):
            raise RuntimeError(f"ncnn cannot load {os.path.basename(path)}")
        return NcnnSession(net, ncnn.Mat, shape, ncnn.__version__)


RUNTIME = Ncnn()
