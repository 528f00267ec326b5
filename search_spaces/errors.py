"""The one exception for wrong input: its message names what is wrong and what would be right."""

from __future__ import annotations

import reprlib
from collections.abc import Iterable

_BRIEF = reprlib.Repr()
_BRIEF.maxstring = 80  # a file's name is still whole


class InputError(ValueError):
    """What the user gave cannot be used; the command line prints the message alone, without a traceback.

    It is one line, whatever is quoted in it.
    """

    def __str__(self) -> str:
        return " ".join(super().__str__().splitlines())


def shown(value: object) -> str:
    """What a user gave, as it reads in a message: quoted, in one line, and brief."""
    return _BRIEF.repr(value)


def one_of(names: Iterable[object]) -> str:
    """`names` as they read in a message: 'a, b or c'."""
    return _listed(names, "or")


def all_of(names: Iterable[object]) -> str:
    """The same, where all are meant: 'a, b and c'."""
    return _listed(names, "and")


def _listed(names: Iterable[object], word: str) -> str:
    words = [str(name) for name in names]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {word} {words[-1]}"
