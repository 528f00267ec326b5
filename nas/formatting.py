"""What people read: metrics, durations, shares of a budget; commands that can be copied; lines of a given width."""

from __future__ import annotations

import math
import re
import shlex
import unicodedata
from collections.abc import Mapping, Sequence

from search_spaces.text import printable

from .objectives import Objective

# a command, which is copied from one line; a figure and its unit; a word
TOKEN = re.compile(r"\s*(?:`[^`]*`\S*|\S*\d (?:h|min|s|ms|px)(?!\w)\S*|\S+)")


def duration(seconds: float) -> str:
    """12 s, 3 min 20 s, 2 h 05 min."""
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60:02d} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60:02d} min"


def budget(spent: float) -> str:
    """Whole evaluations as they are printed: with several fidelities they are spent in parts."""
    return f"{spent:.1f}" if isinstance(spent, float) else f"{spent}"


def number(name: str, value: float) -> str:
    """The value of metric `name` as tables print it."""
    if name.partition("@")[0].endswith("_percent"):
        return f"{value:+.0f}"
    if "_ms" in name or name.endswith("_seconds"):
        return f"{value:.2f}"
    if isinstance(value, int) or float(value).is_integer() and abs(value) >= 1000:
        return f"{int(value):,}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3f}"


def rounded(error: float) -> str:
    """A standard error or deviation: one figure, for more are not known of it; whole above 1."""
    if error >= 1 or not error:
        return f"{error:,.0f}"
    return f"{error:.{math.ceil(-math.log10(error))}f}"


def with_error(name: str, value: float, errors: Mapping[str, float]) -> str:
    """The value of metric `name` with its standard error, where it has one among `errors`: 0.512 ± 0.03."""
    text = number(name, value)
    return f"{text} ± {rounded(errors[name])}" if errors.get(name) else text


def best(metrics: Sequence[Mapping[str, float]], objectives: Sequence[Objective]) -> str:
    """The best value of every objective among some results; empty where there are none."""
    values = {o: [m[o.metric] for m in metrics] for o in objectives}
    return ", ".join(
        f"{o.metric} {number(o.metric, max(v) if o.direction == 'max' else min(v))}" for o, v in values.items() if v
    )


def command(*words: object, **options: object) -> str:
    """An `evoyolo` command for a message: `command("resume", path, max_minutes=5)`.

    An option that is None is not given, and one that is True has no value.
    """
    return shell_command("evoyolo", *words, **options)


def shell_command(*words: object, **options: object) -> str:
    """A command for a message: in backticks, each word quoted for a shell, also a file name that begins with a hyphen."""
    program, *rest = map(_quoted, words)
    for name, value in options.items():
        flag = [f"--{name.replace('_', '-')}"]
        rest += flag if value is True else [*flag, _quoted(value)] if value is not None else []
    return f"`{' '.join([program, *rest])}`"


def _quoted(word: object) -> str:
    text = str(word)
    text = f"./{text}" if text.startswith("-") else text
    if printable(text) == text:
        return shlex.quote(text)
    # what cannot be printed can still be typed, in the notation of bash and zsh
    return f"$'{''.join(map(_typed, text))}'"


def _typed(character: str) -> str:
    if character in "\\'":
        return f"\\{character}"
    if printable(character) == character:
        return character
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # how Python reads a byte that is no UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}"


def wrapped(text: str, width: int) -> list[str]:
    """`text` in lines of at most `width` columns, broken between words; a command, or a longer word, stays whole."""
    lines = [""]
    for token in TOKEN.findall(text):
        if lines[-1] and columns(lines[-1] + token) > width:
            lines.append(token.lstrip())
        else:
            lines[-1] += token
    return lines


def columns(text: str) -> int:
    """The columns of a terminal that a text takes."""
    wide = sum(unicodedata.east_asian_width(character) in "WF" for character in text)
    return len(text) + wide - sum(map(bool, map(unicodedata.combining, text)))
