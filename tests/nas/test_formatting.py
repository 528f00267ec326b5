"""Numbers as people read them, commands as shells do, lines of a given width."""

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.formatting import best, budget, columns, command, duration, number, wrapped
from nas.objectives import Objective
from search_spaces.text import printable


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (200, "3 min 20 s"),
        (3599.7, "1 h 00 min"),
        (7500, "2 h 05 min"),
    ],
)
def test_durations(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("map50_95", 0.12345, "0.123"),
        ("latency_ms", 8.346, "8.35"),
        ("latency_ms@pi", 25, "25.00"),
        ("train_seconds", 4.349, "4.35"),
        ("params", 1436977, "1,436,977"),
        ("macs", 1.2e8, "120,000,000"),
        ("peak", 1234.5, "1,234"),
        ("latency_difference_percent@pi", 12.4, "+12"),
        ("latency_difference_percent", -3.0, "-3"),
    ],
)
def test_metrics(name, value, text):
    assert number(name, value) == text


def test_budgets_are_whole_unless_spent_in_parts():
    assert (budget(3), budget(2.25), budget(3.0)) == ("3", "2.2", "3.0")


def test_the_best_of_every_objective():
    objectives = [Objective("map50_95", "max"), Objective("latency_ms", "min")]
    metrics = [{"map50_95": 0.3, "latency_ms": 9.0}, {"map50_95": 0.1, "latency_ms": 2.0}]
    assert best(metrics, objectives) == "map50_95 0.300, latency_ms 2.00"
    assert best([], objectives) == ""


@pytest.mark.parametrize(
    ("words", "options", "shown"),
    [
        (["resume", Path("results/search")], {}, "`evoyolo resume results/search`"),
        (["resume", Path("mis [v2]")], {"max_evaluations": 50}, "`evoyolo resume 'mis [v2]' --max-evaluations 50`"),
        (["front", Path("-run")], {"device": Path("-x.json")}, "`evoyolo front ./-run --device ./-x.json`"),
        (
            ["pick", "it's"],
            {"device": None, "max_latency_ms": "2.5"},
            """`evoyolo pick 'it'"'"'s' --max-latency-ms 2.5`""",
        ),
        (["show", "a\x1b\n'b"], {}, r"`evoyolo show $'a\x1b\x0a\'b'`"),
    ],
)
def test_commands_are_quoted_for_a_shell(words, options, shown):
    assert command(*words, **options) == shown


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1))
@settings(max_examples=50, deadline=None)
def test_a_shell_reads_the_words_that_were_meant(name):
    shown = command("resume", name)
    assert printable(shown) == shown
    bash = ["bash", "-c", f"printf '%s\\0' {shown[1:-1]}"]
    done = subprocess.run(bash, capture_output=True, check=True, env={"LC_ALL": "C.UTF-8", "PATH": os.environ["PATH"]})
    words = done.stdout.decode().split("\0")
    assert words == ["evoyolo", "resume", f"./{name}" if name.startswith("-") else name, ""]


def test_a_file_name_that_is_no_utf8_is_typed_byte_by_byte():
    name = os.fsdecode(b"caf\xe9")
    done = subprocess.run(
        ["bash", "-c", f"printf %s {command('x', name)[1:-1].split()[-1]}"], capture_output=True, check=True
    )
    assert done.stdout == b"caf\xe9"


@given(st.text(), st.integers(1, 100))
def test_lines_hold_all_words_in_their_order(text, width):
    text = printable(text)
    lines = wrapped(text, width)
    assert " ".join(lines).split() == text.split()
    assert all(columns(line) <= width or len(line.split()) <= 2 or "`" in line for line in lines)


def test_a_figure_and_its_unit_stay_together():
    text = "this command searched for 14 s, at 2.50 ms (1 h 05 min) and 320 px"
    for width in range(8, 70):
        for line in wrapped(text, width):
            assert not line.split()[-1].strip("(,.").replace(".", "").isdigit()
