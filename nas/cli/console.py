"""Where tables and progress are printed."""

from __future__ import annotations

import sys

from rich.console import Console


def make_console() -> Console:
    """The terminal, or a log, which is not wrapped at 80 columns; what users wrote is never taken for markup.

    It is what stdout is now: a training in this process turns stdout into its own log for a while.
    """
    console = Console(file=sys.stdout, markup=False, emoji=False)
    return console if console.is_terminal else Console(file=sys.stdout, width=160, markup=False, emoji=False)
