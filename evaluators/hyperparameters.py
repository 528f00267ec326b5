"""The hyperparameters of our Gaussian processes' kernel: how many there are, and what is expected of each."""

from __future__ import annotations

import numpy as np

NOISE = 0.03  # standard deviation of a measurement, as its prior has it: the values are logarithms


def hyperparameters(
    numbers: int,
    categories: int,
    amplitude: float = 1.0,
    others: int = 0,
    spread: float = 1.0,
    noise: tuple[float, float] | None = None,
) -> dict[str, tuple[int, float, float]]:
    """Name -> (how many, mean and standard deviation of the normal prior on the logarithm of each).

    Args:
        numbers, categories, amplitude, others, spread, noise: of `evaluators.gaussian_process.Kernel`.
    """
    scale, elsewhere = 2 * np.log(amplitude), 2 * np.log(spread)
    by_category = numbers if categories else 0
    usual = elsewhere + np.log(0.1) if others else 2 * np.log(NOISE), 1.5
    return {
        "noise": (1, *(noise or usual)),
        "constant": (1, elsewhere + np.log(4.0) if others else scale, 1.5),
        "linear": (numbers, scale + np.log(0.3), 1.5),
        "curve": (numbers, scale + np.log(0.02), 1.5),
        "curve_length": (numbers, np.log(1.0), 0.7),
        "offset": (categories, scale + np.log(0.1), 1.5),
        "category_linear": (by_category, scale + np.log(0.01), 1.5),
        "category_curve": (by_category, scale + np.log(0.005), 1.5),
        "matern": (1, scale + np.log(0.05), 1.5),
        "length": (numbers, np.log(2.0), 1.0),
        "category_length": (categories, np.log(1.5), 1.0),
        "elsewhere": (1 if others else 0, elsewhere, 1.0),
    }
