"""Sparsify: single weights set to zero, by how little they are, at once or while the network is trained."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from search_spaces.validation import Real, Whole
from search_spaces.writing import move

from .step import Workpiece
from .taught import TEACHING
from .trained_on import TrainedOn

FILE = "sparse.pt"


class Sparsify(TrainedOn):
    """Unstructured pruning, see `evaluators.compression.sparsity`.

    Attributes:
        sparsity: share of the weights of convolutions that become zero.
        per_layer: the share is that of every convolution, and not of the whole network.
        epochs: of a training over whose first half the zeros become as many; 0 sets them at once and trains nothing.
    """

    name = "sparsify"
    metrics = ("sparsity", "train_seconds")

    sparsity: Annotated[Real, Field(ge=0.1, lt=1)] = 0.5  # from `LEAST` on
    per_layer: bool = False
    epochs: Annotated[Whole, Field(ge=0)] = 0

    def run(self, piece: Workpiece) -> dict[str, float]:
        from ..compression.sparsity import GrowingZeros, sparsify, sparsity
        from ..training.checkpoint import load_checkpoint, save_checkpoint
        from ..training.train import discard_pauses

        given, file, seconds = piece.artefact("weights"), piece.directory / FILE, 0.0
        if self.epochs:
            folder, growing = self.folder(piece, given), GrowingZeros(self.sparsity, self.per_layer)
            result = self.train_on(piece, given, self.epochs, folder, [growing])
            move(result.checkpoint, file)
            discard_pauses(folder)
            seconds = result.metrics["train_seconds"]
        else:
            network = load_checkpoint(given)
            sparsify(network, self.sparsity, self.per_layer)
            save_checkpoint(file, network, piece.architecture["image_size"])
        piece.wrote("weights", file)
        return {"sparsity": sparsity(load_checkpoint(file)), "train_seconds": seconds}

    def options(self) -> dict[str, Any]:
        found = super().options()
        return found if self.epochs else {n: v for n, v in found.items() if n not in (*TEACHING, "mirrored")}

    def digest(self, piece: Workpiece) -> Any:
        return super().digest(piece) if self.epochs else None


STEP = Sparsify
