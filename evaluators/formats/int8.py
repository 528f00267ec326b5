"""The INT8 form of ONNX files, by ONNX Runtime's static quantisation."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from search_spaces import InputError
from search_spaces.graph import check_image_size

from ..latency.agent.machine import SIGNED, UNSIGNED_REDUCED
from ..runtimes.onnxruntime import load as onnxruntime_package
from .onnx import ImageSize

# What runtimes have INT8 kernels for.
QUANTISED = ("Conv", "MaxPool", "AveragePool", "Concat", "Resize", "Mul", "Sigmoid", "Add", "Split")


def quantise_onnx(path: Path, images: np.ndarray, activations: str) -> None:
    """Replace an FP32 ONNX file by its INT8 form: ONNX Runtime's static quantisation, QDQ, weights per channel.

    The box and score arithmetic behind the last convolutions stays FP32, as it does in practice: eight bits are too few
    for pixel coordinates.

    Args:
        images: (n, 3, height, width) float32 from 0 to 1, of the model's own size.
        activations: their form, of `agent.ACTIVATIONS`; the file's metadata keeps it.
    """
    import onnx

    onnxruntime_package()
    from onnxruntime import quantization

    class Images(quantization.CalibrationDataReader):
        def __init__(self) -> None:
            self.rest = iter(images)

        def get_next(self) -> dict[str, np.ndarray] | None:
            image = next(self.rest, None)
            return None if image is None else {"images": image[None]}

    metadata = onnx.load(path).metadata_props
    with tempfile.TemporaryDirectory() as scratch:
        prepared, quantised = os.path.join(scratch, "prepared.onnx"), os.path.join(scratch, "int8.onnx")
        quantization.quant_pre_process(str(path), prepared, skip_symbolic_shape=True)
        graph = onnx.load(prepared).graph
        plain = {node.name for node in graph.node if node.op_type not in QUANTISED}
        quantization.quantize_static(
            prepared,
            quantised,
            Images(),
            quant_format=quantization.QuantFormat.QDQ,
            per_channel=True,
            activation_type=quantization.QuantType.QInt8 if activations == SIGNED else quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            reduce_range=activations == UNSIGNED_REDUCED,
            nodes_to_exclude=sorted(plain.union(_behind_the_convolutions(graph))),
        )
        document = onnx.load(quantised)
    del document.metadata_props[:]
    document.metadata_props.extend(metadata)
    document.metadata_props.add(key="activations", value=activations)
    onnx.save(document, path)


def _behind_the_convolutions(graph: Any) -> list[str]:
    """Names of the nodes that no convolution with learnt weights follows."""
    feeds: dict[str, list[Any]] = {}  # tensor -> nodes that read it
    for node in graph.node:
        for name in node.input:
            feeds.setdefault(name, []).append(node)
    before: set[str] = set()
    for node in reversed(graph.node):
        following = [n for output in node.output for n in feeds.get(output, ())]
        if any(n.name in before or n.op_type == "Conv" for n in following):
            before.add(node.name)
    return [node.name for node in graph.node if node.name not in before and node.op_type != "Conv"]


def resized(images: np.ndarray | None, image_size: ImageSize) -> np.ndarray:
    """(n, 3, h, w) images at `image_size` pixels, by bilinear interpolation; InputError when there are none."""
    if images is None or not len(images):
        raise InputError("INT8 needs calibration images; --data names a dataset to take them from")
    size = check_image_size(image_size)
    return torch.nn.functional.interpolate(torch.from_numpy(images), size, mode="bilinear").numpy()
