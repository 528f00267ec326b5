"""The INT8 forms of ONNX files, by ONNX Runtime's static and dynamic quantisation; some nodes may stay FP32."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from search_spaces import InputError
from search_spaces.graph import check_image_size

from ..latency.agent.machine import SIGNED, UNSIGNED_REDUCED
from ..runtimes.onnxruntime import load as onnxruntime_package
from .onnx import ImageSize
from .onnx_layers import decoding

if TYPE_CHECKING:
    from onnx import ModelProto

# What runtimes have INT8 kernels for.
QUANTISED = ("Conv", "MaxPool", "AveragePool", "Concat", "Resize", "Mul", "Sigmoid", "Add", "Split")
FP32 = "/fp32"  # behind the names of weights that stay so


def quantise_onnx(path: Path, images: np.ndarray, activations: str) -> None:
    """Replace an FP32 ONNX file by its INT8 form, see `calibrate`."""
    import onnx

    onnx.save(calibrate(path, images, activations).mixed(), path)


@dataclass(frozen=True)
class Calibrated:
    """A network in FP32 and in INT8, node by node: files in which some nodes stay FP32 are put together without another calibration.

    Attributes:
        plain, quantised: the two files; nodes have the same names in both, and what they give.
        nodes: names of those that are quantised.
    """

    plain: ModelProto
    quantised: ModelProto
    nodes: frozenset[str]

    def mixed(self, fp32: Collection[str] = ()) -> ModelProto:
        """The file in which the nodes of these names stay FP32, with their weights.

        A tensor is rounded to eight bits where an INT8 node gives or reads it, and then for all that read it from an INT8 node:
        the runtime would not compute that in integers if one of them read it in FP32.
        """
        import onnx

        document = onnx.ModelProto()
        document.CopyFrom(self.quantised)
        if not fp32:
            return document
        integer = self.nodes - set(fp32)
        given_by = {name: node.name for node in self.plain.graph.node for name in node.output}
        inputs = {node.name: node.input for node in self.plain.graph.node}
        weights = {each.name for each in self.plain.graph.initializer}
        for node in document.graph.node:
            for position, name in enumerate(inputs.get(node.name, ()) if node.name not in integer else ()):
                if name in weights:
                    node.input[position] = name + FP32  # what gives the INT8 form of a bias has its name
                elif given_by.get(name) not in integer:
                    node.input[position] = name
        for each in self.plain.graph.initializer:
            document.graph.initializer.add().CopyFrom(each)
            document.graph.initializer[-1].name += FP32
        _drop_unused(document)
        return document


def calibrate(path: Path, images: np.ndarray, activations: str) -> Calibrated:
    """ONNX Runtime's static quantisation of an FP32 file: QDQ, weights per channel, activations by their least and largest values.

    The box and score arithmetic behind the last convolutions stays FP32, as it does in practice: eight bits are too few
    for pixel coordinates.

    Args:
        images: (n, 3, height, width) float32 from 0 to 1, of the model's own size.
        activations: their form, of `agent.ACTIVATIONS`; the file's metadata keeps it.
    """
    onnxruntime_package()
    from onnxruntime import quantization

    class Images(quantization.CalibrationDataReader):
        def __init__(self) -> None:
            self.rest = iter(images)

        def get_next(self) -> dict[str, np.ndarray] | None:
            image = next(self.rest, None)
            return None if image is None else {"images": image[None]}

    def quantise(plain: ModelProto, source: str, target: str) -> None:
        quantization.quantize_static(
            source,
            target,
            Images(),
            quant_format=quantization.QuantFormat.QDQ,
            per_channel=True,
            activation_type=quantization.QuantType.QInt8 if activations == SIGNED else quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            reduce_range=activations == UNSIGNED_REDUCED,
            nodes_to_exclude=sorted({node.name for node in plain.graph.node} - _in_integers(plain)),
        )

    plain, quantised = _both_forms(path, quantise)
    quantised.metadata_props.add(key="activations", value=activations)
    return Calibrated(plain, quantised, frozenset(_in_integers(plain)))


def _in_integers(plain: ModelProto) -> set[str]:
    """Names of the nodes that static quantisation takes."""
    return {node.name for node in plain.graph.node if node.op_type in QUANTISED} - decoding(plain.graph)


def quantise_dynamically(path: Path) -> None:
    """Replace an FP32 ONNX file by one whose convolutions are in INT8 (ConvInteger) without calibration, by ONNX Runtime's dynamic
    quantisation: the range of what they read is taken from every image anew, and what they give is FP32.

    Weights are per layer, and unsigned: its kernel for processors knows no others. The decoding stays FP32.
    """
    import onnx

    onnxruntime_package()
    from onnxruntime import quantization

    def quantise(plain: ModelProto, source: str, target: str) -> None:
        quantization.quantize_dynamic(
            source,
            target,
            op_types_to_quantize=["Conv"],
            weight_type=quantization.QuantType.QUInt8,
            nodes_to_exclude=sorted(decoding(plain.graph)),
        )

    onnx.save(_both_forms(path, quantise)[1], path)


def _both_forms(path: Path, quantise: Callable[[ModelProto, str, str], None]) -> tuple[ModelProto, ModelProto]:
    """The network of a file, its constants folded, and what `quantise` makes of it (network, its file, file to write), with the
    metadata of the file."""
    import onnx
    from onnxruntime import quantization

    with tempfile.TemporaryDirectory() as scratch:
        source, target = os.path.join(scratch, "prepared.onnx"), os.path.join(scratch, "int8.onnx")
        quantization.quant_pre_process(str(path), source, skip_symbolic_shape=True)
        plain = onnx.load(source)
        quantise(plain, source, target)
        quantised = onnx.load(target)
    del quantised.metadata_props[:]
    quantised.metadata_props.extend(onnx.load(path).metadata_props)
    return plain, quantised


def _drop_unused(document: ModelProto) -> None:
    """Take out the nodes and weights that nothing reads."""
    graph = document.graph
    read = {each.name for each in graph.output}
    nodes = []
    for node in reversed(graph.node):
        if read.intersection(node.output):
            read.update(node.input)
            nodes.append(node)
    weights = [each for each in graph.initializer if each.name in read]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(reversed(nodes))
    graph.initializer.extend(weights)


def resized(images: np.ndarray | None, image_size: ImageSize) -> np.ndarray:
    """(n, 3, h, w) images at `image_size` pixels, by bilinear interpolation; InputError when there are none."""
    if images is None or not len(images):
        raise InputError("INT8 needs calibration images; --data names a dataset to take them from")
    size = check_image_size(image_size)
    return torch.nn.functional.interpolate(torch.from_numpy(images), size, mode="bilinear").numpy()
