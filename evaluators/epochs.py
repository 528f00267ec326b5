"""How far a long training is: a small file in its folder, written after every epoch, which others may read meanwhile."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from search_spaces import InputError
from search_spaces.files import read_json
from search_spaces.validation import Real, Whole
from search_spaces.writing import own, write_text

FILE = "progress.json"
Count = Annotated[Whole, Field(ge=0)]
Seconds = Annotated[Real, Field(ge=0)]


class Epochs(BaseModel):
    """A training after one of its epochs.

    Attributes:
        epoch: that is done, of `epochs`.
        seconds: of training so far; `epoch_seconds` those of an epoch now.
        map50_95: at the latest validation, by Ultralytics' validator; `best` is the highest, after `best_epoch`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    epoch: Count
    epochs: Count
    seconds: Seconds
    epoch_seconds: Seconds
    map50_95: Real | None = None
    best: Real | None = None
    best_epoch: Count = 0

    @property
    def seconds_left(self) -> float:
        """Seconds until the last epoch, as things go."""
        return self.epoch_seconds * max(0, self.epochs - self.epoch)

    def write(self, directory: Path) -> None:
        """Leave it in the folder of the training."""
        write_text(directory / FILE, json.dumps(self.model_dump()))


def epochs_of(directory: Path) -> Epochs | None:
    """How far the training in a folder is; None where it has not come through an epoch, or nothing that can be read says it."""
    try:
        return Epochs(**read_json(own(directory / FILE, directory)))
    except (InputError, ValidationError, TypeError):  # it is shown and nothing depends on it
        return None
