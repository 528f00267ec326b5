"""Checkpoints read without running anything that is in them: only classes of networks are known, and none is constructed.

A checkpoint is a pickle, which may name any function to be called. PyTorch's own restricted reader calls only those on a list;
but the constructor of a class on the list would be called with whatever the file says (Ultralytics' model evaluates a text of
its model file as Python). So the list has hollow stand-ins for the classes: made without the constructor, filled with the
attributes that the file holds, as an honest pickle of a module does it, and good for nothing else.
"""

from __future__ import annotations

import functools
import pickle
import re
import threading
import warnings
import zipfile
from importlib import import_module
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import torch
from torch import nn
from ultralytics.utils import IterableSimpleNamespace
from ultralytics.utils.patches import torch_load

from search_spaces import InputError

# Where the classes of networks live: these modules and those in them, so that a new block needs no entry.
HOMES = ("torch.nn.modules", "ultralytics.nn.modules", "search_spaces.blocks", "search_spaces.families")
NETWORKS = ("ultralytics.nn.tasks.DetectionModel", "search_spaces.build.SearchedModel")
OTHER_TASKS = re.compile(r"ultralytics\.nn\.tasks\.((?:Segmentation|Semantic|Depth|Classification|Pose|OBB)\w*Model)")
LOSSES = re.compile(r"ultralytics\.(yolo\.)?utils\.(loss|tal)")  # modules of what only a training needs, and makes anew
LISTED = threading.Lock()  # held while PyTorch has our entries on its list


class _LeftOut:
    """Stands for a training's loss, which is in a checkpoint that was not stripped; it is empty, and networks come without it."""

    def __setstate__(self, state: Any) -> None:
        pass


class _NumberType:
    """Stands for `numpy.dtype`, whose own state may say anything of the memory that it describes."""

    def __init__(self, code: str, *_: object) -> None:
        self.code, self.order = code, "="

    def __setstate__(self, state: Any) -> None:
        self.order = state[1]


def _number(kind: _NumberType, data: bytes) -> Any:
    """Stands for the function that makes NumPy's scalars; gives a plain number."""
    text = f"{kind.order}{kind.code}"
    if not re.fullmatch(r"[<>=|][fiub]\d", text):
        raise pickle.UnpicklingError(f"{text!r} is no type of numbers")
    (value,) = np.frombuffer(data, np.dtype(text))
    return value.item()


PLAIN: dict[str, Any] = {
    "numpy.dtype": _NumberType,
    **dict.fromkeys(("numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar"), _number),
    **dict.fromkeys(("ultralytics.utils.IterableSimpleNamespace", "ultralytics.yolo.utils.IterableSimpleNamespace"),
                    IterableSimpleNamespace),
    # of whichever system the file comes from
    **dict.fromkeys((f"{module}.{system}Path" for module in ("pathlib", "pathlib._local") for system in ("Posix", "Windows")),
                    PurePath),
}  # fmt: skip


def read_pickle(path: str | Path, *, device: Any = "cpu", trust: bool = False) -> Any:
    """What `torch.save` put into a file, with modules of networks in it; nothing in the file is run.

    Args:
        device: where the tensors go.
        trust: read it as any pickle, which may run what it likes.

    Raises:
        InputError: not such a file, or one that needs a class which is no part of a network.
    """
    path = Path(path)
    if trust:
        return _quietly(path, lambda: torch_load(path, map_location=device))
    _check_archive(path)
    needed = _quietly(path, lambda: torch.serialization.get_unsafe_globals_in_checkpoint(path))
    known = {name: _stand_in(name) for name in needed}
    strange = sorted(name for name, entry in known.items() if entry is None)
    if others_tasks := [found[1] for name in strange if (found := OTHER_TASKS.fullmatch(name))]:
        raise InputError(f"{path}: holds a {others_tasks[0]}, not a detection model")
    if strange:
        others = f" and {len(strange) - 1} more" if len(strange) > 1 else ""
        raise InputError(
            f"{path}: needs {strange[0][:100]!r}{others}, which is no class of a detection network, and what it does when it "
            "is loaded is unknown; only if you trust who made the file: --trust (in Python trust=True) loads it"
        )
    # the list is the process', and a reader that ends takes its entries from those of other threads
    with LISTED, torch.serialization.safe_globals([(entry, name) for name, entry in known.items()]):
        return _quietly(path, lambda: torch.load(path, map_location=device, weights_only=True))


def _quietly(path: Path, read: Any) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what a file looks like to PyTorch is no news to who wants it read
            return read()
    except OSError:
        raise
    except Exception as error:  # torch, pickle and zip each have their own way of refusing a file
        raise InputError(f"{path}: not a checkpoint that Ultralytics wrote ({type(error).__name__})") from None


def _check_archive(path: Path) -> None:
    """Refuse what PyTorch does not write: its older formats, which are read with fewer checks, and anything compressed."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        raise InputError(f"{path}: not a checkpoint that Ultralytics wrote (no zip archive)") from None
    if sum(entry.file_size for entry in entries) > path.stat().st_size:
        raise InputError(f"{path}: not a checkpoint that Ultralytics wrote (it is larger unpacked than packed)")


@functools.cache
def _stand_in(name: str) -> Any:
    """What a global of a pickle is read as; None where it is no part of a checkpoint of a network."""
    if name in PLAIN:
        return PLAIN[name]
    module, _, attribute = name.rpartition(".")
    if LOSSES.fullmatch(module):
        return _LeftOut
    if name not in NETWORKS and not any(module == home or module.startswith(f"{home}.") for home in HOMES):
        return None
    try:
        found = getattr(import_module(module), attribute, None)
    except ImportError:
        return None
    return _hollow(found) if isinstance(found, type) and issubclass(found, nn.Module) else None


def _hollow(kind: type[nn.Module]) -> type[nn.Module]:
    """A class whose objects are made without a constructor and become those of `kind` when they are given their attributes."""

    def refuse(self: nn.Module, *args: object, **kwargs: object) -> None:
        raise pickle.UnpicklingError(f"a file must not construct a {kind.__name__}")

    def fill(self: Any, attributes: dict[str, Any]) -> None:
        self.__class__ = kind
        self.__setstate__({name: value for name, value in attributes.items() if not isinstance(value, _LeftOut)})

    return type(kind.__name__, (kind,), {"__init__": refuse, "__setstate__": fill})
