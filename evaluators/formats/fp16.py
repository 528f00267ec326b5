"""The FP16 form of ONNX files."""

from __future__ import annotations

from pathlib import Path

from ..runtimes.onnxruntime import load as onnxruntime_package
from .onnx_layers import decoding


def halve_onnx(path: Path) -> None:
    """Replace an FP32 ONNX file by one that holds and computes in FP16; what it takes and gives stays FP32.

    So does the decoding behind the last convolutions: from 512 pixels on FP16 knows only every half one. A runtime without
    kernels for FP16 (ONNX Runtime on x86 processors) computes in FP32 what the file holds in FP16.
    """
    import onnx

    onnxruntime_package()
    from onnxruntime.quantization.onnx_model import ONNXModel
    from onnxruntime.transformers.float16 import convert_float_to_float16

    document = onnx.load(path)
    halved = ONNXModel(
        convert_float_to_float16(document, keep_io_types=True, node_block_list=sorted(decoding(document.graph)))
    )
    halved.topological_sort()  # the casts were put last
    onnx.save(halved.model, path)
