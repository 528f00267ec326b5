"""The scale on which accuracies are modelled: log(p / (1 - p))."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

LEAST = 0.01  # accuracy: what has learnt less than this has learnt nothing, and differences below it are none


def logit(accuracy: ArrayLike) -> np.ndarray:
    """log(p / (1 - p)) of accuracies from 0 to 1, those within `LEAST` of the ends taken to be there."""
    clipped = np.clip(np.asarray(accuracy, float), LEAST, 1 - LEAST)
    return np.log(clipped / (1 - clipped))


def expit(value: ArrayLike) -> np.ndarray:
    """The way back."""
    return 1 / (1 + np.exp(-np.asarray(value, float)))
