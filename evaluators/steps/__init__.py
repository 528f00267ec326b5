"""The steps that recipes are made of, one per file: each module with a `STEP` is one, and nothing lists them."""

from __future__ import annotations

import functools
import pkgutil
from importlib import import_module

from .step import Bench, Step, Workpiece

__all__ = ["Bench", "Step", "Workpiece", "steps"]


@functools.cache
def steps() -> dict[str, type[Step]]:
    """Name -> class of the step, of all files of this package."""
    modules = (import_module(f".{found.name}", __name__) for found in pkgutil.iter_modules(__path__))
    return {module.STEP.name: module.STEP for module in modules if hasattr(module, "STEP")}
