"""Options of what is made by its name: which there are, and one clear error for one that there is not."""

from __future__ import annotations

import inspect
import numbers
from collections.abc import Iterable, Mapping

from search_spaces import InputError
from search_spaces.errors import one_of


def options_of(made: type, base: type) -> dict[str, object]:
    """Name -> default of the options that a class has beside those of `base`: its constructors' keyword-only parameters."""
    found: dict[str, object] = {}
    for cls in made.__mro__[: made.__mro__.index(base)]:
        parameters = inspect.signature(vars(cls).get("__init__", lambda: None)).parameters.values()
        found |= {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY and p.name not in found}
    return found


def check_options(what: str, made: type, base: type, given: Mapping[str, object]) -> None:
    """Raise InputError unless every option that is given is one of the class, and of the kind that its default is of.

    Args:
        what: the thing as messages call it, such as "algorithm 'evolution'".
    """
    known = options_of(made, base)
    for name, value in given.items():
        if name not in known:
            there_are = f"it has {one_of(known)}" if known else "it has none"
            raise InputError(f"{what} has no option {name!r}; {there_are}")
        if isinstance(known[name], str):  # a name, or None for nothing of the kind
            if value is not None and not isinstance(value, str):
                raise InputError(f"{what}: option {name} must be a name or null, not {value!r}")
            continue
        whole = isinstance(known[name], int) and not isinstance(known[name], bool)
        kind = numbers.Integral if whole else numbers.Real
        if value != known[name] and (isinstance(value, bool) or not isinstance(value, kind)):
            raise InputError(f"{what}: option {name} must be {'an integer' if whole else 'a number'}, not {value!r}")


def check_free(what: str, given: Mapping[str, object], taken: Iterable[str]) -> None:
    """Raise InputError when what the caller sets itself is among the options that are given."""
    for name in taken:
        if name in given:
            raise InputError(f"{what} has no option {name!r}: the search sets it itself")
