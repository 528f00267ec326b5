"""What may stand in a store: a value that no search writes is refused, with the name of its place."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from search_spaces import InputError
from search_spaces.errors import one_of, shown
from search_spaces.graph import MOST_CLASSES
from search_spaces.json_text import parse_json

from ..objectives import is_number
from .states import RETRIED, State

LONGEST = 10_000_000  # characters of one value; the settings of the largest search are a hundredth of it
LONGEST_SUBJECT = 500_000_000  # what a run is measured on may be millions of images
Fields = Mapping[str, tuple[Callable[[Any], bool], str]]  # name -> whether a value fits, and what it is meant to be


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _none_or(fits: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or fits(value)


def _list_of(fits: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and all(map(fits, value))


def _mapping_of(fits: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, dict) and all(map(fits, value.values()))


def _anything(value: Any) -> bool:
    return True


def _is_objective(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and _is_text(value[0]) and value[1] in ("min", "max")


def _is_constraint(value: Any) -> bool:
    return (
        isinstance(value, list)
        and 1 <= len(value) <= 3
        and _is_text(value[0])
        and all(map(_none_or(is_number), value[1:]))
    )


def _ascend(value: Any) -> bool:
    return _list_of(is_number)(value) and all(a < b for a, b in zip([0, *value], value))


def _is_result(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and _mapping_of(_anything)(value[0]) and is_number(value[1])


def _by_file_names(value: Any) -> bool:
    return _mapping_of(_is_text)(value) and all(
        re.fullmatch(r"[^/\\\0]{1,200}", n) and n not in (".", "..") for n in value
    )


TEXT = _is_text, "text"
TEXT_OR_NONE = _none_or(_is_text), "text or nothing"
NUMBER = is_number, "a finite number"
NUMBER_OR_NONE = _none_or(is_number), "a finite number or nothing"
COUNT = _is_count, "a whole number of at least 0"
FLAG = (lambda value: isinstance(value, bool)), "true or false"
MAPPING = _mapping_of(_anything), "a mapping"
TEXTS = _mapping_of(_is_text), "a mapping of text"

EVALUATION: Fields = {
    "key": TEXT,
    "status": (lambda value: value in tuple(map(str, State)), one_of(State)),
    "reason": TEXT_OR_NONE,
    "asked_at": NUMBER,
    "ended_at": NUMBER_OR_NONE,
    "seconds": NUMBER_OR_NONE,
    "node": TEXT_OR_NONE,
    "attempts": COUNT,
    "fidelity": NUMBER_OR_NONE,
    "started_at": NUMBER_OR_NONE,
    "repeat": COUNT,
    "confirms": COUNT,
}
EVENT: Fields = {
    "at": NUMBER,
    "key": TEXT,
    "state": (lambda value: value in (*map(str, State), RETRIED), one_of([*State, RETRIED])),
    "fidelity": NUMBER_OR_NONE,
    "node": TEXT_OR_NONE,
    "detail": TEXT_OR_NONE,
    "repeat": COUNT,
}
META: Fields = {
    "space": MAPPING,
    "unrestricted": MAPPING,
    "settings": MAPPING,
    "costed": NUMBER,
    "measured": TEXTS,
    "max_evaluations": (_none_or(_is_count), "a whole number of at least 0"),
    "complete": FLAG,
}
SETTINGS: Fields = {
    "objectives": (_list_of(_is_objective), "a list of [metric, min or max]"),
    "constraints": (_list_of(_is_constraint), "a list of [metric, most, least]"),
    "fidelities": (_ascend, "a list of ascending numbers above 0"),
    "random": FLAG,
    "scheduler": TEXT,
    "scheduler_options": MAPPING,
    "start_from": (_list_of(_mapping_of(_anything)), "a list of architectures"),
    "first": (_list_of(_mapping_of(_anything)), "a list of architectures"),
    "start_results": (_list_of(_is_result), "a list of [architecture, number]"),
    "config": MAPPING,
    "references": TEXTS,
    "scalings": TEXTS,
    "num_classes": (lambda value: _is_count(value) and 1 <= value <= MOST_CLASSES, "a number of classes"),
    "versions": MAPPING,
    "devices": (_by_file_names, "a mapping of names of device profiles to text"),
}
# of the settings' `config`, what is looked at without making settings of it
CONFIG: Fields = {
    "image_size": (_none_or(_is_count), "a number of pixels"),
    "restrict": MAPPING,
    "recipe": (_list_of(_anything), "a list of steps"),
}


def check_fields(content: Mapping[str, Any], fields: Fields, what: str) -> None:
    """Raise InputError, naming `what` and the field, unless every field that is there is what it is meant to be."""
    for name, (fits, meant) in fields.items():
        if name in content and not fits(content[name]):
            raise InputError(f"{what}: {name} is {shown(content[name])}, not {meant}")


def json_value(text: Any, what: str, longest: int = LONGEST) -> Any:
    """What a JSON text stands for. Raises InputError naming `what` where it is none, or longer than any of ours."""
    if not isinstance(text, str) or len(text) > longest:
        raise InputError(f"{what}: {shown(text)} is no JSON text that a search writes")
    return parse_json(text, what)


def meta_value(name: str, text: Any, what: str) -> Any:
    """The value that is kept under `name`. Raises InputError naming `what` and the field where no search keeps it so."""
    value = json_value(text, f"{what}: {name}", LONGEST_SUBJECT if name == "subject" else LONGEST)
    check_fields({name: value}, META, what)
    if name == "settings":
        check_fields(value, SETTINGS, f"{what}: settings")
        check_fields(value.get("config", {}), CONFIG, f"{what}: settings: config")
    return value


def metrics_value(text: Any, what: str) -> dict[str, float]:
    """The metrics in a JSON text. Raises InputError naming `what` where they are not finite numbers by their names."""
    value = json_value(text, f"{what}: metrics")
    check_fields({"metrics": value}, {"metrics": (_mapping_of(is_number), "a mapping of finite numbers")}, what)
    return value
