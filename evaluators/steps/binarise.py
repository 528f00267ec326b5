"""Binarise: convolutions whose filters have two values each, learnt while the network is trained on (research)."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from search_spaces.validation import Whole
from search_spaces.writing import move

from .step import Workpiece
from .trained_on import TrainedOn

FILE = "binary.pt"


class Binarise(TrainedOn):
    """Binary weights, see `evaluators.compression.binary`; what it leaves is as large as before, and as fast.

    Attributes:
        epochs: of the training.
    """

    name = "binarise"
    metrics = ("train_seconds", "best_epoch", "binary_bytes")

    epochs: Annotated[Whole, Field(ge=1)] = 20

    def run(self, piece: Workpiece) -> dict[str, float]:
        from ..compression.binary import Binarisation, binary_bytes
        from ..training.checkpoint import load_checkpoint
        from ..training.train import discard_pauses

        given, file = piece.artefact("weights"), piece.directory / FILE
        folder = self.folder(piece, given)
        result = self.train_on(piece, given, self.epochs, folder, [Binarisation()])
        move(result.checkpoint, file)
        discard_pauses(folder)
        piece.wrote("weights", file)
        metrics = {**result.metrics, "binary_bytes": float(binary_bytes(load_checkpoint(file)))}
        return {name: metrics[name] for name in self.metrics}


STEP = Binarise
