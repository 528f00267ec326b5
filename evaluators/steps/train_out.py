"""Train out: for as long as it takes, with settings for that; a training that is killed goes on from its last epoch."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from search_spaces.json_text import short_digest
from search_spaces.validation import Whole

from ..evaluator import EvaluationError
from .step import Workpiece
from .taught import Taught


class TrainOut(Taught):
    """Trains the architecture to the end, see `evaluators.training.long`.

    Attributes:
        seed: of the training; None is that of the bench.
        mirrored: whether objects may be mirrored.
        patience: epochs without a better mAP after which it ends; 0 never.
        validate_every: epochs from one validation to the next; None makes it about fifty of them.
    """

    name = "train_out"
    writes = ("weights",)
    metrics = ("train_seconds", "epochs", "best_epoch")

    seed: Annotated[Whole, Field(ge=0, lt=2**32)] | None = None
    mirrored: bool = True
    patience: Annotated[Whole, Field(ge=0)] = 0
    validate_every: Annotated[Whole, Field(ge=1)] | None = None

    def run(self, piece: Workpiece) -> dict[str, float]:
        from ..training import Fidelity, Judging, train_long

        bench = piece.bench
        if piece.until is not None and piece.until < bench.epochs:
            raise EvaluationError("train_out trains to the end, and is not judged on rungs; `train` is")
        result = train_long(
            piece.architecture,
            bench.dataset,
            Fidelity(bench.epochs, bench.fraction),
            piece.directory,
            judging=Judging(self.validate_every, self.patience),
            mirrored=self.mirrored,
            weights=bench.weights.get(piece.architecture.key),
            extensions=self.extensions(),
            seed=bench.seed if self.seed is None else self.seed,
            device=bench.device,
            amp=bench.amp,
            batch=bench.batch,
            threads=bench.threads,
            settings=bench.settings,
        )
        piece.wrote("weights", result.checkpoint)
        return {name: result.metrics[name] for name in self.metrics}

    def digest(self, piece: Workpiece) -> Any:
        weights = piece.bench.weights.get(piece.architecture.key)
        begun_with = short_digest(weights) if weights else None
        return [piece.bench.epochs, *self.trained_with(piece), begun_with, *self.taught_by()]


STEP = TrainOut
