"""JSON as plain data, in bounded time: what is ambiguous or endless is refused."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterable
from typing import Any

from .errors import InputError
from .plain_data import MOST_DEPTH, UNPRINTABLE, Wrong, finite, integer, no_number, refuse


def parse_json(text: str, what: str, error: type[InputError] = InputError, strict: bool = True) -> Any:
    """A JSON text as plain data, whose numbers are finite and whose keys are there once.

    Args:
        what: names the text in messages.
        error: the exception to raise.
        strict: otherwise numbers that are none (NaN, which Python writes) are read as None, and of a key that is there twice
            the last counts.

    Raises:
        InputError: or `error`; names the text, where it can the line, and what is wrong.
    """
    try:
        content = json.loads(
            text,
            object_pairs_hook=_once_each if strict else None,
            parse_int=integer,
            parse_float=finite if strict else _finite_or_none,
            parse_constant=no_number if strict else lambda _: None,
        )
        _check_depth(content)
        if re.search(r"\\u(?:0000|[dD][89a-fA-F])", text):
            _check_texts(content)
        return content
    except json.JSONDecodeError as problem:
        wrong = Wrong(f"{problem.msg}; is the file cut off?", problem.lineno)
    except RecursionError:
        wrong = Wrong("nested too deeply")
    except Wrong as problem:
        wrong = problem
    refuse(wrong, "JSON", what, error)


def short_digest(content: Any) -> str:
    """12 hexadecimal digits that tell plain data from other plain data; the order of keys says nothing.

    What JSON does not hold counts as its text.
    """
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[:12]


def _finite_or_none(text: str) -> float | None:
    value = float(text)
    return value if math.isfinite(value) else None


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise Wrong(f"{twice[:60]!r} is there twice")
    return content


def _check_depth(content: Any) -> None:
    level = [content]
    for _ in range(MOST_DEPTH + 1):
        level = [each for outer in level for each in _inner(outer) if isinstance(each, (dict, list))]
        if not level:
            return
    raise Wrong("nested too deeply")


def _check_texts(content: Any) -> None:
    level = [content]
    while level:
        level = [each for outer in level for each in _inner(outer, keys=True)]
        if any(isinstance(each, str) and UNPRINTABLE.search(each) for each in level):
            raise Wrong("text holds a character that is none")


def _inner(value: Any, keys: bool = False) -> Iterable[Any]:
    if isinstance(value, dict):
        return [*value, *value.values()] if keys else value.values()
    return value if isinstance(value, list) else ()
