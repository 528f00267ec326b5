"""TorchScript files of detection models: what PyTorch runs without their Python code."""

from __future__ import annotations

import warnings
from pathlib import Path

import torch
from torch import nn

from search_spaces.graph import check_image_size

from .onnx import ImageSize, inference_copy


def export_torchscript(model: nn.Module, path: Path, image_size: ImageSize) -> Path:
    """The fused network, traced for one image of `image_size` pixels."""
    prepared = inference_copy(model)
    image = torch.zeros(1, 3, *check_image_size(image_size))
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        prepared(image)
        torch.jit.trace(prepared, image, check_trace=False).save(str(path))
    return path
