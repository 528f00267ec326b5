"""Sparsity training: a network trained on while its channels' factors are drawn to zero, so that pruning may go by them."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from search_spaces.validation import Real, Whole
from search_spaces.writing import replacing

from .step import Workpiece
from .trained_on import TrainedOn

if TYPE_CHECKING:
    from ..training.extension import Extension

FILE = "slim.pt"


class SparsityTraining(TrainedOn):
    """Trains on what the step before has left, see `evaluators.compression.slimming`; made for pruning by the criterion `bn`.

    What it leaves is the network after the last epoch, whose factors are the smallest, and not the one of the best mAP.

    Attributes:
        epochs: of it.
        strength: with which factors are drawn to zero. With AdamW, which long training has, no factor moves by more than about the learning
            rate (0.001, and half of it on average) with a step: from one to zero it is some 2,000 steps.
    """

    name = "sparsity_training"
    metrics = ("small_factors",)

    epochs: Annotated[Whole, Field(ge=1)] = 20
    strength: Annotated[Real, Field(gt=0)] = 0.001

    def extensions(self) -> list[Extension]:
        from ..compression.slimming import NetworkSlimming

        return [*super().extensions(), NetworkSlimming(self.strength)]

    def run(self, piece: Workpiece) -> dict[str, float]:
        from ..compression.slimming import small_factors
        from ..training import load_checkpoint
        from ..training.long import LAST
        from ..training.train import discard_pauses

        given = piece.artefact("weights")
        folder = self.folder(piece, given)
        if not (folder / LAST).exists():
            self.train_on(piece, given, self.epochs, folder)
        with replacing(piece.directory / FILE) as file:
            shutil.copyfile(folder / LAST, file)
        discard_pauses(folder)
        piece.wrote("weights", piece.directory / FILE)
        return {
            "small_factors": small_factors(load_checkpoint(piece.artefact("weights")), piece.architecture["image_size"])
        }


STEP = SparsityTraining
