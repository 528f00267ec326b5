"""Files that runtimes read: ONNX, ncnn and TorchScript, and their INT8 forms."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from search_spaces import InputError
from search_spaces.graph import check_image_size

from .onnx import export_onnx, inference_copy

FORMATS = {"onnx": ".onnx", "ncnn": ".param", "torchscript": ".torchscript"}


def export(model, kinds: Sequence[str], folder: Path, name: str, image_size, precision="FP32", images=None) -> dict:
    """Write `model` in every format of `kinds` under `folder`: kind -> file name.

    Args:
        precision: INT8 quantises the ONNX file statically, and no other; else it is a setting of the runtime.
        images: (n, 3, height, width) float32 from 0 to 1, to calibrate INT8 with, of any size.

    Raises:
        InputError: a converter is not installed or fails, or INT8 has no images.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = {kind: folder / f"{name}{FORMATS[kind]}" for kind in kinds}
    if "torchscript" in kinds:
        export_torchscript(model, paths["torchscript"], image_size)
    if "onnx" in kinds or "ncnn" in kinds:
        onnx = export_onnx(model, folder / f"{name}.onnx", image_size)
        if "ncnn" in kinds:
            convert_to_ncnn(onnx, paths["ncnn"], image_size)
        if "onnx" not in kinds:
            onnx.unlink()
        elif precision == "INT8":
            quantise_onnx(onnx, resized(images, image_size))
    return {kind: path.name for kind, path in paths.items()}


def resized(images: np.ndarray | None, image_size) -> np.ndarray:
    """(n, 3, h, w) images at `image_size` pixels, by bilinear interpolation; InputError when there are none."""
    if images is None or not len(images):
        raise InputError("INT8 needs calibration images; --data names a dataset to take them from")
    size = check_image_size(image_size)
    return torch.nn.functional.interpolate(torch.from_numpy(images), size, mode="bilinear").numpy()


def export_torchscript(model, path: Path, image_size) -> Path:
    """The fused network, traced for one image of `image_size` pixels."""
    prepared = inference_copy(model)
    image = torch.zeros(1, 3, *check_image_size(image_size))
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        prepared(image)
        torch.jit.trace(prepared, image, check_trace=False).save(str(path))
    return path


def convert_to_ncnn(onnx: Path, path: Path, image_size) -> Path:
    """ncnn's .param and .bin from an ONNX file, by pnnx; weights stay FP32, half precision is a setting of the runtime."""
    name = "pnnx.exe" if sys.platform == "win32" else "pnnx"
    beside = Path(sysconfig.get_path("scripts")) / name
    program = str(beside) if beside.exists() else shutil.which("pnnx")
    if program is None:
        raise InputError("ncnn's files are made by pnnx, which is not installed; `pip install pnnx` brings it")
    height, width = check_image_size(image_size)
    with tempfile.TemporaryDirectory() as scratch:  # pnnx leaves a dozen files beside its input
        source = shutil.copyfile(onnx, Path(scratch) / "model.onnx")
        command = [program, str(source), f"inputshape=[1,3,{height},{width}]f32", "fp16=0"]
        done = subprocess.run(command, cwd=scratch, capture_output=True, text=True, errors="replace")
        made = Path(scratch) / "model.ncnn.param"
        if done.returncode or not made.exists():
            last = (done.stderr or done.stdout).strip().splitlines()[-1:] or ["no output"]
            raise InputError(f"pnnx cannot convert {onnx.name} (status {done.returncode}: {last[0]})")
        shutil.move(made, path)
        shutil.move(made.with_suffix(".bin"), path.with_suffix(".bin"))
    return path


# What runtimes have INT8 kernels for.
QUANTISED = ("Conv", "MaxPool", "AveragePool", "Concat", "Resize", "Mul", "Sigmoid", "Add", "Split")


def quantise_onnx(path: Path, images: np.ndarray) -> None:
    """Replace an FP32 ONNX file by its INT8 form: ONNX Runtime's static quantisation, QDQ, weights per channel.

    The box and score arithmetic behind the last convolutions stays FP32, as it does in practice: eight bits are too few
    for pixel coordinates.

    Args:
        images: (n, 3, height, width) float32 from 0 to 1, of the model's own size.
    """
    import onnx
    from onnxruntime import quantization

    class Images(quantization.CalibrationDataReader):
        def __init__(self):
            self.rest = iter(images)

        def get_next(self):
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
            nodes_to_exclude=sorted(plain.union(_behind_the_convolutions(graph))),
        )
        document = onnx.load(quantised)
    del document.metadata_props[:]
    document.metadata_props.extend(metadata)
    onnx.save(document, path)


def _behind_the_convolutions(graph) -> list[str]:
    """Names of the nodes that no convolution with learnt weights follows."""
    feeds = {}  # tensor -> nodes that read it
    for node in graph.node:
        for name in node.input:
            feeds.setdefault(name, []).append(node)
    before = set()
    for node in reversed(graph.node):
        following = [n for output in node.output for n in feeds.get(output, ())]
        if any(n.name in before or n.op_type == "Conv" for n in following):
            before.add(node.name)
    return [node.name for node in graph.node if node.name not in before and node.op_type != "Conv"]
