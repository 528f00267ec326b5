"""Fine-tune: a network trained on, with the weights that it has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from search_spaces.validation import Whole

from ..latency.agent import suiting_activations
from .step import Workpiece
from .taught import Taught

if TYPE_CHECKING:
    from ..training.extension import Extension


class FineTune(Taught):
    """Trains on what the step before has left, as it is, with settings for long training (docs/training.md).

    Attributes:
        epochs: of it.
        mirrored: whether objects may be mirrored.
        quantisation_aware: with the errors of INT8, in the form that suits this machine's processor (docs/compression.md).
    """

    name = "finetune"
    is_searched = False
    reads = ("weights",)
    writes = ("weights",)
    metrics = ("train_seconds", "best_epoch")

    epochs: Annotated[Whole, Field(ge=1)] = 20
    mirrored: bool = True
    quantisation_aware: bool = False

    def options(self) -> dict[str, Any]:
        found = super().options()
        return found if found.pop("quantisation_aware") is False else {**found, "activations": suiting_activations()}

    def extensions(self) -> list[Extension]:
        from ..compression.quantisation_aware import QuantisationAware

        aware = [QuantisationAware(suiting_activations())] if self.quantisation_aware else []
        return [*super().extensions(), *aware]

    def run(self, piece: Workpiece) -> dict[str, float]:
        from ..compression.pruning import as_architecture
        from ..training import Fidelity, train_long
        from ..training.checkpoint import load_checkpoint
        from ..training.train import discard_pauses

        bench, given = piece.bench, piece.artefact("weights")
        architecture = as_architecture(load_checkpoint(given), piece.architecture["image_size"], str(given))
        result = train_long(
            architecture,
            bench.dataset,
            Fidelity(self.epochs, bench.fraction),
            piece.directory,
            mirrored=self.mirrored,
            weights=given,
            extensions=self.extensions(),
            seed=bench.seed,
            device=bench.device,
            amp=bench.amp,
            batch=bench.batch,
            threads=bench.threads,
            settings=bench.settings,
        )
        discard_pauses(piece.directory)
        piece.wrote("weights", result.checkpoint)
        return {name: result.metrics[name] for name in self.metrics}


STEP = FineTune
