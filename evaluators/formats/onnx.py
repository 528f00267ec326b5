"""ONNX files of detection models, in the form that Ultralytics writes and reads."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from search_spaces import InputError
from search_spaces.graph import check_image_size

from ..runtimes.onnxruntime import load as onnxruntime_package

OPSET = 17
ImageSize = int | Sequence[int]  # an edge in pixels, or (height, width)


def inference_copy(model: nn.Module) -> Any:
    """A fused copy whose head gives decoded boxes and class scores, (1, 4 + classes, anchors)."""
    copy: Any = deepcopy(model).float().cpu().eval()
    copy.fuse(verbose=False)
    head = copy.model[-1]
    head.export, head.format, head.dynamic = True, "onnx", False
    for module in copy.modules():
        if hasattr(module, "forward_split") and hasattr(module, "c"):
            module.forward = module.forward_split  # as Ultralytics exports C2f: one Split instead of slices
    return copy


def export_onnx(model: nn.Module, path: str | Path, image_size: ImageSize) -> Path:
    """Write `model` for one image of `image_size` pixels (an edge or (height, width)); the model is left as it is.

    Input "images" (1, 3, height, width), RGB from 0 to 1; output "output0" (1, 4 + classes, anchors): boxes as centre
    and size in pixels, then class scores. The metadata lets ``YOLO("model.onnx")`` use the file.
    """
    import onnx

    height, width = check_image_size(image_size)
    path = Path(path)
    prepared = inference_copy(model)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # of tracing constants, which is what a fixed size asks for
        image = torch.zeros(1, 3, height, width)
        prepared(image)  # anchors for this size
        torch.onnx.export(
            prepared,
            (image,),
            str(path),
            opset_version=OPSET,
            input_names=["images"],
            output_names=["output0"],
            dynamo=False,  # the other exporter needs one more package and several times as long
        )
    document = onnx.load(path)
    metadata = {
        "description": "evoyolo",
        "task": "detect",
        "stride": int(max(prepared.stride)),
        "batch": 1,
        "imgsz": [height, width],
        "names": dict(prepared.names),
        "end2end": False,
        "channels": 3,
    }
    for name, value in metadata.items():
        entry = document.metadata_props.add()
        entry.key, entry.value = name, str(value)
    onnx.save(document, path)
    return path


@dataclass(frozen=True)
class OnnxFacts:
    """What an ONNX file says of itself: class names in order, the (height, width) in pixels it was written for, and the form of its
    activations in INT8."""

    names: tuple[str, ...] | None
    image_size: tuple[int, int] | None
    activations: str | None = None


def onnx_facts(path: str | Path) -> OnnxFacts:
    """Read a file's metadata, as `export_onnx` and Ultralytics write it; what is not there is None.

    Raises:
        InputError: not an ONNX file, or metadata of another form.
    """
    import onnx

    try:
        document = onnx.load(path, load_external_data=False)
    except Exception as error:  # protobuf has several ways of refusing a file
        raise InputError(f"{path}: not an ONNX file ({type(error).__name__})") from None
    metadata = {entry.key: entry.value for entry in document.metadata_props}
    try:
        names = ast.literal_eval(metadata["names"]) if "names" in metadata else None
        size = ast.literal_eval(metadata["imgsz"]) if "imgsz" in metadata else None
        return OnnxFacts(
            tuple(str(names[i]) for i in range(len(names))) if names else None,
            check_image_size(size) if size else None,
            metadata.get("activations"),
        )
    except (ValueError, SyntaxError, KeyError, TypeError):
        raise InputError(
            f"{path}: metadata names {metadata.get('names')!r} and imgsz {metadata.get('imgsz')!r} must be a dict of "
            "class names by number and [height, width]"
        ) from None


def stirred(model: nn.Module, seed: int = 0) -> nn.Module:
    """A copy whose outputs depend on all of it, for comparing an export of a network that was never trained.

    Fresh networks give nearly constant boxes and scores near zero, whatever their weights, so that no difference would
    be seen. Here the normalisation has the statistics of its own activations and the head's last weights are large.
    """
    copy: Any = deepcopy(model).float().cpu()
    generator = torch.Generator().manual_seed(seed)
    normalisations = [m for m in copy.modules() if isinstance(m, nn.BatchNorm2d)]
    for module in normalisations:
        module.reset_running_stats()
        module.momentum = None  # the plain average over what follows
    copy.train()
    with torch.no_grad():
        for _ in range(2):
            copy(torch.rand(4, 3, 128, 128, generator=generator))
        head = copy.model[-1]
        for branch in (*head.cv2, *head.cv3):
            branch[-1].weight.normal_(0, 2 / branch[-1].in_channels ** 0.5, generator=generator)
            branch[-1].bias.zero_()
    return copy.eval()


def onnx_difference(model: nn.Module, path: str | Path, image_size: ImageSize, seed: int = 0) -> float:
    """Largest difference between the file's outputs in ONNX Runtime and the model's in PyTorch, on a random image.

    Boxes, which are in pixels, are divided by the larger side of the image; class scores are taken as they are.
    """
    onnxruntime = onnxruntime_package()
    height, width = check_image_size(image_size)
    image = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        expected = deepcopy(model).float().cpu().eval()(image)[0].numpy()
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    difference = np.abs(session.run(None, {"images": image.numpy()})[0] - expected)
    difference[:, :4] /= max(height, width)
    return float(difference.max())
