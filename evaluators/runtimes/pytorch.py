"""PyTorch: TorchScript files on CPUs and NVIDIA's GPUs."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from .runtime import Runtime, Session, Unavailable, fixed_image


class PyTorchSession(Session):
    """A frozen TorchScript module; on CUDA timed by the device's own clock."""

    def __init__(self, model: Any, shape: Sequence[int], device: str, precision: str, torch: Any) -> None:
        self.version = torch.__version__
        self._model, self._torch, self._device = model, torch, device
        self._type = torch.float16 if precision == "FP16" else torch.float32
        self._image = self._tensor(fixed_image(shape))
        if device == "cuda":
            self._begin, self._end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            self.timer = self._time_on_device

    def _tensor(self, image: np.ndarray) -> Any:
        return self._torch.from_numpy(image).to(self._device, self._type)

    def _forward(self, image: Any) -> Any:
        with self._torch.inference_mode():
            return self._model(image)

    def run(self) -> None:
        self._forward(self._image)

    def infer(self, image: np.ndarray) -> np.ndarray:
        return self._forward(self._tensor(image)).float().cpu().numpy()

    def _time_on_device(self) -> float:
        """Milliseconds that a run took on the device, not what it took to ask for it."""
        self._begin.record()
        self.run()
        self._end.record()
        self._end.synchronize()
        return self._begin.elapsed_time(self._end)


class PyTorch(Runtime):
    """PyTorch with TorchScript."""

    name = "pytorch"
    kind = "torchscript"
    suffix = ".torchscript"
    packages = ("torch",)
    devices = ("cpu", "cuda")
    precisions = ("FP32", "FP16")
    executes_files = True  # TorchScript

    def open(self, path: str, shape: Sequence[int], threads: int, device: str, precision: str) -> PyTorchSession:
        try:
            import torch
        except ImportError:
            raise Unavailable("PyTorch is not installed; `pip install torch` brings it") from None
        if device == "cuda" and not torch.cuda.is_available():
            raise Unavailable(f"PyTorch {torch.__version__} sees no CUDA device")
        torch.set_num_threads(threads)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # TorchScript is on its way out, and what every PyTorch of these years runs
            model = torch.jit.load(path, map_location=device).eval()
            model = model.to(torch.float16 if precision == "FP16" else torch.float32)
            model = torch.jit.freeze(model)  # now, since frozen weights stay in the precision they have
        return PyTorchSession(model, shape, device, precision, torch)


RUNTIME = PyTorch()
