"""Where tables and progress are printed."""

from __future__ import annotations

from rich.console import Console


def make_console() -> Console:
    """The terminal, or a log, which is not wrapped at 80 columns; what users wrote is never taken for markup."""
    console = Console(markup=False, emoji=False)
    return console if console.is_terminal else Console(width=160, markup=False, emoji=False)
