"""Mutations of files: what a cut, a careless edit or a stranger may make of one, for the fuzz tests of all readers.

A reader either accepts what it is given or raises one InputError of one line; `Tally` counts which, and anything else fails.
"""

from __future__ import annotations

import copy
import json
import os
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from search_spaces import InputError

EXAMPLES = int(os.environ.get("EVOYOLO_FUZZ", "100"))  # of every test
TABLE = os.environ.get("EVOYOLO_FUZZ_TABLE")  # a file that the counts are added to

# Time is bounded by `timeout`; nothing is kept from one run to the next, since the inputs are whole files.
fuzzed = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture],
)

VALUES: list[Any] = [
    None, True, False, 0, 1, -1, 2, 7, 2**31, 2**40, 10**12, 2**63, 10**30, -(10**30), 0.5, -0.0, 1e-300, 1e300, 96.0,
    "", " ", "x", "0", "-1", "1e3", "yes", "null", "~", "..", "../../x", "/dev/zero", "a\nb", "\x1b[31m", "\u202e", "é" * 300,
    "{", "%s", "__class__", "self", [], [[]], [None], [1, 2, 3], ["x"] * 40, {}, {"": 0}, {"a": {"b": []}}, {"x": 1, "y": None},
]  # fmt: skip
TOKENS = [
    b"", b"NaN", b"-Infinity", b"1e999", b"-1", b"0", b"1.5", b"9" * 5000, b"1e400", b"0x1F", b"010", b"1_000", b"true", b"yes",
    b"~", b"null", b'"', b"'", b"[", b"]", b"{", b"}", b"[" * 3000, b"{a: " * 300, b"\\ud800", b"\\u0000", b"\x00", b"\x07",
    b"\xff\xfe", b"\xef\xbb\xbf", b"\xc3", b"\xe2\x80\xa8", b"\t", b"\r", b"\n", b",", b":", b": ", b"- ", b"? ", b"&a ", b"*a",
    b"&a [*a, *a]", b"<<: ", b"!!python/object:os.system x", b"!!int ", b"---\n", b"...\n", b"%YAML 1.1\n", b"#", b"../", b"<", b">",
]  # fmt: skip


@st.composite
def mutated_bytes(draw: Any, original: bytes) -> bytes:
    """The bytes of a file after one to four mutations: flips, cuts, lines twice or away, and hostile words."""
    content = original
    for _ in range(draw(st.integers(1, 4))):
        kind = draw(st.sampled_from(["flip", "cut", "delete", "insert", "word", "double", "line", "swap"]))
        at = draw(st.integers(0, max(len(content) - 1, 0)))
        if kind == "flip":
            content = content[:at] + bytes([draw(st.integers(0, 255))]) + content[at + 1 :]
        elif kind == "cut":
            content = content[:at]
        elif kind == "delete":
            content = content[:at] + content[at + draw(st.integers(1, 40)) :]
        elif kind == "insert":
            content = content[:at] + draw(st.sampled_from(TOKENS)) + content[at:]
        elif kind == "word":
            words = list(re.finditer(rb"[\w.+-]+", content))
            if words:
                word = words[draw(st.integers(0, len(words) - 1))]
                content = content[: word.start()] + draw(st.sampled_from(TOKENS)) + content[word.end() :]
        else:
            lines = content.splitlines(keepends=True) or [b""]
            first, second = (draw(st.integers(0, len(lines) - 1)) for _ in range(2))
            if kind == "double":
                lines.insert(second, lines[first])
            elif kind == "line":
                del lines[first]
            else:
                lines[first], lines[second] = lines[second], lines[first]
            content = b"".join(lines)
    return content


@st.composite
def mutated_document(draw: Any, original: Any) -> Any:
    """Plain data after one to three mutations: a value of another kind, an entry away, twice, or under another name."""
    whole = {"": copy.deepcopy(original)}
    for _ in range(draw(st.integers(1, 3))):
        places = _places(whole)
        holder, key = places[draw(st.integers(0, len(places) - 1))]
        kind = draw(st.sampled_from(["value", "value", "delete", "double", "move", "wrap"]))
        if kind == "value" or holder is whole:
            holder[key] = copy.deepcopy(draw(st.sampled_from(VALUES)))
        elif kind == "delete":
            del holder[key]
        elif kind == "wrap":
            holder[key] = draw(
                st.sampled_from([[holder[key]], {"x": holder[key]}, str(holder[key]), [holder[key]] * 2])
            )
        elif isinstance(holder, list):
            holder.insert(0, copy.deepcopy(holder[key]))
        elif kind == "double":
            holder[draw(st.sampled_from(["x", "", "self", *map(str, holder)]))] = copy.deepcopy(holder[key])
        else:
            holder[draw(st.sampled_from(["x", "", "self"]))] = holder.pop(key)
    return whole[""]


def _places(value: Any) -> list[tuple[Any, Any]]:
    """(collection, key) of every entry, at any depth."""
    inner = (
        list(value.items() if isinstance(value, dict) else enumerate(value)) if isinstance(value, (dict, list)) else []
    )
    return [(value, key) for key, _ in inner] + [place for _, each in inner for place in _places(each)]


def mutated_json(original: Any, seal: Callable[[Any], Any] = lambda document: document) -> st.SearchStrategy[bytes]:
    """A JSON file, mutated as plain data (then sealed, where such files are) or as bytes."""
    text = json.dumps(original, indent=1).encode()
    as_data = mutated_document(original).map(lambda document: json.dumps(seal(document)).encode())
    return as_data | mutated_bytes(text)


class Tally:
    """Counts what a reader makes of its inputs; used as `with Tally("search.yaml") as tally`."""

    def __init__(self, reader: str):
        self.reader, self.counts = reader, Counter()

    def __enter__(self) -> Tally:
        return self

    def __exit__(self, *exception: object) -> None:
        if TABLE:
            with open(TABLE, "a", encoding="utf-8") as file:
                file.write(json.dumps([self.reader, dict(self.counts)]) + "\n")

    def read(self, read: Callable[[Path], object], path: Path, content: bytes | None = None) -> None:
        """Write the content to the path, if any is given, and read it; anything but acceptance or one InputError of one line is raised."""
        if content is not None:
            path.write_bytes(content)
        self.counts["inputs"] += 1
        try:
            read(path)
        except InputError as error:
            assert "\n" not in str(error), str(error)
            self.counts["refused"] += 1
        except BaseException:
            self.counts["else"] += 1
            raise
        else:
            self.counts["accepted"] += 1
