"""Where lines and tables are printed: text as it is, commands whole, figures never cut."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console, JustifyMethod
from rich.table import Table
from rich.text import Text

from search_spaces.errors import all_of
from search_spaces.text import printable

from ..formatting import wrapped

LOG_WIDTH = 160  # columns of what is no terminal, unless COLUMNS says more
NARROWEST = 12  # columns that a word of a table keeps, if it is as long


def make_console() -> Console:
    """The terminal, or a log, which is not wrapped at 80 columns; what users wrote is never taken for markup.

    It is what stdout is now: a training in this process turns stdout into its own log for a while.
    """
    console = Console(file=sys.stdout, markup=False, emoji=False)
    if console.is_terminal:
        return console
    asked = os.environ.get("COLUMNS", "")
    width = max(LOG_WIDTH, int(asked)) if asked.isdecimal() else LOG_WIDTH
    return Console(file=sys.stdout, width=width, markup=False, emoji=False)


def as_text(console: Console, text: str, style: str = "") -> Text:
    """What a console prints as it stands: no markup, no codes, and only characters that its encoding has."""
    return Text(printable(text).encode(console.encoding, "backslashreplace").decode(console.encoding), style)


def say(console: Console, text: str) -> None:
    """Print a line; on a terminal that is narrower it goes on in the next, between words and never inside of a command."""
    shown = as_text(console, text)
    lines = wrapped(shown.plain, console.width) if console.is_terminal else [shown.plain]
    for line in lines:
        console.print(Text(line), soft_wrap=True)


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        figures: whether its cells are figures, which are never broken; words may go on in the next line.
        rank: of several columns that do not fit, those of the highest rank are left out first; one of rank 0 never is.
    """

    heading: str
    figures: bool = False
    rank: int = 0


def print_table(
    console: Console,
    title: str,
    columns: Sequence[Column],
    rows: Sequence[Sequence[str]],
    *,
    dim: Collection[int] = (),
    elsewhere: str | None = None,
) -> None:
    """Print as many columns as fit, the important ones first, and say which were left out.

    Args:
        rows: of one cell per column.
        dim: numbers of rows that stand back.
        elsewhere: what has the columns that were left out, for a message; None is a wider terminal.
    """
    cells = [[as_text(console, cell) for cell in row] for row in rows]
    headings = [as_text(console, column.heading) for column in columns]
    ranges = [
        _range(column, h.plain, [row[i].plain for row in cells]) for i, (column, h) in enumerate(zip(columns, headings))
    ]
    widths = _fitting(columns, ranges, console.width)
    table = Table()
    for i in sorted(widths):
        justify: JustifyMethod = "right" if columns[i].figures else "left"
        table.add_column(headings[i], justify=justify, width=widths[i], overflow="fold")
    for number, row in enumerate(cells):
        table.add_row(*(row[i] for i in sorted(widths)), style="dim" if number in dim else None)
    say(console, title)
    console.print(table)
    left_out = [column.heading for i, column in enumerate(columns) if i not in widths]
    if left_out:
        wider = "a wider terminal" if console.is_terminal else f"COLUMNS={_total([least for least, _ in ranges])}"
        which = f"{all_of(left_out)} {'is' if len(left_out) == 1 else 'are'} left out"
        say(console, f"at {console.width} columns, {which}; {elsewhere or wider} shows all")


def _total(widths: Iterable[int]) -> int:
    """Columns of a table whose cells are so wide: each has a blank on either side, and a line between any two."""
    return 1 + sum(width + 3 for width in widths)


def _range(column: Column, heading: str, cells: Sequence[str]) -> tuple[int, int]:
    """The least width of a column, and the one at which nothing of it is broken."""
    words = [min(cell_len(word), NARROWEST) for cell in cells for word in cell.split()]
    wide = [cell_len(cell) for cell in cells]
    least = max([1, *map(cell_len, heading.split()), *(wide if column.figures else words)])
    return least, max([least, cell_len(heading), *wide])


def _fitting(columns: Sequence[Column], ranges: Sequence[tuple[int, int]], width: int) -> dict[int, int]:
    """Number of a column -> its width, of those that are shown."""
    order = sorted(range(len(columns)), key=lambda i: columns[i].rank)
    while _total(ranges[i][0] for i in order) > width and columns[order[-1]].rank:
        order.pop()
    spare = max(0, width - _total(ranges[i][0] for i in order))
    widths = {}
    for i in order:  # what is important is broken last
        least, whole = ranges[i]
        widths[i] = min(whole, least + spare)
        spare -= widths[i] - least
    return widths
