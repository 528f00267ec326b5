"""Who decides what to try next: algorithms, the search loop, runs, and what becomes of their fronts."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .algorithms import ALGORITHMS, make_algorithm
    from .delivery.selection import pick
    from .launch.search import search
    from .launch.train_out import train_out
    from .objectives import Constraint, Objective
    from .storage.run import Run, load_run

__all__ = ["ALGORITHMS", "Constraint", "Objective", "Run", "load_run", "make_algorithm", "pick", "search", "train_out"]

_HOMES = {
    **dict.fromkeys(("ALGORITHMS", "make_algorithm"), ".algorithms"),
    "pick": ".delivery.selection",
    "search": ".launch.search",
    "train_out": ".launch.train_out",
    **dict.fromkeys(("Constraint", "Objective"), ".objectives"),
    **dict.fromkeys(("Run", "load_run"), ".storage.run"),
}


def __getattr__(name: str) -> Any:
    # the command line is inside of this package, and answers before any of these could be imported
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name], __name__), name)
