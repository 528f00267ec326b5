"""How far a long training is, in words."""

from __future__ import annotations

from pathlib import Path

from evaluators.epochs import Epochs, epochs_of
from search_spaces import InputError

from ..formatting import duration, number


def how_far(directory: Path) -> str | None:
    """Of the training in a trial's folder, as it says itself; None where it says nothing."""
    try:
        found = epochs_of(directory)
    except InputError:  # a link, say
        return None
    return in_words(found) if found else None


def in_words(training: Epochs) -> str:
    """Its epoch, the accuracy so far, and how long it will take."""
    parts = [f"epoch {training.epoch} of {training.epochs}"]
    if training.map50_95 is not None and training.best is not None:
        best = f", best {number('map50_95', training.best)}" if training.best > training.map50_95 else ""
        parts.append(f"mAP50-95 {number('map50_95', training.map50_95)}{best}")
    if training.epoch < training.epochs:
        parts.append(f"about {duration(training.seconds_left)} left")
    return ", ".join(parts)
