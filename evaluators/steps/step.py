"""What every step of a recipe is: options, the artefacts that it reads and writes, and what it does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, ConfigDict

from search_spaces import Architecture, InputError

if TYPE_CHECKING:
    from ..data import Dataset


@dataclass(frozen=True)
class Bench:
    """What the steps of all evaluations of a search share.

    Attributes:
        dataset: what is trained on, calibrated with and judged on.
        epochs: of a training; `fraction` is the share of the training images.
        device: of training ("cpu", "0").
        amp: its precision, see `evaluators.precision`.
        threads: of PyTorch.
        settings: Ultralytics training settings that replace those of `training.settings.SETTINGS`, or of `long_settings`.
        weights: key of an architecture -> the checkpoint that its long training begins with; others begin from scratch.
    """

    dataset: Dataset
    epochs: int
    fraction: float = 1.0
    batch: int = 16
    device: str = "cpu"
    amp: str = "auto"
    threads: int = 1
    seed: int = 0
    settings: Mapping[str, Any] = field(default_factory=dict)
    weights: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Workpiece:
    """One candidate on its way through a recipe, in the folder of its trial.

    Attributes:
        until: epochs after which the training pauses; None trains to the end.
        artefacts: name -> file, as the steps so far have left them: `weights` (a checkpoint), `onnx`.
    """

    architecture: Architecture
    directory: Path
    bench: Bench
    until: int | None = None
    artefacts: dict[str, Path] = field(default_factory=dict)

    def wrote(self, name: str, path: Path) -> None:
        """Take note of an artefact; the one that was written last stands last, and is what is judged."""
        self.artefacts.pop(name, None)
        self.artefacts[name] = path

    def artefact(self, name: str) -> Path:
        """The file of an artefact. Raises InputError where no step before has written it."""
        if name not in self.artefacts:
            raise InputError(f"no step has written {name}; there is {', '.join(self.artefacts) or 'nothing'}")
        return self.artefacts[name]


class Step(BaseModel):
    """One thing that is done to a network; each file of this package holds one in `STEP`. Its fields are its options.

    Attributes:
        name: of the step in recipes; a choice of a space named `NAME.OPTION` gives that option its value.
        reads, writes: names of artefacts.
        metrics: names of what `run` returns.
        is_searched: whether candidates of a search may have it: what it leaves is the network whose costs are known beforehand.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: ClassVar[str]
    reads: ClassVar[tuple[str, ...]] = ()
    writes: ClassVar[tuple[str, ...]] = ()
    metrics: ClassVar[tuple[str, ...]] = ()
    is_searched: ClassVar[bool] = True

    def run(self, piece: Workpiece) -> dict[str, float]:
        """Do it: files go into the piece's folder and, by name, into its `artefacts`; returns metrics.

        Raises:
            EvaluationError: it cannot be done to this network.
        """
        raise NotImplementedError

    def options(self) -> dict[str, Any]:
        """Those that have an effect, as plain data: a step that is done with the same ones is not done again."""
        return self.model_dump()

    def digest(self, piece: Workpiece) -> Any:
        """What, beside the options, the result depends on: plain data."""
        return None
