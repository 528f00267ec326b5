"""Reading what users give, with one clear error."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .errors import InputError
from .json_text import parse_json

MOST_MB = 10.0  # no settings, profile, results or model file comes near


def expanded(text: str) -> str:
    """A path with `~` and `~name` at its beginning replaced by the home that they stand for, where there is one."""
    return os.path.expanduser(text)


def read_text(path: str | Path, error: type[InputError] = InputError, most_mb: float | None = None) -> str:
    """A text file's content (UTF-8, with or without a byte-order mark).

    Args:
        error: the exception to raise.
        most_mb: megabytes that it may have; None for any.

    Raises:
        InputError: or `error`, naming the file: there is none, it is a folder, pipe or device, too large, or not text.
    """
    try:
        found = os.stat(path)
        if stat.S_ISDIR(found.st_mode):
            raise error(f"{path}: is a folder, not a file")
        if not stat.S_ISREG(found.st_mode):  # reading it might never end
            raise error(f"{path}: is not a regular file")
        if most_mb is not None and found.st_size > most_mb * 1e6:
            raise error(f"{path}: has {found.st_size / 1e6:,.0f} MB; what is read here has at most {most_mb:g}")
        text = Path(path).read_text(encoding="utf-8-sig")
    except OSError as problem:
        raise error(f"{path}: cannot be read ({problem.strerror})") from None
    except UnicodeDecodeError:
        raise error(f"{path}: not UTF-8 text") from None
    except InputError:
        raise
    except ValueError as problem:  # a path that no system has
        raise error(f"{str(path)!r}: cannot be read ({problem})") from None
    if "\0" in text:
        raise error(f"{path}: not UTF-8 text")
    return text


def read_yaml(
    path: str | Path,
    error: type[InputError] = InputError,
    text: Iterable[str] = (),
    most_mb: float | None = MOST_MB,
) -> Any:
    """A YAML file's content as plain data, as `parse_yaml` says; nothing in it is executed.

    Args:
        error: the exception to raise.
        text: fields under which every key and value is the text that is written there, such as the names of classes.
        most_mb: megabytes that it may have; None for any.

    Raises:
        InputError: or `error`, naming the file, the line and what is wrong.
    """
    from .yaml_text import parse_yaml  # whoever only looks at runs reads none

    return parse_yaml(read_text(path, error, most_mb), str(path), error, text)


def read_json(
    path: str | Path, error: type[InputError] = InputError, most_mb: float | None = MOST_MB, strict: bool = True
) -> Any:
    """A JSON file's content, as `parse_json` says. Arguments and errors are those of `read_yaml` and `parse_json`."""
    return parse_json(read_text(path, error, most_mb), str(path), error, strict)
