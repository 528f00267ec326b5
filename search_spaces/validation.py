"""What pydantic found wrong, in one line."""

from __future__ import annotations

from pydantic import ValidationError


def first_problem(error: ValidationError) -> str:
    """The first problem: field, value, what it should be."""
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"])
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "missing":
        return f"field {field} is missing"
    if first["type"] == "extra_forbidden":
        return f"no field {field!r} is known"
    shown = repr(first["input"])
    where = f"field {field}: " if field else ""
    return f"{where}{f'{shown}: ' if field and len(shown) < 80 else ''}{message}"
