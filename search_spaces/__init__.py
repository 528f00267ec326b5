"""What can be searched: genotypes, the layer graph they lower to, and the networks built from it."""

import os
from typing import TYPE_CHECKING, Any

from .architecture import Architecture, Choice
from .errors import InputError
from .families.yolov8 import YoloSpace
from .graph import lower
from .space import SearchSpace

if TYPE_CHECKING:
    from .models import build_model

__all__ = ["Architecture", "Choice", "InputError", "SearchSpace", "YoloSpace", "build_model", "lower"]


# Ultralytics reads these when it is first imported. It would install packages and look for a network by itself;
# nothing of this package does so unasked.
os.environ.setdefault("YOLO_AUTOINSTALL", "false")
os.environ.setdefault("YOLO_OFFLINE", "true")


def __getattr__(name: str) -> Any:
    # torch and ultralytics take seconds to import, and most uses of a space need neither
    if name == "build_model":
        from .models import build_model

        return build_model
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
