"""Prune: channels taken out of a network, by how little they matter."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from search_spaces import InputError
from search_spaces.validation import Real, Whole
from search_spaces.writing import replacing

from .step import Step, Workpiece

FILE = "pruned.pt"


class Prune(Step):
    """Structured pruning, see `evaluators.compression.pruning`; of `ratio` and the costs, one is given.

    Attributes:
        ratio: share of the channels that go.
        to_macs, to_params: cost that is left at most, of one image.
        to_latency_ms: likewise, predicted by the profile `device` (its file or name).
        criterion: how channels are compared.
        per_layer: the ratio is that of every width, and not of the whole network.
        multiple: channels stay multiples of it.
    """

    name = "prune"
    is_searched = False
    reads = ("weights",)
    writes = ("weights",)
    metrics = ("params", "macs")

    ratio: Annotated[Real, Field(ge=0, lt=1)] | None = None
    to_macs: Annotated[Real, Field(gt=0)] | None = None
    to_params: Annotated[Real, Field(gt=0)] | None = None
    to_latency_ms: Annotated[Real, Field(gt=0)] | None = None
    device: str | None = None
    criterion: str = "l2"
    per_layer: bool = False
    multiple: Annotated[Whole, Field(ge=1)] = 8

    def run(self, piece: Workpiece) -> dict[str, float]:
        import torch

        from ..complexity import complexity
        from ..compression.importance import add_gradients
        from ..compression.pruning import latency_target, macs_target, params_target, prune
        from ..latency.profile import DeviceProfile
        from ..training.checkpoint import load_checkpoint

        model, size, classes = (
            load_checkpoint(piece.artefact("weights")),
            piece.architecture["image_size"],
            piece.bench.dataset.num_classes,
        )
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
        if self.criterion == "taylor":
            add_gradients(model, piece.bench.dataset, size, seed=piece.bench.seed)
        found = prune(
            model,
            size,
            ratio=self.ratio,
            target=targets[0] if targets else None,
            criterion=self.criterion,
            per_layer=self.per_layer,
            multiple=self.multiple,
            what=str(piece.artefact("weights")),
        )
        with replacing(piece.directory / FILE) as file:
            # in FP16, as Ultralytics' trainer leaves its checkpoints: what was read was no more
            torch.save({"model": found.network.half(), "epoch": -1, "train_args": {"imgsz": size}}, file)
        piece.wrote("weights", piece.directory / FILE)
        costs = complexity([found.architecture], classes)
        return {"params": float(costs.params[0]), "macs": float(costs.macs[0])}


STEP = Prune
