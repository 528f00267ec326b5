"""Reading what users give, with one clear error."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from .errors import InputError


def read_text(path: str | Path, error: type[InputError] = InputError) -> str:
    """A text file's content (UTF-8, with or without a byte-order mark). Raises `error` naming the file."""
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except OSError as problem:
        raise error(f"{path}: cannot be read ({problem.strerror})") from None
    except UnicodeDecodeError:
        raise error(f"{path}: not a text file") from None


def read_yaml(path: str | Path, error: type[InputError] = InputError) -> Any:
    """A YAML file's content as plain data; nothing in it is executed. Raises `error` naming the file and the line."""
    text = read_text(path, error)
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as problem:
        mark = getattr(problem, "problem_mark", None)
        raise error(f"{path}{f', line {mark.line + 1}' if mark else ''}: not valid YAML") from None
    except (ValueError, RecursionError) as problem:  # a date that is none, brackets without end
        raise error(f"{path}: not valid YAML ({problem})") from None


def read_json(path: str | Path, error: type[InputError] = InputError) -> Any:
    """A JSON file's content. Raises `error` naming the file and the line."""
    text = read_text(path, error)
    try:
        return json.loads(text)
    except json.JSONDecodeError as problem:
        raise error(f"{path}, line {problem.lineno}: not valid JSON ({problem.msg}); is the file cut off?") from None
    except RecursionError:
        raise error(f"{path}: not valid JSON (nested too deeply)") from None
