"""Model families, one per file: each module with a `FAMILY` is one, and nothing lists them."""

from __future__ import annotations

import functools
import pkgutil
from importlib import import_module

from ..errors import InputError, one_of
from ..space import SearchSpace
from .family import Family

__all__ = ["DEFAULT", "Family", "families", "family", "family_of"]

DEFAULT = "yolov8"


@functools.cache
def families() -> dict[str, Family]:
    """Name -> family, of all files of this package; the default one first."""
    modules = (import_module(f".{found.name}", __name__) for found in pkgutil.iter_modules(__path__))
    found = {module.FAMILY.name: module.FAMILY for module in modules if hasattr(module, "FAMILY")}
    return {DEFAULT: found[DEFAULT], **found}


def family(name: str) -> Family:
    """The family called `name`. Raises InputError when no file holds it."""
    if name not in families():
        raise InputError(f"no model family {name!r}; there is {one_of(families())}")
    return families()[name]


def family_of(space: SearchSpace) -> Family:
    """The family whose frame the networks of a space are built in."""
    return family(space.family)
