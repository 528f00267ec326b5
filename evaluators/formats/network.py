"""What the network in a file does, whoever made the file: an ONNX file is read, a checkpoint is exported first."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from search_spaces import InputError

from ..training.checkpoint import load_checkpoint
from .onnx import ImageSize, export_onnx
from .onnx_operators import OnnxNetwork, read_network


def network_in(path: str | Path, image_size: ImageSize | None = None, *, trust: bool = False) -> OnnxNetwork:
    """The operators of the network in a .onnx or a .pt.

    Args:
        image_size: of a checkpoint, in pixels, an edge or (height, width); None is `trained_at`. An ONNX file has its own.
        trust: as that of `load_checkpoint`.

    Raises:
        InputError: no such file, another kind of file, one that cannot be read, or an image size that is missing or wrong.
    """
    path = Path(path)
    if path.suffix not in (".onnx", ".pt"):
        raise InputError(f"{path}: must be a .onnx or a .pt")
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    if path.suffix == ".onnx":
        return read_network(path)
    model = load_checkpoint(path, trust=trust)
    size = image_size if image_size is not None else trained_at(model)
    if size is None:
        raise InputError(f"{path}: does not say at which image size it was trained; give --image-size")
    with tempfile.TemporaryDirectory(prefix="evoyolo-network-") as folder:
        return read_network(export_onnx(model, Path(folder) / "model.onnx", size))


def trained_at(model: nn.Module) -> int | None:
    """The image size in pixels that a network was made for, where it says it: ours in its architecture, others in the settings
    that Ultralytics' trainer left."""
    content: Any = getattr(model, "yaml", None)
    architecture = content.get("architecture") if isinstance(content, Mapping) else None
    settings: Any = getattr(model, "args", None)
    settings = settings if isinstance(settings, Mapping) else getattr(settings, "__dict__", None)
    for place, name in ((architecture, "image_size"), (settings, "imgsz")):
        size = place.get(name) if isinstance(place, Mapping) else None
        if isinstance(size, int) and not isinstance(size, bool):
            return size
    return None
