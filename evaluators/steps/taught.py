"""What steps that train for long have in common: a teacher to learn from, beside the labels."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from search_spaces import Architecture
from search_spaces.graph import lower
from search_spaces.validation import PathText, Real

from .step import Step, Workpiece

if TYPE_CHECKING:
    from ..data import Dataset
    from ..training.extension import Extension

Method = Literal["response", "boxes", "cwd", "pkd"]
TEACHING = ("teacher", "distill", "temperature")


class Taught(Step):
    """A step whose training may have a teacher, see `evaluators.compression.distillation`.

    Attributes:
        teacher: a checkpoint; None learns from the labels alone.
        distill: methods of distillation.
        temperature: that answers are softened with.
    """

    teacher: PathText | None = None
    distill: Annotated[tuple[Method, ...], Field(min_length=1)] = ("response", "cwd")
    temperature: Annotated[Real, Field(gt=0)] = 2.0

    def options(self) -> dict[str, Any]:
        found = super().options()
        if self.teacher is None:  # nothing depends on how it would teach
            return {name: value for name, value in found.items() if name not in TEACHING}
        return found

    def check(self, dataset: Dataset, architecture: Architecture) -> None:
        """Raise InputError where there is a teacher, and it cannot teach this architecture these classes."""
        from ..compression.distillation import Distillation

        if self.teacher is not None:
            head, image = lower(architecture, dataset.num_classes).layers[-1], architecture["image_size"]
            strides = [image // shape.height for shape in head.in_shapes]
            Distillation(self.teacher, self.distill).check(dataset.names, strides)

    def extensions(self) -> list[Extension]:
        """Of the training. Raises InputError for a teacher that is none."""
        from ..compression.distillation import Distillation

        if self.teacher is None:
            return []
        return [Distillation(self.teacher, self.distill, self.temperature)]

    def trained_with(self, piece: Workpiece) -> list[Any]:
        """What, of the bench, a training depends on."""
        from ..training import precision_on

        b = piece.bench
        return [b.fraction, b.batch, b.seed, dict(b.settings), precision_on(b.device, b.amp)]

    def taught_by(self) -> list[str]:
        """The digest of the teacher, where there is one."""
        return [] if self.teacher is None else [hashlib.sha256(Path(self.teacher).read_bytes()).hexdigest()]

    def digest(self, piece: Workpiece) -> Any:
        return [*self.trained_with(piece), *self.taught_by()]
