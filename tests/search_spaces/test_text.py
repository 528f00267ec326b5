"""Text from outside: what may be printed of it, whatever it holds."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search_spaces.text import printable

OBEYED = {"Cc", "Cs", "Zl", "Zp"}
TURNING = set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("mis [v2]", "mis [v2]"),
        (":smile: $x$ 図 naïve 👩\u200d🔬", ":smile: $x$ 図 naïve 👩\u200d🔬"),
        ("\x1b[2J\x1b]0;title\x07", r"\x1b[2J\x1b]0;title\x07"),
        ("a\r\nb\tc\u2028d\x85e", "a b c d e"),
        ("\x9b31m\x7f", r"\x9b31m\x7f"),
        ("photo\u202egpj.exe", r"photo\u202egpj.exe"),
        ("byte \udcff", r"byte \udcff"),
    ],
)
def test_what_a_terminal_would_obey_is_written_out(text, shown):
    assert printable(text) == shown


@given(st.text(st.characters()))
def test_nothing_that_a_terminal_obeys_is_left_and_nothing_else_is_changed(text):
    shown = printable(text)
    assert not any(unicodedata.category(c) in OBEYED or c in TURNING for c in shown)
    assert printable(shown) == shown
    kept = [c for c in text if unicodedata.category(c) not in OBEYED and c not in TURNING]
    rest = iter(shown)
    assert all(c in rest for c in kept)  # in their order
