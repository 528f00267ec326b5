"""Prune: channels and bottlenecks taken out of a network, by how little they matter; at once, or in rounds with trainings between."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from search_spaces import Architecture, InputError
from search_spaces.validation import Real, Whole

from .step import Workpiece
from .taught import TEACHING
from .trained_on import TrainedOn

if TYPE_CHECKING:
    from torch import nn

    from ..compression.iterative import Goal
    from ..compression.pruning import Pruned

FILE, SHALLOW = "pruned.pt", "shallow.pt"
OF_ROUNDS = ("rounds", "epochs_between", "mirrored", *TEACHING)


class Prune(TrainedOn):
    """Structured pruning, see `evaluators.compression.pruning`; of `ratio` and the costs, one is given, or `depth` alone.

    Attributes:
        ratio: share of the channels that go.
        to_macs, to_params: cost that is left at most, of one image.
        to_latency_ms: likewise, predicted by the profile `device` (its file or name).
        criterion: how channels are compared.
        per_layer: the ratio is that of every width, and not of the whole network.
        multiple: channels stay multiples of it.
        rounds: in which that is come to, see `evaluators.compression.iterative`.
        epochs_between: of the training after each round but the last, which a teacher and `mirrored` are of.
        depth: bottlenecks that go whole, before any channels, see `evaluators.compression.depth`; the ratio is of what they leave.
    """

    name = "prune"
    metrics = ("params", "macs")

    ratio: Annotated[Real, Field(ge=0, lt=1)] | None = None
    to_macs: Annotated[Real, Field(gt=0)] | None = None
    to_params: Annotated[Real, Field(gt=0)] | None = None
    to_latency_ms: Annotated[Real, Field(gt=0)] | None = None
    device: str | None = None
    criterion: str = "l2"
    per_layer: bool = False
    multiple: Annotated[Whole, Field(ge=1)] = 8
    rounds: Annotated[Whole, Field(ge=1)] = 1
    epochs_between: Annotated[Whole, Field(ge=1)] = 5
    depth: Annotated[Whole, Field(ge=0)] = 0

    def options(self) -> dict[str, Any]:
        idle = (*(OF_ROUNDS if self.rounds == 1 else ()), *(() if self.depth else ("depth",)))
        return {name: value for name, value in super().options().items() if name not in idle}

    def digest(self, piece: Workpiece) -> Any:
        return None if self.rounds == 1 else super().digest(piece)

    def run(self, piece: Workpiece) -> dict[str, float]:
        from ..complexity import complexity
        from ..compression.importance import add_gradients
        from ..compression.iterative import prune_iteratively
        from ..compression.pruning import prune
        from ..training.checkpoint import save_checkpoint

        given, size, classes = (
            piece.artefact("weights"),
            piece.architecture["image_size"],
            piece.bench.dataset.num_classes,
        )
        goal = self._goal(classes)

        def cut(network: nn.Module, share: float, whole: Architecture | None) -> Pruned:
            if self.criterion == "taylor":
                add_gradients(network, piece.bench.dataset, size, seed=piece.bench.seed)
            wanted = goal if whole is None else goal.on_the_way(share, whole)
            return prune(
                network,
                size,
                ratio=wanted.ratio,
                target=wanted.target,
                criterion=self.criterion,
                per_layer=self.per_layer,
                multiple=self.multiple,
                whole=whole,
                what=str(given),
            )

        def train(weights: Path, folder: Path) -> Path:
            return self.train_on(piece, weights, self.epochs_between, folder).checkpoint

        folder = self.folder(piece, given)
        weights = self._shallow(piece, given, folder) if self.depth else given
        found = prune_iteratively(weights, cut, train, self.rounds, folder, size)
        save_checkpoint(piece.directory / FILE, found.network, size)
        piece.wrote("weights", piece.directory / FILE)
        costs = complexity([found.architecture], classes)
        return {"params": float(costs.params[0]), "macs": float(costs.macs[0])}

    def _goal(self, classes: int) -> Goal:
        from ..compression.iterative import Goal
        from ..compression.pruning import latency_target, macs_target, params_target
        from ..latency.profile import DeviceProfile

        targets = []
        if self.to_macs is not None:
            targets.append(macs_target(self.to_macs, classes))
        if self.to_params is not None:
            targets.append(params_target(self.to_params, classes))
        if self.to_latency_ms is not None:
            if self.device is None:
                raise InputError("to_latency_ms: needs the profile of a device")
            targets.append(latency_target(self.to_latency_ms, DeviceProfile.load(self.device), classes))
        if len(targets) > 1:
            raise InputError("prune to one target: MACs, parameters or latency")
        ratio = 0.0 if self.ratio is None and not targets and self.depth else self.ratio
        return Goal(ratio, targets[0] if targets else None)

    def _shallow(self, piece: Workpiece, given: Path, folder: Path) -> Path:
        """The checkpoint without the bottlenecks that go, which a call that goes on finds in the folder."""
        from ..compression.depth import prune_depth
        from ..training.checkpoint import load_checkpoint, save_checkpoint

        shallow, size = folder / SHALLOW, piece.architecture["image_size"]
        if not shallow.exists():
            bench = piece.bench
            found = prune_depth(
                load_checkpoint(given), size, bench.dataset, self.depth, seed=bench.seed, what=str(given)
            )
            folder.mkdir(parents=True, exist_ok=True)
            save_checkpoint(shallow, found.network, size)
        return shallow


STEP = Prune
