"""Device profiles for people: when one is not true any more, and what is said of it."""

import io

import pytest
from rich.console import Console

from nas.report.devices import Check, describe, print_check


def test_a_profile_is_described_with_its_error(board):
    lines = describe(board)
    assert lines[0].startswith("board: a made-up board, onnxruntime 1.0")
    assert f"{100 * board.held_out.within_10:.0f}% of 40 within 10%" in lines[2]


@pytest.mark.parametrize(
    ("now", "is_true"), [([1.0, 2.0, 4.0], True), ([1.05, 2.1, 9.0], True), ([1.2, 1.6, 4.0], False)]
)
def test_the_typical_change_decides(board, now, is_true):
    check = Check(board, "1.0", 3.0, dict(zip("abc", zip([1.0, 2.0, 4.0], now))))
    assert check.is_true is is_true


def test_what_is_printed_of_a_check(board):
    out = io.StringIO()
    check = Check(board, "2.0", board.reference_ms, {"a": (1.0, 1.3)}, {"b": "no kernel [bold]"})
    print_check(check, Console(file=out, width=160))
    text = out.getvalue()
    assert "b: no kernel [bold]" in text and "2 of its models measured again" in text and "+30.0%" in text
    assert "the profile is of onnxruntime 1.0; installed is 2.0" in text
    assert "typical change 30.0%: the profile is not true any more" in text
