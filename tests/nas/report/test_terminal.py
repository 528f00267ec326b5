"""What is printed is text, whoever wrote it; tables show whole figures at any width and say what they leave out."""

import io
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from nas import Objective, search
from nas.report.progress import Progress
from nas.report.terminal import Column, print_table, say
from nas.storage.records import Evaluation
from nas.storage.states import State
from search_spaces import Choice, SearchSpace
from search_spaces.text import printable

HOSTILE = st.text(st.sampled_from("ab [/]:$`'\\\x1b\x9b\n\r\t\u202e\udcff図"), min_size=1, max_size=30)


def console(width=160, terminal=False, encoding="utf-8", **options):
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    return Console(file=stream, width=width, force_terminal=terminal, color_system=None, **options)


def printed(console):
    console.file.flush()
    return console.file.buffer.getvalue().decode(console.file.encoding)


def test_an_evaluator_s_message_is_no_markup(tmp_path, capsys):
    def evaluate(architecture):
        if architecture["a"] % 2:
            raise ValueError("cannot read [photos/x.jpg] of \x1b[31m:smile:\udcff\nand more")
        return {"gain": architecture["a"]}

    space = SearchSpace("toy", [Choice("a", list(range(6)))])
    run = search(space, evaluate, [Objective("gain", "max")], max_evaluations=6, directory=tmp_path / "run")
    assert len(run.evaluations) == 3 and len(run.all_evaluations) == 6
    said = capsys.readouterr().out
    assert said.count(r"failed: ValueError: cannot read [photos/x.jpg] of \x1b[31m:smile:\udcff  (") == 3
    assert "\x1b" not in said


@given(HOSTILE)
@settings(max_examples=50, deadline=None)
def test_progress_says_text_as_it_is(text):
    for terminal in (False, True):
        shown = console(terminal=terminal)
        progress = Progress([Objective(text, "max")], 3, shown)
        progress.retried("key", text, 1)
        out = printed(shown)
        assert "\x1b" not in out and f"key  {printable(text)}".split() == out.split()


@given(HOSTILE, st.sampled_from([40, 80, 160]))
@settings(max_examples=50, deadline=None)
def test_tables_show_text_as_it_is(text, width):
    shown = console(width)
    print_table(shown, text, [Column("a"), Column(text, rank=1)], [[text, text]])
    out = printed(shown)
    assert not re.search("[\x1b\x9b\r\t\u202e\udcff]", out)
    assert out.startswith(f"{printable(text).rstrip()}" if printable(text).strip() else "")


@pytest.mark.parametrize("width", [40, 60, 80, 160])
def test_the_live_table_has_whole_figures(width):
    shown = console(width)
    architecture = SearchSpace("toy", [Choice("a", [1])]).architecture(a=1)
    metrics = {"map50_95": 0.123, "latency_ms@board": 1208.35, "params": 1_436_977}
    progress = Progress([Objective(name, "min") for name in metrics], 1_000, shown)
    progress.restore([Evaluation(architecture, State.FINISHED, metrics)], 612.5)
    shown.print(progress._table())
    words = printed(shown).split()
    assert {"0.123,", "1208.35,", "1,436,977", "612.5/1000"} <= set(words)
    assert all(len(line) <= width for line in printed(shown).splitlines()[1:])


def test_time_left_counts_down_and_what_has_no_number_of_evaluations_shows_none(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("nas.report.progress.time.monotonic", lambda: now[0])
    shown = console(terminal=True)
    progress = Progress([Objective("gain", "max")], None, shown)
    assert "left" not in progress._ends() and "0 evaluated" in progress._counted()
    progress.lasts(90.0)
    now[0] += 30
    assert "about 1 min 00 s left" in progress._ends()
    now[0] += 300
    shown.print(progress._table())
    assert "about 0 s left" in printed(shown)
    progress.lasts(None)
    assert "left" not in progress._ends()


def test_what_an_encoding_does_not_have_ends_nothing():
    shown = console(encoding="ascii")
    say(shown, "図 é")
    print_table(shown, "é", [Column("a")], [["図"]])
    assert printed(shown).startswith("\\u56f3 \\xe9\n\\xe9\n") and "\\u56f3" in printed(shown)


def test_lines_are_broken_between_words_and_never_in_a_command():
    text = "to go on, run `evoyolo resume 'results/my long run' --max-evaluations 50` and wait for 1,234 more"
    for width in (20, 40, 80):
        shown = console(width, terminal=True)
        say(shown, text)
        lines = printed(shown).splitlines()
        assert " ".join(lines) == text and any(
            "`evoyolo resume 'results/my long run' --max-evaluations 50`" in x for x in lines
        )
        assert all(len(line) <= width or line.startswith("`") for line in lines)
    log = console(40)
    say(log, text)
    assert printed(log) == f"{text}\n"


COLUMNS = [
    Column("model"),
    Column("mAP50-95", True, 1),
    Column("latency ms pi", True, 2),
    Column("parameters", True, 3),
]
COLUMNS += [Column("MACs", True, 5), Column("training s", True, 4)]
ROWS = [["fe274a9ad389 light-recipe (off the front)", "0.123", "1,208.35", "1,436,977", "120,000,000", "14.25"]] * 2


@pytest.mark.parametrize(
    ("width", "left_out"),
    [(30, 4), (40, 3), (60, 2), (62, 1), (80, 0), (160, 0)],
)
def test_narrow_tables_leave_out_columns_and_say_so(width, left_out):
    shown = console(width)
    print_table(shown, "front", COLUMNS, ROWS, elsewhere="front.csv")
    out = printed(shown)
    order = [column.heading for column in sorted(COLUMNS, key=lambda column: column.rank)]
    kept = [i for i, column in enumerate(COLUMNS) if column.heading in order[: len(order) - left_out]]
    table, _, note = out.partition("└")
    assert all(table.count(f" {ROWS[0][i]} ") == 2 for i in kept if i) and "…" not in out
    assert not any(ROWS[0][i] in table for i in range(len(COLUMNS)) if i not in kept)
    assert ("left out; front.csv shows all" in note) == bool(left_out)
    assert all(COLUMNS[i].heading in note for i in range(len(COLUMNS)) if i not in kept)
    assert all(len(line) <= width for line in table.splitlines())
