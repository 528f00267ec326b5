"""The exception for datasets that cannot be used, and how what is wrong with them is shown in it."""

from __future__ import annotations

import reprlib

from search_spaces import InputError

_BRIEF = reprlib.Repr()
_BRIEF.maxstring = 80  # a file's name is still whole


class DatasetError(InputError):
    """A dataset cannot be used; the message names the file and, in a label file, the line."""


def shown(value: object) -> str:
    """What a file of the user's holds, as it reads in a message: quoted, in one line, and brief."""
    return _BRIEF.repr(value)
