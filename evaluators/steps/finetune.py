"""Fine-tune: a network trained on, with the weights that it has."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from search_spaces.validation import Whole

from .step import Workpiece
from .trained_on import TrainedOn


class FineTune(TrainedOn):
    """Trains on; weights of convolutions that unstructured pruning has set to zero stay zero.

    Attributes:
        epochs: of it.
    """

    name = "finetune"
    metrics = ("train_seconds", "best_epoch")

    epochs: Annotated[Whole, Field(ge=1)] = 20

    def run(self, piece: Workpiece) -> dict[str, float]:
        from ..compression.sparsity import MEANT, FixedZeros, sparsity
        from ..training.checkpoint import load_checkpoint

        is_sparse = sparsity(load_checkpoint(piece.artefact("weights"))) >= MEANT
        result = self.train_on(piece, piece.directory, self.epochs, [FixedZeros()] if is_sparse else [])
        piece.wrote("weights", result.checkpoint)
        return {name: result.metrics[name] for name in self.metrics}


STEP = FineTune
