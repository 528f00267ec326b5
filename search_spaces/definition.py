"""A space written down as plain data, and read back."""

from __future__ import annotations

from collections.abc import Mapping

from .errors import InputError
from .families.yolov8 import YoloSpace
from .space import Choice, SearchSpace

SPACES = {"yolo": YoloSpace}  # spaces that are more than their choices


def define(space: SearchSpace) -> dict:
    """Name and choices, ready for JSON. A `valid` rule is code and is not part of it."""
    choices = [
        {"name": c.name, "values": list(c.values), "when": {k: list(v) for k, v in c.when.items()}}
        for c in space.choices
    ]
    return {"name": space.name, "choices": choices}


def recall(definition: Mapping) -> SearchSpace:
    """A space that holds every architecture of the defined one (and, for a known space, those it was restricted from).

    Raises:
        InputError: not a definition.
    """
    try:
        if definition["name"] in SPACES:
            return SPACES[definition["name"]]()
        return SearchSpace(
            definition["name"], [Choice(c["name"], c["values"], c["when"]) for c in definition["choices"]]
        )
    except (KeyError, TypeError, AttributeError):
        raise InputError("not the definition of a search space") from None


def check_holds(definition: Mapping, space: SearchSpace) -> None:
    """Raise InputError unless a space has every choice and value of a definition; it may have more values."""
    for choice in definition["choices"]:
        if choice["name"] not in space:
            raise InputError(f"space {space.name!r} has no choice {choice['name']!r}")
        missing = [value for value in choice["values"] if value not in space[choice["name"]].values]
        if missing:
            raise InputError(f"choice {choice['name']!r} of space {space.name!r} has no {missing[0]!r}")
