"""What a training is told: Ultralytics' settings that suit a search, and how much is spent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from ultralytics.cfg import check_cfg
from ultralytics.utils import DEFAULT_CFG_DICT

from search_spaces import InputError
from search_spaces.graph import check_image_size

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
    "erasing": 0.0,
    "fliplr": 0.0,
    "translate": 0.1,
    "scale": 0.2,
    "hsv_h": 0.015,
    "hsv_s": 0.4,
    "hsv_v": 0.3,
}


# What keeps a training offline and in its folder, and what the arguments of `train` say.
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
}
ARGUMENTS = ("data", "epochs", "imgsz", "fraction", "batch", "nbs", "seed", "device", "amp", "project", "workers")


def check_settings(settings: Mapping[str, object]) -> None:
    """Raise InputError unless these are Ultralytics training settings that may replace `SETTINGS`."""
    for name, value in settings.items():
        if name in CONTAINED or name in ARGUMENTS:
            raise InputError(
                f"training: {name} cannot be replaced: the search sets it, some of it by fields of its own"
            )
        if name not in DEFAULT_CFG_DICT:
            similar = get_close_matches(name, DEFAULT_CFG_DICT) or sorted(SETTINGS)
            raise InputError(f"training: Ultralytics has no setting {name!r}; there are {', '.join(similar)}")
        try:
            check_cfg({name: value})
        except (TypeError, ValueError) as error:
            raise InputError(f"training: {name}: {str(error).splitlines()[0]}") from None


@dataclass(frozen=True)
class Fidelity:
    """How much is spent on one training.

    Attributes:
        epochs: passes over the training images.
        image_size: pixels; None takes the architecture's own.
        fraction: share of the training images.
    """

    epochs: int
    image_size: int | None = None
    fraction: float = 1.0

    def __post_init__(self) -> None:
        if isinstance(self.epochs, bool) or not isinstance(self.epochs, int) or self.epochs < 1:
            raise InputError(f"epochs must be a positive integer, not {self.epochs!r}")
        if self.image_size is not None:
            check_image_size(self.image_size)
        if not 0 < self.fraction <= 1:
            raise InputError(f"fraction must be above 0 and at most 1, not {self.fraction!r}")
