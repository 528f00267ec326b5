"""Runtimes, one file each: what opens a network from a file and runs it, for timing and for accuracy alike.

The package stands alone (Python 3.8 or later, numpy and the runtime itself), since a pack takes it to a board. A new
runtime is one new module here with an instance of its `Runtime` as RUNTIME.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Sequence

from . import silence  # noqa: F401 - before any runtime is imported
from .runtime import Runtime, Session, Unavailable

__all__ = ["RUNTIMES", "Runtime", "Session", "Unavailable", "check", "open_session", "runtime"]


def _find() -> dict[str, Runtime]:
    """The RUNTIME of every module of this package that has one, by its name; works inside of a zip file too."""
    modules = [importlib.import_module(f"{__name__}.{entry.name}") for entry in pkgutil.iter_modules(__path__)]
    found: list[Runtime] = [module.RUNTIME for module in modules if hasattr(module, "RUNTIME")]
    return {each.name: each for each in found}


RUNTIMES = _find()  # name -> runtime, in alphabetical order


def runtime(name: str) -> Runtime:
    """The runtime of that name. Raises Unavailable when there is none."""
    if name not in RUNTIMES:
        raise Unavailable(f"no runtime {name!r}; there are {', '.join(RUNTIMES)}")
    return RUNTIMES[name]


def check(name: str, device: str, precision: str) -> None:
    """Raise Unavailable unless there is a runtime `name` that has the device and the precision."""
    runtime(name).check(device, precision)


def open_session(name: str, path: str, shape: Sequence[int], threads: int, device: str, precision: str) -> Session:
    """Open the network in a file.

    Args:
        name: of the runtime.
        shape: (1, 3, height, width) of the image that the file was written for.
        threads: of the runtime, on a CPU.

    Raises:
        Unavailable: the runtime is not installed, or has no such device or precision.
        Exception: the runtime cannot load the file; each has its own way of saying so.
    """
    check(name, device, precision)
    return RUNTIMES[name].open(str(path), tuple(shape), threads, device, precision)
