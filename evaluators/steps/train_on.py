"""Train on: what steps do that train a network further on their way, in a folder of their own."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from search_spaces.json_text import short_digest

from .step import Workpiece
from .taught import Taught

if TYPE_CHECKING:
    from ..training import TrainingResult


def train_on(
    step: Taught, piece: Workpiece, weights: Path, epochs: int, mirrored: bool, directory: Path
) -> TrainingResult:
    """Train the network in a checkpoint with the extensions of a step; goes on where it was killed, see `train_long`.

    Raises:
        InputError: a network that is not of YOLOv8's frame.
    """
    from ..compression.pruning import as_architecture
    from ..training import Fidelity, load_checkpoint, train_long

    bench = piece.bench
    return train_long(
        as_architecture(load_checkpoint(weights), piece.architecture["image_size"], str(weights)),
        bench.dataset,
        Fidelity(epochs, bench.fraction),
        directory,
        mirrored=mirrored,
        weights=weights,
        extensions=step.extensions(),
        seed=bench.seed,
        device=bench.device,
        amp=bench.amp,
        batch=bench.batch,
        threads=bench.threads,
        settings=bench.settings,
    )


def folder_for(step: Taught, piece: Workpiece, weights: Path) -> Path:
    """Where a step keeps what it has done on its way: a folder of this step, these options and these weights alone."""
    made_of = [step.options(), step.digest(piece), piece.architecture["image_size"]]
    read = hashlib.sha256(weights.read_bytes()).hexdigest()
    return piece.directory / f"{step.name}-{short_digest([*made_of, read])}"
