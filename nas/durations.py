"""How long evaluations take, learnt from those that have ended and from what is known of an architecture beforehand."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping

import numpy as np

# What the seconds of a training go by, and with which power (mean and deviation of a normal prior). Small detectors wait for
# memory and for the optimizer as much as they compute, so that no power is 1.
POWERS = {"macs": (0.5, 0.2), "peak_activation_bytes": (0.25, 0.2), "params": (0.1, 0.1)}
SPREAD = 0.2  # of the logarithm of the seconds about what the powers say
LATEST = 256  # evaluations that are remembered


class Durations:
    """Seconds = constant x product of what is known to its power; the powers by Bayesian linear regression of logarithms.

    (C. Bishop, Pattern Recognition and Machine Learning, 2006, section 3.3.) The constant is the geometric mean's.
    """

    def __init__(self) -> None:
        self._known: deque[dict[str, float]] = deque(maxlen=LATEST)
        self._seconds: deque[float] = deque(maxlen=LATEST)

    def learn(self, known: Mapping[str, float], seconds: float) -> None:
        """An evaluation has ended. What is no finite number above 0 teaches nothing."""
        if not (math.isfinite(seconds) and seconds > 0):
            return
        used = {name: float(known[name]) for name in POWERS if name in known}
        if all(math.isfinite(value) and value > 0 for value in used.values()):
            self._known.append(used)
            self._seconds.append(seconds)

    def __len__(self) -> int:
        return len(self._seconds)

    def expect(self, known: Mapping[str, np.ndarray]) -> np.ndarray | None:
        """(n,) seconds that evaluations will take, of (n,) arrays of what is known; None where none has ended yet."""
        if not self._seconds:
            return None
        names = [name for name in POWERS if name in known and all(name in each for each in self._known)]
        target = np.log(self._seconds)
        if not names:
            count = max((len(np.atleast_1d(values)) for values in known.values()), default=1)
            return np.full(count, float(np.exp(target.mean())))
        told = np.log([[each[name] for name in names] for each in self._known])
        centre = told.mean(0)
        mean, deviation = np.array([POWERS[name] for name in names]).T
        precision = np.diag(deviation**-2)
        left = target - target.mean() - (told - centre) @ mean
        powers = mean + np.linalg.solve(
            precision + (told - centre).T @ (told - centre) / SPREAD**2, (told - centre).T @ left / SPREAD**2
        )
        new = np.log(np.maximum(np.stack([np.asarray(known[name], float) for name in names], axis=1), 1e-9))
        return np.exp(target.mean() + (new - centre) @ powers)
