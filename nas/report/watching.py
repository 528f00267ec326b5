"""Lines of a log about a long training that goes on somewhere below a folder, as it says itself."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

from evaluators.epochs import FILE, Epochs, epochs_of
from search_spaces import InputError

from .how_far import in_words

LOOKS = 1.0  # seconds between two looks
SAID = 10  # lines for a training


class Watching:
    """While it is open, every training that has begun since is spoken of whenever it has come a part further.

    Args:
        say: must know where to: a training in this process has the standard output redirected to its log.
    """

    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        self.folder, self.say = folder, say
        self._told: dict[Path, int] = {}  # folder of a training -> the part of its epochs that was said
        self._over = threading.Event()
        self._looking = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Watching:
        self._began = time.time()
        self._looking.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._over.set()
        self._looking.join()
        self.tell()

    def _look(self) -> None:
        while not self._over.wait(LOOKS):
            self.tell()

    def tell(self) -> None:
        """Say what is new."""
        for file in self.folder.rglob(FILE):
            found = self._read(file)
            if found is None:
                continue
            part = SAID * found.epoch // max(1, found.epochs)
            if self._told.get(file.parent) != part and part:
                self._told[file.parent] = part
                self.say(f"  {in_words(found)}")

    def _read(self, file: Path) -> Epochs | None:
        try:
            return epochs_of(file.parent) if file.stat().st_mtime >= self._began - 1 else None
        except (InputError, OSError):  # a link, or one that has just been moved away
            return None
