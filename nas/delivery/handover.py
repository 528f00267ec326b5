"""One model of a run in files: those that are there, or exported anew."""

from __future__ import annotations

import shutil
from pathlib import Path

from search_spaces import InputError

from ..storage.run import Run
from ..storage.store import Evaluation
from .files import FILES, model_files


def hand_over(run: Run, evaluation: Evaluation, folder: Path | None = None) -> dict[str, Path]:
    """The files of one model of the run, by kind, copied into `folder` if one is given.

    They are exported anew only where one is missing, so that nothing heavy is loaded for those that are there.

    Raises:
        InputError: a file is missing, and so is the checkpoint that it would be made of.
    """
    files = model_files(run, evaluation)
    if not all(path.exists() for path in files.values()):
        if not (run.folder.trial(evaluation.key).path / FILES["checkpoint"]).exists():
            raise InputError(f"{run.directory} keeps no checkpoint of {evaluation.key}")
        from .export import export_files

        export_files(run, evaluation)
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
        files = {kind: Path(shutil.copyfile(path, folder / path.name)) for kind, path in files.items()}
    return files
