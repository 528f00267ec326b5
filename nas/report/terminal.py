"""Where lines and tables are printed: text as it is, commands whole, figures never cut."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from search_spaces.errors import all_of
from search_spaces.text import printable

from ..formatting import wrapped

LOG_WIDTH = 160  # columns of what is no terminal
NARROWEST = 12  # columns that a word of a table keeps, if it is as long


def make_console() -> Console:
    """The terminal, or a log, which is not wrapped at 80 columns; what users wrote is never taken for markup."""
    console = Console(markup=False, emoji=False)
    return console if console.is_terminal else Console(width=LOG_WIDTH, markup=False, emoji=False)


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
    elsewhere: str = "a wider terminal shows them",
) -> None:
    """Print as many columns as fit, the important ones first, and say which were left out.

    Args:
        rows: of one cell per column.
        dim: numbers of rows that stand back.
        elsewhere: where the columns that were left out can be seen.
    """
    cells = [[as_text(console, cell) for cell in row] for row in rows]
    headings = [as_text(console, column.heading) for column in columns]
    widths = _fitting(
        columns,
        [[heading.plain, *(row[i].plain for row in cells)] for i, heading in enumerate(headings)],
        console.width,
    )
    table = Table()
    for i in sorted(widths):
        justify = "right" if columns[i].figures else "left"
        table.add_column(headings[i], justify=justify, width=widths[i], overflow="fold")
    for number, row in enumerate(cells):
        table.add_row(*(row[i] for i in sorted(widths)), style="dim" if number in dim else None)
    say(console, title)
    console.print(table)
    left_out = [column.heading for i, column in enumerate(columns) if i not in widths]
    if left_out:
        say(
            console,
            f"at {console.width} columns, {all_of(left_out)} {'is' if len(left_out) == 1 else 'are'} left out; {elsewhere}",
        )


def _fitting(columns: Sequence[Column], texts: Sequence[Sequence[str]], width: int) -> dict[int, int]:
    """Number of a column -> its width, of those that are shown; `texts` are the heading and cells of each."""
    least, natural = {}, {}
    for i, (column, (heading, *cells)) in enumerate(zip(columns, texts)):
        words = [min(cell_len(word), NARROWEST) for cell in cells for word in cell.split()]
        wide = [cell_len(cell) for cell in cells]
        least[i] = max([*map(cell_len, heading.split()), *(wide if column.figures else words)], default=0)
        natural[i] = max(cell_len(heading), *wide) if wide else cell_len(heading)
    order = sorted(least, key=lambda i: columns[i].rank)
    while sum(least[i] + 3 for i in order) + 1 > width and columns[order[-1]].rank:
        order.pop()
    spare = max(0, width - 1 - sum(least[i] + 3 for i in order))
    widths = {}
    for i in order:  # what is important is broken last
        widths[i] = least[i] + min(spare, max(0, natural[i] - least[i]))
        spare -= widths[i] - least[i]
    return widths
