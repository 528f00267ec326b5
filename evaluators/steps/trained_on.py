"""What steps that train a given network on have in common: the network of the step before, and settings for long training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .step import Workpiece
from .taught import Taught

if TYPE_CHECKING:
    from ..training import TrainingResult
    from ..training.extension import Extension


class TrainedOn(Taught):
    """A step that trains on what the step before has left, as it is (docs/training.md).

    Attributes:
        mirrored: whether objects may be mirrored.
    """

    is_searched = False
    reads = ("weights",)
    writes = ("weights",)

    mirrored: bool = True

    def train_on(
        self, piece: Workpiece, directory: Path, epochs: int, extensions: Sequence[Extension]
    ) -> TrainingResult:
        """Train for so many epochs; leaves best.pt in `directory`.

        Args:
            directory: of the piece, or one in it.
            extensions: beside those of a teacher, after which they begin.

        Raises:
            InputError: a network that is not of YOLOv8's frame.
            EvaluationError: the training broke.
        """
        from ..compression.pruning import as_architecture
        from ..training import Fidelity, train_long
        from ..training.checkpoint import load_checkpoint
        from ..training.train import discard_pauses

        bench, given = piece.bench, piece.artefact("weights")
        architecture = as_architecture(load_checkpoint(given), piece.architecture["image_size"], str(given))
        result = train_long(
            architecture,
            bench.dataset,
            Fidelity(epochs, bench.fraction),
            directory,
            mirrored=self.mirrored,
            weights=given,
            extensions=[*self.extensions(), *extensions],
            seed=bench.seed,
            device=bench.device,
            amp=bench.amp,
            batch=bench.batch,
            threads=bench.threads,
            settings=bench.settings,
        )
        discard_pauses(directory)
        return result
