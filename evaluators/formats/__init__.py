"""Files that runtimes read, written from networks: one module per format, and `export` for several at once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from torch import nn

from ..latency.agent import suiting_activations
from .int8 import quantise_onnx, resized
from .ncnn import convert_to_ncnn
from .onnx import ImageSize, export_onnx
from .openvino import convert_to_openvino
from .torchscript import export_torchscript

__all__ = ["FORMATS", "export"]

# How their files end; two of them have their weights in a .bin beside it, and may be written into one folder.
FORMATS = {"onnx": ".onnx", "openvino": ".openvino.xml", "ncnn": ".param", "torchscript": ".torchscript"}


def export(
    model: nn.Module,
    kinds: Sequence[str],
    folder: Path,
    name: str,
    image_size: ImageSize,
    precision: str = "FP32",
    images: np.ndarray | None = None,
    activations: str | None = None,
) -> dict[str, str]:
    """Write `model` in every format of `kinds` under `folder`: kind -> file name.

    Args:
        precision: INT8 quantises the ONNX file statically, and OpenVINO's with it; else it is a setting of the runtime.
        images: (n, 3, height, width) float32 from 0 to 1, to calibrate INT8 with, of any size.
        activations: the form of INT8; None is what suits this machine's processor.

    Raises:
        InputError: a converter is not installed or fails, or INT8 has no images.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = {kind: folder / f"{name}{FORMATS[kind]}" for kind in kinds}
    if "torchscript" in kinds:
        export_torchscript(model, paths["torchscript"], image_size)
    if set(kinds) - {"torchscript"}:  # all else is made from ONNX
        onnx = export_onnx(model, folder / f"{name}.onnx", image_size)
        if "ncnn" in kinds:
            convert_to_ncnn(onnx, paths["ncnn"], image_size)
        if precision == "INT8" and ("onnx" in kinds or "openvino" in kinds):
            quantise_onnx(onnx, resized(images, image_size), activations or suiting_activations())
        if "openvino" in kinds:
            convert_to_openvino(onnx, paths["openvino"])
        if "onnx" not in kinds:
            onnx.unlink()
    return {kind: path.name for kind, path in paths.items()}
