"""A space written down as plain data, and read back."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import Any

from .architecture import NO_DEFAULT
from .errors import InputError, one_of
from .families import families
from .space import Choice, SearchSpace


def space_names() -> list[str]:
    """Names of the spaces of all model families."""
    return [space.name for family in families().values() for space in family.spaces()]


def searched_names() -> list[str]:
    """Names of the spaces that are there to be searched."""
    return [family.make_space().name for family in families().values()]


def space_named(name: str, architectures: Iterable[Mapping[str, Any]] = ()) -> SearchSpace:
    """The whole space of that name.

    Args:
        architectures: values of choices; those of open choices are among the space's.

    Raises:
        InputError: no model family has a space of that name, or a value that an open choice cannot have.
    """
    for space in (space for family in families().values() for space in family.spaces()):
        if space.name == name:
            held = list(architectures)
            return space.holding({n: [values[n] for values in held if n in values] for n in space.open_choices})
    raise InputError(f"space {name!r} is not known; there is {one_of(space_names())}")


def define(space: SearchSpace) -> dict[str, Any]:
    """Name, choices and class, ready for JSON. Code (a `valid` rule, a lowering) is named by the class and not part of it."""
    choices = [
        {"name": c.name, "values": list(c.values), "when": {k: list(v) for k, v in c.when.items()}}
        | ({} if c.default is NO_DEFAULT else {"default": c.default})
        for c in space.choices
    ]
    kind = type(space)
    return {"name": space.name, "choices": choices, "class": f"{kind.__module__}:{kind.__qualname__}"}


def _choice(defined: Mapping[str, Any]) -> Choice:
    return Choice(defined["name"], defined["values"], defined["when"], defined.get("default", NO_DEFAULT))


def check_definition(definition: Any) -> None:
    """Raise InputError unless it is what `define` makes, of whatever space."""
    try:
        made = [_choice(c) for c in definition["choices"]]
        SearchSpace(definition["name"], made)
        conditions = [allowed for c in definition["choices"] for allowed in c["when"].values()]
        lists = [c["values"] for c in definition["choices"]] + conditions
        whole = isinstance(definition["name"], str) and all(isinstance(each, list) for each in lists)
        whole = whole and not any(isinstance(value, (list, dict)) for each in conditions for value in each)
    except InputError:
        raise
    except Exception:  # whatever may stand there instead
        whole = False
    if not whole:
        raise InputError("not the definition of a search space")


def recall(definition: Mapping[str, Any]) -> SearchSpace:
    """A space that holds every architecture of the defined one (and, for a known space, those it was restricted from).

    It is the space of that name of a model family, or what the named class makes where its owner has imported it; nothing
    is imported, since a definition may come from anywhere. Else it is a plain space with the same choices, which can do
    all but what the class would.

    Raises:
        InputError: not a definition, or of a known space with choices or values that this version does not have.
    """
    check_definition(definition)
    name = definition["name"]
    choices = [_choice(c) for c in definition["choices"]]
    if name in space_names():
        space = space_named(name).holding({choice.name: choice.values for choice in choices})
    else:
        space = _of_class(definition) or SearchSpace(name, choices)
    missing = [choice for choice in choices if choice.name not in space]
    space = space.extended(missing) if missing else space
    check_holds(definition, space)
    return space


def _of_class(definition: Mapping[str, Any]) -> SearchSpace | None:
    """A space made by the owner's class, if the program has it and it needs no arguments."""
    module, _, path = str(definition.get("class", "")).partition(":")
    found: Any = sys.modules.get(module)
    for part in path.split("."):
        found = getattr(found, part, None)
    if not isinstance(found, type) or SearchSpace not in found.__mro__[1:]:
        return None
    try:
        space = found()
        check_holds(definition, space)
    except Exception:  # it is the user's code; what it cannot do for us, a plain space does
        return None
    return space


def check_holds(definition: Mapping[str, Any], space: SearchSpace) -> None:
    """Raise InputError unless the space has the name, the choices and all the values of the definition; more values may be."""
    if space.name != definition["name"]:
        raise InputError(f"it is of the space {definition['name']!r}, not of {space.name!r}")
    for choice in definition["choices"]:
        if choice["name"] not in space:
            raise InputError(f"space {space.name!r} lacks the choice {choice['name']!r} that it was made with")
        held = space[choice["name"]]
        lost = [value for value in choice["values"] if value not in held.values]
        if lost:
            raise InputError(
                f"choice {held.name!r} of space {space.name!r} lacks {one_of(lost)}, which it was made with"
            )
        if {k: set(v) for k, v in choice["when"].items()} != {k: set(v) for k, v in held.when.items()}:
            raise InputError(f"choice {held.name!r} of space {space.name!r} depends on others than it was made with")
    known = {choice["name"] for choice in definition["choices"]}
    gained = [c.name for c in space.choices if c.name not in known and c.default is NO_DEFAULT]
    if gained:
        raise InputError(f"space {space.name!r} has the choice {gained[0]!r}, which it was not made with")
