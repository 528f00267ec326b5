"""Long work of many small steps: one line that changes on a terminal, a few lines in a log."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Literal

from rich.console import Console
from rich.live import Live

from ..formatting import duration
from .terminal import as_text, say

SAID = 3  # lines in a log for the steps of one kind
QUICK = 2.0  # seconds of work that nobody needs to be told of
COUNT = re.compile(r"(\d+)/(\d+) (?:models|images)")  # in what a step says


class Steps:
    """Takes what the work says, one text after another: "exported 3/19 models, 12 s left" is a step, others are said as they are."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._said: set[tuple[str, int]] = set()  # kind of step, part of all of them
        self._live = Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else None

    def __enter__(self) -> Steps:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._live:
            self._live.stop()

    def __call__(self, text: str) -> None:
        found = COUNT.search(text)
        if not found:
            say(self.console, text)
        elif self._live:
            self._live.update(as_text(self.console, text), refresh=True)
        else:
            done, total = map(int, found.groups())
            part = text[: found.start()], SAID * done // max(1, total)
            if part[1] and part not in self._said:
                self._said.add(part)
                say(self.console, text)

    def counting(self, what: str, of: Literal["images", "models"] = "images") -> Callable[[int, int], None]:
        """The function (done, total) that tells what has been done to how many of them, once a second, with the time that is left."""
        began = told = time.monotonic()

        def tell(done: int, total: int) -> None:
            nonlocal told
            now = time.monotonic()
            if now - began > QUICK and (now - told > 1 or done == total):
                told = now
                self(f"{what} {done}/{total} {of}, {duration((now - began) / done * (total - done))} left")

        return tell
