"""One model of a run in files: those that are there, or exported anew."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from search_spaces import InputError
from search_spaces.writing import own, replacing

from ..storage.folder import RunFolder
from ..storage.run import Run
from ..storage.store import Evaluation
from ..storage.written import Written, digest
from .files import model_files, sources


def hand_over(run: Run, evaluation: Evaluation, folder: Path | None = None) -> dict[str, Path]:
    """The files of one model of the run, by kind, copied into `folder` if one is given.

    They are exported anew only where one is missing, so that nothing heavy is loaded for those that are there; into `folder`
    where the run's own cannot be written.

    Raises:
        InputError: a file is missing, and so is what it would be made of; or `folder` holds another file of that name.
    """
    files = model_files(run, evaluation)
    targets = {kind: folder / path.name for kind, path in files.items()} if folder else {}
    if not all(path.exists() for path in files.values()):
        sources(run, evaluation)  # before anything heavy is loaded
        can_write = os.access(run.directory, os.W_OK)
        if not can_write and folder is None:
            raise InputError(
                f"{run.directory} cannot be written, and has not all files of {evaluation.key}; name a folder for them (--output)"
            )
        from .export import export_files

        if can_write:
            export_files(run, evaluation)
        else:
            _check_free(run, targets, {})
            export_files(run, evaluation, targets)
            for target in targets.values():
                _HandedOver.beside(target).adopt(target)
            return targets
    if folder is None:
        return files
    _check_free(run, targets, files)
    folder.mkdir(parents=True, exist_ok=True)
    for kind, path in files.items():
        with replacing(targets[kind]) as temporary:
            shutil.copyfile(path, temporary)
        _HandedOver.beside(targets[kind]).adopt(targets[kind])
    return targets


class _HandedOver(Written):
    """What was handed over into a folder of the user's, which has a record of its own; without one nothing in it is ours."""

    @classmethod
    def beside(cls, target: Path) -> _HandedOver:
        """The record of the folder that a file is, or is to be, in."""
        return cls(RunFolder(target.parent))

    @property
    def _file(self) -> Path:
        return own(self.folder.path / ".handed-over.json", self.folder.path)

    def _known(self) -> dict[str, list[str]]:
        return super()._known() or {}


def _check_free(run: Run, targets: dict[str, Path], files: dict[str, Path]) -> None:
    """Raise InputError where one of the files to be written is there, and neither the same nor one that was handed over."""
    written = Written(run.folder)
    for kind, target in targets.items():
        if os.path.lexists(target) and not _HandedOver.beside(target).is_ours(target):
            content = digest(target) if target.is_file() else None
            same = kind in files and content == digest(files[kind])
            if content is None or not (same or written.holds(content)):
                raise InputError(
                    f"{target} exists and is no file of {run.directory}; it is left as it is: name another folder"
                )
