"""Fields of files as they are meant: numbers that are numbers, paths of a home; and what was found wrong, in one line."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError

from .files import expanded


def _whole(value: Any) -> Any:
    """YAML's `1e2` is the integer 100."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


# Neither `true` nor digits in quotes is a number: what was meant is not known. 53 bits are what every reader of JSON holds.
Whole = Annotated[int, BeforeValidator(_whole), Field(strict=True, ge=-(2**53), le=2**53)]
Real = Annotated[float, Field(strict=True, allow_inf_nan=False)]
PathText = Annotated[str, AfterValidator(expanded)]


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
