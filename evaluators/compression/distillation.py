"""Knowledge distillation: a detector that learns from a larger one's answers, beside the labels.

batch -> student -> scores, boxes, maps that its head reads --,
  '---> teacher -> the same of every level of its stride -----'--> losses, by method -> added to the labels' own
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from ultralytics.engine.trainer import BaseTrainer
from ultralytics.nn.modules.head import Detect

from search_spaces import InputError
from search_spaces.errors import all_of, one_of

from ..training.checkpoint import load_checkpoint
from ..training.extension import Extension

GAINS: Mapping[str, float] = {"response": 0.5, "boxes": 1.5, "cwd": 1.0, "pkd": 3.0}  # method -> factor of its loss
ON_MAPS = ("cwd", "pkd")  # what they compare has no classes


@dataclass(frozen=True)
class Level:
    """What a head gives at one stride, of a batch.

    Attributes:
        features: (B, c, h, w) that the head reads.
        scores: (B, classes, h * w) logits.
        boxes: (B, 4 * bins, h * w) the head's numbers: distances, or logits of their bins.
    """

    features: torch.Tensor
    scores: torch.Tensor
    boxes: torch.Tensor

    @property
    def distances(self) -> torch.Tensor:
        """(B, 4, h * w) from the place to the left, top, right and bottom of the box, in strides."""
        batch, channels, places = self.boxes.shape
        bins = channels // 4
        if bins == 1:
            return self.boxes
        weights = self.boxes.view(batch, 4, bins, places).softmax(2)
        return (weights * torch.arange(bins, device=weights.device).view(1, 1, -1, 1)).sum(2)


def levels_of(answer: Any, head: Detect) -> dict[int, Level]:
    """Stride -> what a head gives there.

    Args:
        answer: of a network with such a head, in training or in evaluation.
    """
    raw = answer[1] if isinstance(answer, tuple) else answer
    if "scores" not in raw:  # a head without NMS has two, the second of which learns from the maps of the first
        raw = raw["one2many"] or raw["one2one"]
    sizes = [features.shape[2] * features.shape[3] for features in raw["feats"]]
    scores, boxes = (raw[name].float().split(sizes, 2) for name in ("scores", "boxes"))
    strides = [int(stride) for stride in head.stride]
    return {s: Level(f.float(), c, b) for s, f, c, b in zip(strides, raw["feats"], scores, boxes)}


def response(student: Level, teacher: Level, temperature: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Divergence of the class probabilities, each class for itself, as YOLO's scores are (after Hinton et al., 1503.02531).

    Returns:
        Its sum over all places, and what it is to be divided by: the sum of the teacher's highest probabilities.
    """
    wanted = (teacher.scores / temperature).sigmoid()
    loss = F.binary_cross_entropy_with_logits(student.scores / temperature, wanted, reduction="sum")
    least = F.binary_cross_entropy(wanted, wanted, reduction="sum")  # what is left where both agree
    return (loss - least) * temperature**2, _certainty(teacher).sum()


def boxes(student: Level, teacher: Level, temperature: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Divergence of the distributions over the bins of a distance (LD: Zheng et al., 2102.12252), where both heads have as many; else
    one minus the overlap of the boxes. Weighted by how certain the teacher is of an object.

    Returns:
        Its sum, and the sum of the weights.
    """
    weights = _certainty(teacher)
    batch, channels, places = student.boxes.shape
    if student.boxes.shape == teacher.boxes.shape and channels > 4:
        ours, wanted = (level.boxes.view(batch, 4, -1, places) / temperature for level in (student, teacher))
        loss = F.kl_div(ours.log_softmax(2), wanted.log_softmax(2), reduction="none", log_target=True)
        return (loss.sum(2).mean(1) * weights).sum() * temperature**2, weights.sum()
    ours, wanted = student.distances, teacher.distances
    shared = torch.minimum(ours, wanted)
    overlap = _area(shared)
    return ((1 - overlap / (_area(ours) + _area(wanted) - overlap + 1e-7)) * weights).sum(), weights.sum()


def cwd(student: torch.Tensor, teacher: torch.Tensor, temperature: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Divergence of where in the image each channel of the maps is active (channel-wise distillation: Shu et al., 2011.13256)."""
    ours, wanted = (maps.flatten(2) / temperature for maps in (student, teacher))
    loss = F.kl_div(ours.log_softmax(2), wanted.log_softmax(2), reduction="sum", log_target=True)
    return loss * temperature**2, _count(teacher.shape[0] * teacher.shape[1], teacher)


def pkd(student: torch.Tensor, teacher: torch.Tensor, temperature: float) -> tuple[torch.Tensor, torch.Tensor]:
    """One minus the correlation of maps, channel by channel over the batch (PKD: Cao et al., 2207.02039); has no temperature."""
    ours, wanted = (_normalised(maps) for maps in (student, teacher))
    return F.mse_loss(ours, wanted, reduction="sum") / 2, _count(teacher.numel(), teacher)


_OF_MAPS: dict[str, Callable[[torch.Tensor, torch.Tensor, float], tuple[torch.Tensor, torch.Tensor]]] = {
    "cwd": cwd,
    "pkd": pkd,
}
_OF_ANSWERS: dict[str, Callable[[Level, Level, float], tuple[torch.Tensor, torch.Tensor]]] = {
    "response": response,
    "boxes": boxes,
}


def _certainty(level: Level) -> torch.Tensor:
    """(B, places) probability of the class that is most probable there."""
    return level.scores.sigmoid().amax(1)


def _area(distances: torch.Tensor) -> torch.Tensor:
    left, top, right, bottom = distances.unbind(1)
    return (left + right).clamp(min=0) * (top + bottom).clamp(min=0)


def _normalised(maps: torch.Tensor) -> torch.Tensor:
    values = maps.transpose(0, 1).flatten(1)
    return (values - values.mean(1, keepdim=True)) / (values.std(1, keepdim=True) + 1e-6)


def _count(number: int, like: torch.Tensor) -> torch.Tensor:
    return torch.tensor(float(number), device=like.device)


class Distillation(Extension):
    """Adds to every batch's loss how far the student is from a teacher, on all strides that both have.

    Args:
        teacher: a checkpoint with Ultralytics' detection head (v8, 11, 26, or of this package), whatever its widths, its neck and its
            number of levels; maps of other widths are compared through convolutions of 1 x 1, which are learnt and dropped.
        methods: of `GAINS`.
        temperature: that answers are softened with.
        gains: method -> factor of its loss; others have those of `GAINS`.

    Raises:
        InputError: no such checkpoint, or another head.
    """

    def __init__(
        self,
        teacher: str | Path,
        methods: Sequence[str] = ("response", "cwd"),
        temperature: float = 2.0,
        gains: Mapping[str, float] | None = None,
    ) -> None:
        unknown = [name for name in methods if name not in GAINS]
        if unknown or not methods:
            raise InputError(f"distill: {', '.join(unknown) or 'nothing'} is no method; there are {one_of(GAINS)}")
        self.path, self.methods, self.temperature = str(teacher), tuple(dict.fromkeys(methods)), temperature
        self.gains = {**GAINS, **(gains or {})}
        self.teacher = load_checkpoint(teacher).requires_grad_(False)
        self.losses = tuple(f"teacher_{method}" for method in self.methods)
        self._distilled: _Distilled | None = None
        if not isinstance(self.head, Detect) or hasattr(
            self.head, "cv4"
        ):  # masks, poses and angles come from a fourth branch
            raise InputError(
                f"{teacher}: a teacher needs a head that gives boxes and scores, not {type(self.head).__name__}"
            )

    @property
    def head(self) -> Any:
        """Of the teacher."""
        return self.teacher.model[-1]

    def check(self, names: Sequence[str], strides: Sequence[int]) -> None:
        """Raise InputError where the teacher cannot teach a student with such classes and levels."""
        theirs = list(self.teacher.names.values())
        if any(method not in ON_MAPS for method in self.methods) and sorted(theirs) != sorted(names):
            raise InputError(
                f"{self.path}: the teacher detects {all_of(theirs[:5])}{' ...' if len(theirs) > 5 else ''} ({len(theirs)} classes), and "
                f"the student {all_of(list(names)[:5])}{' ...' if len(names) > 5 else ''} ({len(names)}); "
                f"only {all_of(ON_MAPS)} do not compare classes"
            )
        if not {int(s) for s in self.head.stride} & set(strides):
            raise InputError(
                f"{self.path}: the teacher has levels of stride {all_of(str(int(s)) for s in self.head.stride)}, and the student "
                f"{all_of(map(str, strides))}; they need one in common"
            )

    def begin(self, trainer: BaseTrainer) -> None:
        student = trainer.model
        head = student.model[-1]
        names = [str(name) for name in trainer.data["names"].values()]
        self.check(names, [int(stride) for stride in head.stride])
        self.teacher = self.teacher.to(trainer.device).eval()
        theirs = {str(name): index for index, name in self.teacher.names.items()}
        order = [theirs[name] for name in names] if sorted(theirs) == sorted(names) else None
        self._distilled = trainer.model = _Distilled(student, self, order).to(trainer.device)

    def state(self) -> dict[str, Any]:
        assert self._distilled is not None  # since `begin`
        return self._distilled.projectors.state_dict()

    def restore(self, state: Mapping[str, Any]) -> None:
        assert self._distilled is not None
        self._distilled.projectors.load_state_dict(state)


class _Distilled(nn.Module):
    """The student as Ultralytics' trainer sees it: in a wrapper, which it opens for all but the loss of a batch.

    Args:
        order: the teacher's class for each of the student's; None where classes are not compared.
    """

    def __init__(self, student: nn.Module, distillation: Distillation, order: Sequence[int] | None) -> None:
        super().__init__()
        self.module = student
        self._by = (distillation,)  # in a tuple, so that the teacher is none of this module's
        self._order = order
        strides = {int(s): _width(student.model[-1], i) for i, s in enumerate(student.model[-1].stride)}
        theirs = {int(s): _width(distillation.head, i) for i, s in enumerate(distillation.head.stride)}
        self._strides = [stride for stride in strides if stride in theirs]
        on_maps = [method for method in distillation.methods if method in ON_MAPS]
        self.projectors = nn.ModuleDict(
            {
                f"{method}{s}": nn.Conv2d(strides[s], theirs[s], 1, bias=False)
                for method in on_maps
                for s in self._strides
            }
        )

    def forward(self, batch: Any) -> Any:
        if not isinstance(batch, dict) or not self.training:
            return self.module(batch)
        answer = self.module.predict(batch["img"])
        loss, items = self.module.loss(batch, answer)
        with torch.autocast(batch["img"].device.type, enabled=False):
            added = self._losses(batch["img"].float(), levels_of(answer, self.module.model[-1]))
        size = batch["img"].shape[0]
        return torch.cat([loss, *(value.view(1) * size for value in added.values())]), {
            **items,
            **{name: value.detach() for name, value in added.items()},
        }

    def _losses(self, images: torch.Tensor, student: Mapping[int, Level]) -> dict[str, torch.Tensor]:
        (by,) = self._by
        with torch.no_grad():
            teacher = levels_of(by.teacher(images), by.head)
        if self._order is not None:
            teacher = {s: Level(x.features, x.scores[:, self._order], x.boxes) for s, x in teacher.items()}
        found = {}
        for method in by.methods:
            if method in ON_MAPS:
                parts = [
                    _OF_MAPS[method](
                        self.projectors[f"{method}{s}"](student[s].features), teacher[s].features, by.temperature
                    )
                    for s in self._strides
                ]
            else:
                parts = [_OF_ANSWERS[method](student[s], teacher[s], by.temperature) for s in self._strides]
            losses, weights = (torch.stack(each).sum() for each in zip(*parts))
            found[f"teacher_{method}"] = by.gains[method] * losses / weights.clamp(min=1)
        return found


def _width(head: Detect, level: int) -> int:
    """Channels that a head reads at a level."""
    branch = head.cv2 if head.cv2 is not None else head.one2one_cv2
    return branch[level][0].conv.in_channels
