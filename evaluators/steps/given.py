"""Given: a checkpoint from elsewhere, which the steps after it begin with."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Any

from .step import Step, Workpiece

FILE = "given.pt"


class Given(Step):
    """Copies a checkpoint into the folder, as it is.

    Attributes:
        path: of the checkpoint.
    """

    name = "given"
    is_searched = False
    writes = ("weights",)

    path: str

    def run(self, piece: Workpiece) -> dict[str, float]:
        piece.wrote("weights", Path(shutil.copyfile(self.path, piece.directory / FILE)))
        return {}

    def digest(self, piece: Workpiece) -> Any:
        return hashlib.sha256(Path(self.path).read_bytes()).hexdigest()


STEP = Given
