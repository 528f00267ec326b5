"""What plain data may hold, whatever it is written in: numbers that are finite, text that is text, and an end to its depth."""

from __future__ import annotations

import math
import re
from typing import NoReturn

from .errors import InputError

MOST_DEPTH = 100  # collections within one another: what walks them later may recurse
LARGEST_INTEGER = 10**300  # an integer beyond it is no float either
UNPRINTABLE = re.compile("[\0\ud800-\udfff]")  # no file name, no console and no other file can hold them


class Wrong(ValueError):
    """What is wrong with a text, and in which line of it (from 1), where that is known."""

    def __init__(self, why: str, line: int | None = None):
        super().__init__(why)
        self.line = line


def refuse(wrong: Wrong, form: str, what: str, error: type[InputError]) -> NoReturn:
    """Raise `error`, which names the text, the line and what is wrong in it."""
    raise error(f"{what}{f', line {wrong.line}' if wrong.line else ''}: not valid {form} ({wrong})") from None


def integer(text: str) -> int:
    """An integer as it is written, of any base that it names, in bounded time. Raises Wrong for a giant."""
    base = {"0b": 2, "0o": 8, "0x": 16}.get(text.lstrip("+-")[:2].lower(), 10)
    if len(text) <= 1100:  # as many binary digits has the largest; beyond, reading alone takes long
        value = int(text, base) if base != 10 or len(text) <= 310 else LARGEST_INTEGER
        if abs(value) < LARGEST_INTEGER:
            return value
    raise Wrong(f"{text[:12]}... is an integer of {len(text)} digits, beyond any that is used here")


def finite(text: str) -> float:
    """A number with a point or exponent. Raises Wrong where it is not finite."""
    value = float(text)
    if not math.isfinite(value):
        raise Wrong(f"{text[:20]} is no finite number")
    return value


def no_number(text: str) -> NoReturn:
    """Raise Wrong: infinities and NaN are no numbers here."""
    raise Wrong(f"{text} is no finite number")
