"""What is kept beside the files of a model that was trained out: how its training went, and its last state."""

from __future__ import annotations

import shutil
from collections.abc import Iterable

from search_spaces.writing import own

from ..storage.run import Run
from ..storage.written import Written

BESIDE = ("results.csv", "train.log", "last.pt")


def keep_beside(run: Run, keys: Iterable[str]) -> None:
    """Copy them from the trials of these models to where their other files are; what a trial does not have is left out.

    Raises:
        InputError: a file is there that the run did not write.
    """
    written = Written(run.folder)
    for key in keys:
        trial = run.folder.trial(key).path
        for name in BESIDE:
            source = own(trial / name, trial)
            target = own(run.folder.model(key) / name, run.folder.path)
            if source.is_file():
                with written.replacing(target) as file:
                    shutil.copyfile(source, file)
