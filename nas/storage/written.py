"""What a run has written for people, so that nothing of theirs that has the same name is replaced or removed."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

from search_spaces import InputError, writing
from search_spaces.files import read_json

from .folder import RunFolder


class Written:
    """The files that a run writes for people, with a digest of what was written: only what is still so is ours.

    A run that was begun without such a record, by an earlier version or without a command, takes all that has our names for
    its own.
    """

    def __init__(self, folder: RunFolder):
        self.folder = folder

    def begin(self) -> None:
        """Begin the record of a new run; what an earlier one in this folder wrote, and is still so, is ours."""
        self._save(self._known() or {})

    def end(self) -> None:
        """Forget the run, which came to nothing."""
        self._file.unlink(missing_ok=True)

    def is_ours(self, path: Path) -> bool:
        """Whether a file is as this run wrote it."""
        known = self._known()
        if known is None:
            return self.folder.exists
        return path.is_file() and digest(path) in known.get(self._name(path), ())

    def adopt(self, path: Path) -> None:
        """Take a file that is there for one that the run has written."""
        self._record(path, path)

    def check(self, *paths: Path) -> None:
        """Raise InputError where something is there already that is not as this run wrote it."""
        for path in paths:
            if os.path.lexists(path) and not self.is_ours(path):
                raise InputError(
                    f"{path} was not written by this run, or was changed since; it is left as it is: move it, or name another "
                    "folder for the run"
                )

    @contextlib.contextmanager
    def replacing(self, path: Path) -> Iterator[Path]:
        """As `search_spaces.writing.replacing`, of one of the run's files. Raises InputError as `check` does."""
        self.check(path)
        with writing.replacing(path) as temporary:
            yield temporary
            self._record(path, temporary)  # before the file is there: whichever of the two a crash leaves is known

    def write_text(self, path: Path, text: str) -> None:
        """As `search_spaces.writing.write_text`, of one of the run's files. Raises InputError as `check` does."""
        with self.replacing(path) as temporary:
            temporary.write_text(text, encoding="utf-8")

    def remove(self, *paths: Path) -> None:
        """Remove what is still as it was written."""
        for path in paths:
            if path.exists() and self.is_ours(path):
                path.unlink()

    def holds(self, content: str) -> bool:
        """Whether the run has written a file with this digest."""
        return any(content in digests for digests in (self._known() or {}).values())

    def _record(self, path: Path, content: Path) -> None:
        """Take note of what `path` is going to hold, beside what it held."""
        if (known := self._known()) is not None:
            name = self._name(path)
            self._save({**known, name: [*known.get(name, [])[-1:], digest(content)]})

    @property
    def _file(self) -> Path:
        return self.folder.written

    def _name(self, path: Path) -> str:
        return path.relative_to(self.folder.path).as_posix()

    def _known(self) -> dict[str, list[str]] | None:
        try:
            known = read_json(self._file)
        except InputError:
            return None
        return known if isinstance(known, dict) and all(isinstance(each, list) for each in known.values()) else None

    def _save(self, known: dict[str, list[str]]) -> None:
        writing.write_text(self._file, json.dumps(known, indent=1))


def digest(path: Path) -> str:
    """Of a file's content."""
    content = hashlib.sha256()
    with open(path, "rb") as file:
        while part := file.read(2**20):
            content.update(part)
    return content.hexdigest()
