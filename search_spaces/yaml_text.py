"""YAML as plain data, in bounded time: nothing is executed, and what is ambiguous or endless is refused."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

import yaml

from .errors import InputError
from .plain_data import MOST_DEPTH, UNPRINTABLE, Wrong, finite, integer, no_number, refuse

MOST_COPIES = 100_000  # nodes that the aliases of a text may stand for, all together

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAG = "tag:yaml.org,2002:"
_INTEGER = re.compile(r"[-+]?(?:0b[01][01_]*|0o[0-7][0-7_]*|0x[0-9a-fA-F][0-9a-fA-F_]*|[0-9][0-9_]*)")
_FLOAT = re.compile(
    r"[-+]?(?:\.[0-9][0-9_]*|[0-9][0-9_]*(?:\.[0-9_]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
)
_MEANINGS: dict[str, bool | None] = {
    "null": None, "true": True, "yes": True, "on": True, "false": False, "no": False, "off": False
}  # fmt: skip
_WORDS = {"": None, "~": None} | {
    form: value for word, value in _MEANINGS.items() for form in (word, word.capitalize(), word.upper())
}
_KINDS = {"null": type(None), "bool": bool, "int": int, "float": float}


def parse_yaml(
    text: str,
    what: str,
    error: type[InputError] = InputError,
    as_written: Iterable[str] = (),
    numbered: bool = True,
) -> Any:
    """A YAML text as plain data: mappings, lists, text, numbers, booleans and None.

    Words mean what YAML 1.1 says (`yes` is true) and numbers what YAML 1.2 says (`1e-3` and `010` are), with `_` between digits;
    dates and times of day are text. Keys that stand twice, tags of anything but plain data, a second document, numbers that are
    none, and aliases that grow without end are refused.

    Args:
        what: names the text in messages.
        error: the exception to raise.
        as_written: fields of the outermost mapping under which every key and value is the text that is written there.
        numbered: whether messages name the line.

    Raises:
        InputError: or `error`; names the text, the line and what is wrong there.
    """
    try:
        return _YamlReader(text, frozenset(as_written)).document()
    except yaml.MarkedYAMLError as problem:
        mark = problem.problem_mark or problem.context_mark
        line = min(mark.line, text.count("\n")) + 1 if mark else None  # libyaml counts one more at the end
        wrong = Wrong(" ".join(str(problem.problem or problem.context).split()), line)
    except yaml.YAMLError as problem:
        wrong = Wrong(" ".join(str(problem).splitlines()[0].split()))
    except Wrong as problem:
        wrong = problem
    except (ValueError, RecursionError) as problem:  # text that is none, on a command line
        wrong = Wrong(str(problem))
    wrong.line = wrong.line if numbered else None
    refuse(wrong, "YAML", what, error)


def to_yaml(content: Any, **options: Any) -> str:
    """Plain data as a YAML text that `parse_yaml`, and readers of YAML 1.1, read back as it is.

    Args:
        options: those of `yaml.dump`; keys stay in their order unless `sort_keys` says otherwise.
    """
    return yaml.dump(content, Dumper=_Dumper, **{"sort_keys": False, "allow_unicode": True, **options})


class _Dumper(yaml.SafeDumper):
    """Quotes text that either version of YAML takes for a number, or whose line ends PyYAML would write and not read back."""

    def analyze_scalar(self, scalar: str) -> Any:
        analysis = super().analyze_scalar(scalar)
        if re.search("[\x85\u2028\u2029]", scalar):
            analysis.allow_single_quoted = analysis.allow_flow_plain = analysis.allow_block_plain = False
        return analysis


_Dumper.add_implicit_resolver(f"{_TAG}float", re.compile(rf"^(?:{_FLOAT.pattern})$"), list("-+0123456789."))
_Dumper.add_implicit_resolver(f"{_TAG}int", re.compile(rf"^(?:{_INTEGER.pattern})$"), list("-+0123456789"))


class _YamlReader:
    """Builds plain data from the events of a YAML parser."""

    def __init__(self, text: str, as_written: frozenset[str]):
        self._events = _expanded(yaml.parse(text, Loader=_LOADER))
        self._as_written = as_written

    def document(self) -> Any:
        """The content of the only document, None where there is none."""
        next(self._events)
        if isinstance(next(self._events), yaml.StreamEndEvent):
            return None
        content = self._node(next(self._events), 0, False)
        next(self._events)
        after = next(self._events)
        if not isinstance(after, yaml.StreamEndEvent):
            raise Wrong("a second document begins", _line(after))
        return content

    def _node(self, event: Any, depth: int, as_written: bool) -> Any:
        if isinstance(event, yaml.ScalarEvent):
            return _scalar(event, as_written)
        if depth == MOST_DEPTH:
            raise Wrong("nested too deeply", _line(event))
        kind = "seq" if isinstance(event, yaml.SequenceStartEvent) else "map"
        if event.tag not in (None, "!", _TAG + kind):
            raise Wrong(f"the tag {_shown_tag(event.tag)} is not of plain data", _line(event))
        if kind == "seq":
            return [self._node(item, depth + 1, as_written) for item in self._until(yaml.SequenceEndEvent)]
        return self._mapping(depth, as_written)

    def _mapping(self, depth: int, as_written: bool) -> dict[Any, Any]:
        content: dict[Any, Any] = {}
        merged: list[dict[Any, Any]] = []
        lines: dict[Any, int] = {}
        for event in self._until(yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent):
                raise Wrong("a key must be a word or a number", _line(event))
            if event.value == "<<" and event.implicit[0] and not as_written:
                merged += _mappings(self._node(next(self._events), depth + 1, False), event)
                continue
            key = _scalar(event, as_written)
            if key in lines:
                raise Wrong(f"{event.value!r} is there twice, first in line {lines[key]}", _line(event))
            lines[key] = _line(event)
            within = as_written or (depth == 0 and key in self._as_written)
            content[key] = self._node(next(self._events), depth + 1, within)
        for other in merged:  # what is written here goes first, then the mapping that is merged first
            content = {**other, **content}
        return content

    def _until(self, end: type) -> Iterator[Any]:
        return iter(lambda: None if isinstance(event := next(self._events), end) else event, None)


def _expanded(events: Iterable[Any]) -> Iterator[Any]:
    """The events with those of an anchored node in the place of each alias of it."""
    anchored: dict[str, tuple[int, int]] = {}  # where its events stand in the record
    record: list[Any] = []
    unfinished: list[tuple[str, int, int]] = []  # anchored nodes that have not ended: name, depth, beginning
    depth = copies = 0
    for event in events:
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in anchored:
                raise Wrong(f"*{event.anchor} stands for nothing that ends before it", _line(event))
            first, last = anchored[event.anchor]
            copies += last - first
            if copies > MOST_COPIES:
                raise Wrong(f"its aliases stand for more than {MOST_COPIES:,} values", _line(event))
            put = record[first:last]
        else:
            if getattr(event, "anchor", None) is not None:
                unfinished.append((event.anchor, depth, len(record)))
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            put = [event]
        if unfinished:
            record += put
            while unfinished and unfinished[-1][1] == depth:
                name, _, begun = unfinished.pop()
                anchored[name] = begun, len(record)
        yield from put


def _scalar(event: Any, as_written: bool) -> Any:
    text = event.value
    if event.style == '"' and UNPRINTABLE.search(text):
        raise Wrong("text holds a character that is none", _line(event))
    tag = event.tag
    if as_written and tag is None:
        return text
    try:
        value = _plain(text) if event.implicit[0] or tag not in (None, "!") else text
    except Wrong as wrong:
        raise Wrong(str(wrong), _line(event)) from None
    if tag in (None, "!"):
        return value
    name = tag.removeprefix(_TAG)
    if name == "str":
        return text
    if name == "float" and type(value) is int:
        return float(value)
    if type(value) is not _KINDS.get(name):
        raise Wrong(f"the tag {_shown_tag(tag)} does not go with {text[:40]!r}, or is not of plain data", _line(event))
    return value


def _plain(text: str) -> Any:
    """What an unquoted scalar means."""
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return integer(text.replace("_", ""))
    if _FLOAT.fullmatch(text):
        return no_number(text) if text[-1].isalpha() else finite(text.replace("_", ""))
    return text


def _mappings(value: Any, event: Any) -> list[dict[Any, Any]]:
    found = value if isinstance(value, list) else [value]
    if not all(isinstance(each, dict) for each in found):
        raise Wrong("<< merges mappings only", _line(event))
    return found


def _line(event: Any) -> int:
    return event.start_mark.line + 1


def _shown_tag(tag: str) -> str:
    return tag.replace(_TAG, "!!", 1)[:60]
