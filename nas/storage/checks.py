"""What is looked at before a store is used: whether it is one, and of which space."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from search_spaces import InputError, SearchSpace
from search_spaces.definition import check_definition, check_holds, recall

from . import schema
from .values import meta_value


def check_tables(path: Path, connection: sqlite3.Connection, version: int) -> None:
    """Raise InputError unless the tables are those of a store; text that is none in them reads as text with gaps."""
    connection.text_factory = lambda raw: raw.decode(errors="replace")
    try:
        schema.check(connection, version)
    except ValueError as error:
        raise InputError(f"{path}: {error}") from None


def space_of(path: Path, connection: sqlite3.Connection, space: SearchSpace | None, read_only: bool) -> SearchSpace:
    """What the recorded architectures are of: `space` without its restrictions, or one made from the record."""
    query = "SELECT name, value FROM meta WHERE name IN ('space', 'unrestricted')"
    kept = {name: meta_value(name, value, str(path)) for name, value in connection.execute(query)}
    if "space" not in kept:
        raise InputError(f"{path}: says of no space what it is")
    searched = kept["space"]
    whole = kept.get("unrestricted", searched)
    try:
        for definition in (searched, whole):
            check_definition(definition)
        if space is None:
            return recall(whole)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    if space.name != searched["name"]:
        raise InputError(f"{path} is of the space {searched['name']!r}, not of {space.name!r}")
    try:
        check_holds(whole, space.unrestricted)
        if not read_only:  # a search that goes on may look further than it did, but not less far
            check_holds(searched, space)
    except InputError as error:
        raise InputError(f"{path} is of a space {space.name!r} with other choices or values: {error}") from None
    return space.unrestricted
