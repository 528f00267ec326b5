"""What a training is told: the Ultralytics settings that keep a figure's meaning, and how much is spent."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from search_spaces import InputError
from search_spaces.errors import one_of

# Suited to short training from scratch, where Ultralytics' defaults (made for hundreds of epochs: three of warm-up,
# mosaic, SGD or a learning rate guessed from the class count) learn next to nothing.
SETTINGS = {
    "optimizer": "AdamW",
    "lr0": 0.001,
    "lrf": 0.05,
    "cos_lr": True,
    "warmup_epochs": 0.5,
    "warmup_bias_lr": 0.0,
    "weight_decay": 0.01,
    "mosaic": 0.0,
    "close_mosaic": 0,
    "fliplr": 0.0,
    "translate": 0.1,
    "scale": 0.2,
    "hsv_h": 0.015,
    "hsv_s": 0.4,
    "hsv_v": 0.3,
}

ENOUGH_STEPS = (
    5_000  # of the optimizer, for a detector that begins from scratch to make something of strong augmentation
)
BATCHES = (16, 8, 4)


def long_batch(images: int, epochs: int) -> int:
    """Images per step: Ultralytics' 16, or fewer where an epoch has few images, so that there are steps enough from scratch."""
    return next((batch for batch in BATCHES if steps_of(images, epochs, batch) >= ENOUGH_STEPS), BATCHES[-1])


def steps_of(images: int, epochs: int, batch: int) -> int:
    """Steps of the optimizer in a training."""
    return math.ceil(images / batch) * epochs


def long_settings(epochs: int, mirrored: bool = True, steps: int | None = None) -> dict[str, Any]:
    """Settings that suit long training: what Ultralytics ships for hundreds of epochs, where that holds here too.

    The augmentation is Ultralytics' own (mosaic, half of the images mirrored, strong changes of scale and colour), mosaic ends a
    tenth before the end, as 10 of its 100 epochs do, and warm-up takes three epochs, or a tenth of a shorter training. AdamW at
    0.001 is what its `auto` comes to below 10,000 steps, where data sets of some hundreds or thousands of images stay; its rate by
    the number of classes is left out, so that models are trained alike whatever they tell apart. The cosine is ours: the last
    epochs, without mosaic, then have the small steps that a model is judged after.

    Ultralytics' augmentation is made for models that have seen other images before. From scratch, in fewer than `ENOUGH_STEPS`, it
    costs more than it gives (docs/training.md), and is as mild as in a search.

    Args:
        mirrored: whether a mirrored object is still one of its class; digits and letters are not.
        steps: of the optimizer; None are enough.
    """
    strong = steps is None or steps >= ENOUGH_STEPS
    varied = {"mosaic": 1.0, "scale": 0.5, "hsv_h": 0.015, "hsv_s": 0.7, "hsv_v": 0.4}
    return {
        "optimizer": "AdamW",
        "lr0": 0.001,
        "lrf": 0.01,
        "cos_lr": True,
        "warmup_epochs": min(3.0, epochs / 10),
        "warmup_bias_lr": 0.0,
        "weight_decay": 0.01,  # of AdamW, where it is no part of the gradient; Ultralytics' 0.0005 is meant for SGD
        "close_mosaic": max(1, round(epochs / 10)) if epochs > 1 else 0,
        "fliplr": 0.5 if mirrored else 0.0,
        "translate": 0.1,
        **(varied if strong else {name: SETTINGS[name] for name in varied}),
    }


# What keeps a training offline and in its folder, and every image, every epoch and the last one's validation in it.
CONTAINED = {
    "task": "detect",
    "mode": "train",
    "model": "architecture.yaml",  # never opened: get_model builds the network
    "name": "ultralytics",
    "exist_ok": True,
    "val": False,
    "save": False,
    "plots": False,
    "cache": "ram",
    "patience": 0,
    "verbose": False,
    "deterministic": True,
    "augmentations": [],  # Albumentations' would join in wherever that happens to be installed
}

OPTIMIZERS = ("SGD", "MuSGD", "Adam", "Adamax", "AdamW", "NAdam", "RAdam", "RMSProp", "auto")
# Why a setting that a detection's training has is not among those that may be replaced, and what there is instead.
REFUSED = {
    **dict.fromkeys(
        ("data", "fraction", "single_cls", "classes", "split", "rect"),
        "decides which images and classes are trained on and judged; use the fields data and fraction",
    ),
    **dict.fromkeys(
        ("epochs", "time", "patience"), "decides how long a training lasts; use the fields epochs and trial_minutes"
    ),
    **dict.fromkeys(
        ("val", "conf", "iou", "max_det", "agnostic_nms", "nms", "augment", "save_json"),
        "decides how a model is judged, which is the same for all",
    ),
    **dict.fromkeys(
        ("model", "pretrained", "resume", "freeze", "distill_model", "cls_remap", "dis"),
        "makes something else of a training from scratch, and may fetch weights",
    ),
    **dict.fromkeys(("amp", "batch", "seed"), "is a field of its own"),
    "imgsz": "is a field of its own; use image_size",
    "nbs": "is the batch; use the field batch",
    "device": "is a field of its own; use training_device",
    "quantize": "decides what a model is made into; use a recipe, such as [train, export, quantise]",
}
# What every file of Ultralytics' hyperparameters holds beside, of classification, masks, keypoints, turned boxes and depth: it does
# nothing in the training of a detector, and is left out.
IDLE = frozenset(
    ("erasing", "auto_augment", "dropout", "copy_paste", "copy_paste_mode", "mask_ratio", "overlap_mask")
    + ("pose", "kobj", "rle", "angle", "dlog", "dgrad", "dlam")
)

Allowed = Callable[[object, int], str | None]  # (value, epochs) -> what it must be, None where it is that


def _number(low: float, high: float, *, below: bool = False, above: bool = False, whole: bool = False) -> Allowed:
    """Numbers from `low` to `high`, both included unless `above` and `below` say otherwise."""
    text = f"{'above' if above else 'from'} {low:g} {'and below' if below else 'to'} {high:g}"

    def check(value: object, epochs: int) -> str | None:
        number = isinstance(value, int if whole else (int, float)) and not isinstance(value, bool)
        within = number and math.isfinite(value) and low <= value <= high  # type: ignore[arg-type,operator]
        ends = (above and value == low) or (below and value == high)
        return None if within and not ends else f"a{' whole' if whole else ''} number {text}"

    return check


def _up_to_the_epochs(whole: bool) -> Allowed:
    def check(value: object, epochs: int) -> str | None:
        wrong = _number(0, epochs, whole=whole)(value, epochs)
        return f"{wrong}, the epochs" if wrong else None

    return check


def _boolean(value: object, epochs: int) -> str | None:
    return None if isinstance(value, bool) else "true or false"


def _optimizer(value: object, epochs: int) -> str | None:
    return None if value in OPTIMIZERS else one_of(OPTIMIZERS)


_share = _number(0, 1)
# All that may be replaced: how the weights are stepped, what the parts of the loss weigh, and how training images are varied.
ALLOWED: dict[str, Allowed] = {
    "optimizer": _optimizer,
    "lr0": _number(0, 1, above=True),
    "lrf": _share,
    "cos_lr": _boolean,
    "momentum": _number(0, 1, below=True),
    "weight_decay": _share,
    "warmup_epochs": _up_to_the_epochs(whole=False),
    "warmup_momentum": _number(0, 1, below=True),
    "warmup_bias_lr": _share,
    **dict.fromkeys(("box", "cls", "dfl"), _number(0, 100)),
    "cls_pw": _share,
    **dict.fromkeys(("hsv_h", "hsv_s", "hsv_v", "translate", "scale"), _share),
    "degrees": _number(0, 180),
    "shear": _number(0, 90, below=True),
    "perspective": _number(0, 0.001),
    **dict.fromkeys(("flipud", "fliplr", "bgr", "mosaic", "mixup", "cutmix"), _share),
    "close_mosaic": _up_to_the_epochs(whole=True),
    "multi_scale": _number(0, 0.5),
}


def effective(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings without those that do nothing."""
    return {name: value for name, value in settings.items() if name not in IDLE}


def check_settings(settings: Mapping[str, object], epochs: int) -> None:
    """Raise InputError unless these are Ultralytics settings that may replace `SETTINGS` in a training of `epochs`, or do nothing.

    What may be replaced is listed, so that a setting which a later Ultralytics brings is refused until somebody has looked at it.
    """
    for name, value in effective(settings).items():
        if name in REFUSED:
            raise InputError(f"training: {name} {REFUSED[name]}")
        if name not in ALLOWED:
            raise InputError(f"training: {name!r} is not to be set; what may be is {one_of(ALLOWED)}")
        if (wanted := ALLOWED[name](value, epochs)) is not None:
            raise InputError(f"training: {name}: {value!r} must be {wanted}")
    if settings.get("optimizer") == "auto":
        for name in ("lr0", "momentum", "warmup_bias_lr"):
            if name in settings:
                raise InputError(
                    f"training: optimizer auto chooses {name} itself; leave that out, or name an optimizer"
                )


@dataclass(frozen=True)
class Fidelity:
    """How much is spent on one training.

    Attributes:
        epochs: passes over the training images.
        fraction: share of the training images.
    """

    epochs: int
    fraction: float = 1.0

    def __post_init__(self) -> None:
        if isinstance(self.epochs, bool) or not isinstance(self.epochs, int) or self.epochs < 1:
            raise InputError(f"epochs must be a positive integer, not {self.epochs!r}")
        if not 0 < self.fraction <= 1:
            raise InputError(f"fraction must be above 0 and at most 1, not {self.fraction!r}")
