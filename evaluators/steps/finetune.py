"""Fine-tune: a network trained on, with the weights that it has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from search_spaces.validation import Whole
from search_spaces.writing import move

from ..latency.agent import suiting_activations
from .step import Workpiece
from .trained_on import TrainedOn

if TYPE_CHECKING:
    from ..training.extension import Extension


class FineTune(TrainedOn):
    """Trains on; weights of convolutions that unstructured pruning has set to zero stay zero.

    Attributes:
        epochs: of it.
        quantisation_aware: with the errors of INT8, in the form that suits this machine's processor (docs/compression.md).
    """

    name = "finetune"
    metrics = ("train_seconds", "best_epoch")

    epochs: Annotated[Whole, Field(ge=1)] = 20
    quantisation_aware: bool = False

    def options(self) -> dict[str, Any]:
        found = super().options()
        return found if found.pop("quantisation_aware") is False else {**found, "activations": suiting_activations()}

    def extensions(self) -> list[Extension]:
        from ..compression.quantisation_aware import QuantisationAware

        aware = [QuantisationAware(suiting_activations())] if self.quantisation_aware else []
        return [*super().extensions(), *aware]

    def run(self, piece: Workpiece) -> dict[str, float]:
        from ..compression.sparsity import MEANT, FixedZeros, sparsity
        from ..training.checkpoint import load_checkpoint
        from ..training.train import discard_pauses

        given = piece.artefact("weights")
        folder, is_sparse = self.folder(piece, given), sparsity(load_checkpoint(given)) >= MEANT
        result = self.train_on(piece, given, self.epochs, folder, [FixedZeros()] if is_sparse else [])
        file = piece.directory / f"{folder.name}.pt"  # a recipe may have two of them
        move(result.checkpoint, file)
        discard_pauses(folder)
        piece.wrote("weights", file)
        return {name: result.metrics[name] for name in self.metrics}


STEP = FineTune
