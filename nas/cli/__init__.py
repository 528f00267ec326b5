"""The `evoyolo` command."""

from __future__ import annotations

import signal


def main(arguments: list[str] | None = None) -> int:
    """As `nas.cli.main.main`, for a process of its own: its imports may be interrupted as well, and its end."""
    try:
        from .main import main as run

        status = run(arguments)
    except KeyboardInterrupt as interrupt:
        from .command import interrupted

        status = interrupted(interrupt)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # while libraries wind down, Ctrl-C ends the process without a word
    return status
