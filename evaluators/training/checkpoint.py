"""Checkpoints as Ultralytics' trainer writes them: read, and written without a training."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from search_spaces import Architecture, InputError, SearchSpace
from search_spaces.families import families
from search_spaces.models import architecture_of
from search_spaces.writing import replacing

from .unpickling import read_pickle


def load_checkpoint(path: str | Path, *, trust: bool = False) -> nn.Module:
    """The network in a checkpoint, in FP32 on the CPU, in evaluation mode.

    Nothing in the file is run: it may hold networks made of Ultralytics', PyTorch's and this package's modules, and no others.

    Args:
        trust: load whatever the file holds, as a pickle that may run any code.

    Raises:
        InputError: no such file, not a checkpoint, not of a detection model, or of classes that are loaded only on trust.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    content = read_pickle(path, trust=trust)
    model: Any = (content.get("ema") or content.get("model")) if isinstance(content, Mapping) else content
    if not any(family.is_network(model) for family in families().values()):
        raise InputError(f"{path}: holds a {type(model).__name__}, not a detection model")
    try:
        model = model.float().eval()
        whole = len(model.model) > 0 and model.names and all(map(str, model.names.values()))
    except Exception as error:  # attributes are whatever the file says
        raise InputError(f"{path}: holds a damaged {type(model).__name__} ({type(error).__name__})") from None
    if not whole:
        raise InputError(f"{path}: holds a {type(model).__name__} without layers or without names of classes")
    return model


def save_checkpoint(path: str | Path, network: nn.Module, image_size: int) -> None:
    """Write a network, which is left in FP16, as Ultralytics' trainer leaves its checkpoints: there whole or not at all."""
    with replacing(Path(path)) as file:
        torch.save({"model": network.half(), "epoch": -1, "train_args": {"imgsz": image_size}}, file)


def checkpoint_architecture(path: str | Path, space: SearchSpace | None = None, *, trust: bool = False) -> Architecture:
    """The architecture of a checkpoint; InputError when it was not made by evoyolo."""
    return architecture_of(load_checkpoint(path, trust=trust), space, f"{path}: this model")
