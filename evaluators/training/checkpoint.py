"""Reading the checkpoints that Ultralytics' trainer writes."""

from __future__ import annotations

from pathlib import Path

from torch import nn
from ultralytics.utils.patches import torch_load

from search_spaces import Architecture, InputError, SearchSpace
from search_spaces.families import families
from search_spaces.models import architecture_of


def load_checkpoint(path: str | Path) -> nn.Module:
    """The network in a checkpoint, in FP32 on the CPU, in evaluation mode.

    A checkpoint is a pickle: load only what you trust.

    Raises:
        InputError: no such file, not a checkpoint, or not of a detection model.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        content = torch_load(path, map_location="cpu")
        model = content.get("ema") or content["model"]
    except Exception as error:  # torch, pickle and zip each have their own way of refusing a file
        raise InputError(f"{path}: not a checkpoint that Ultralytics wrote ({type(error).__name__})") from None
    if not any(family.is_network(model) for family in families().values()):
        raise InputError(f"{path}: holds a {type(model).__name__}, not a detection model")
    return model.float().eval()


def checkpoint_architecture(path: str | Path, space: SearchSpace | None = None) -> Architecture:
    """The architecture of a checkpoint; InputError when it was not made by evoyolo."""
    model = load_checkpoint(path)
    try:
        return architecture_of(model, space)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
