"""What steps that train a given network on have in common: the network of the step before, and settings for long training."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from search_spaces.json_text import short_digest

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
        self, piece: Workpiece, weights: Path, epochs: int, directory: Path, extensions: Sequence[Extension] = ()
    ) -> TrainingResult:
        """Train the network in a checkpoint on; what `train_long` leaves, states to go on from among it, is in `directory`.

        Args:
            extensions: beside the step's own, after which they begin.

        Raises:
            InputError: a network whose channels are not known.
            EvaluationError: the training broke.
        """
        from ..compression.pruning import as_architecture
        from ..training import Fidelity, load_checkpoint, train_long

        bench = piece.bench
        return train_long(
            as_architecture(load_checkpoint(weights), piece.architecture["image_size"], str(weights)),
            bench.dataset,
            Fidelity(epochs, bench.fraction),
            directory,
            mirrored=self.mirrored,
            weights=weights,
            extensions=[*self.extensions(), *extensions],
            seed=bench.seed,
            device=bench.device,
            amp=bench.amp,
            batch=bench.batch,
            threads=bench.threads,
            settings=bench.settings,
        )

    def folder(self, piece: Workpiece, weights: Path) -> Path:
        """Where the step keeps what it has done on its way: a folder of this step, these options and these weights alone."""
        made_of = [self.options(), self.digest(piece), piece.architecture["image_size"]]
        read = hashlib.sha256(weights.read_bytes()).hexdigest()
        return piece.directory / f"{self.name}-{short_digest([*made_of, read])}"
