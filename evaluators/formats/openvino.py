"""OpenVINO's own files of detection models, converted from ONNX."""

from __future__ import annotations

from pathlib import Path

from search_spaces import InputError

from ..runtimes.openvino import load as openvino_package
from ..runtimes.runtime import Unavailable


def convert_to_openvino(onnx: Path, path: Path) -> Path:
    """OpenVINO's .xml and .bin from an ONNX file, in the precision that this has.

    Raises:
        InputError: OpenVINO is not installed, or cannot convert the file.
    """
    try:
        openvino = openvino_package()
    except Unavailable as error:
        raise InputError(str(error)) from None
    try:
        openvino.save_model(openvino.Core().read_model(str(onnx)), str(path), compress_to_fp16=False)
    except Exception as error:  # it raises whatever its front ends do
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise InputError(f"OpenVINO cannot convert {onnx.name} ({reason})") from None
    return path
