"""Text from outside, as text: nothing in it moves a terminal's cursor, turns a line around or ends it."""

from __future__ import annotations

import re

BREAKS = re.compile(r"[\t-\r\x85\u2028\u2029]+")  # tabs and ends of lines
# the other control characters, those that turn the direction of what follows, and bytes that were no UTF-8
COMMANDS = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: object) -> str:
    """`text` in one line that may be printed anywhere, whoever wrote it: file names, messages of exceptions, class names.

    Ends of lines and tabs become a blank; what a terminal would obey is shown as Python writes it (`\\x1b`).
    """
    return COMMANDS.sub(_written_out, BREAKS.sub(" ", str(text)))


def _written_out(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"
