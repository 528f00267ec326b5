"""The blocks that networks are made of, one per file: each module with a `BLOCK` is one, and nothing lists them."""

from __future__ import annotations

import functools
import pkgutil
from importlib import import_module

from .base import Block

__all__ = ["Block", "block", "blocks"]


@functools.cache
def blocks() -> dict[str, Block]:
    """Name -> block, of all files of this package."""
    modules = (import_module(f".{found.name}", __name__) for found in pkgutil.iter_modules(__path__))
    return {module.BLOCK.name: module.BLOCK for module in modules if hasattr(module, "BLOCK")}


def block(name: str) -> Block:
    """The block called `name`. Raises KeyError when no file holds it."""
    found = blocks()
    if name not in found:
        raise KeyError(f"no block {name!r}; there are {', '.join(sorted(found))}")
    return found[name]
