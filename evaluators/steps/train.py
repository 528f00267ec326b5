"""Train: from scratch, for the epochs of the search."""

from __future__ import annotations

from typing import Any

from .step import Step, Workpiece


class Train(Step):
    """Trains the architecture; it may pause at the epochs of a rung and go on from there the next time."""

    name = "train"
    writes = ("weights",)
    metrics = ("train_seconds",)

    def run(self, piece: Workpiece) -> dict[str, float]:
        from ..training import Fidelity, train

        bench = piece.bench
        result = train(
            piece.architecture,
            bench.dataset,
            Fidelity(bench.epochs, bench.fraction),
            piece.directory,
            until=piece.until,
            seed=bench.seed,
            device=bench.device,
            amp=bench.amp,
            batch=bench.batch,
            threads=bench.threads,
            settings=bench.settings,
        )
        piece.wrote("weights", result.checkpoint)
        return {"train_seconds": result.metrics["train_seconds"]}

    def digest(self, piece: Workpiece) -> Any:
        from ..training import precision_on

        b = piece.bench
        precision = precision_on(b.device, b.amp)  # what it is called does not matter, what it comes to does
        return [piece.until, b.epochs, b.fraction, b.batch, b.seed, dict(b.settings), precision]


STEP = Train
