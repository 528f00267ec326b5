"""How sure the figures of a run are, in lines."""

from __future__ import annotations

from search_spaces.errors import all_of

from ..formatting import rounded
from ..noise import USUAL
from ..storage.judged import IN_DOUBT
from ..storage.run import Run

FEWEST, MOST = 4, 12  # trainings that are suggested to confirm a front


def noisy(run: Run) -> list[str]:
    """The metrics of the run whose errors are not 0, what is optimised first."""
    return [name for name, noise in run.noise.items() if noise.deviation]


def describe_noise(run: Run) -> list[str]:
    """What ± means in the figures of a run, and whether it was measured there; nothing where nothing is noisy."""
    names = noisy(run)
    measured = [name for name in names if run.noise[name].measured]
    lines = []
    if measured:
        noise = run.noise[measured[0]]
        by = all_of([f"{name} by {rounded(run.noise[name].deviation)}" for name in measured])
        usual = " and what is usual" if measured[0] in USUAL else ""
        lines.append(
            f"± is one standard error: from one training of a model to another {by} (by {noise.trainings} trainings of {_models(noise.architectures)}{usual})"
        )
    if guessed := [name for name in names if name not in measured]:
        usually = all_of([f"{name} by {rounded(run.noise[name].deviation)}" for name in guessed])
        noise = run.noise[guessed[0]]
        why = "no model was trained twice"
        if noise.architectures:
            agreed = f"{noise.trainings} trainings of {_models(noise.architectures)}"
            why = f"{agreed} agree in each, which tells nothing (more validation images, or epochs, would)"
        lines.append(f"± is a guess, by what is usual from one training of a model to another, {usually}: {why}")
    return lines


def _models(count: int) -> str:
    return "one model" if count == 1 else f"{count} models"


def describe_doubt(run: Run) -> list[str]:
    """Which members of the front may be off it, and how that is found out."""
    doubtful = [e.key for e in run.front if run.judgement.in_doubt(e.key)]
    if not doubtful:
        return []
    count = sum(e.confirms for e in run.repeats) + min(MOST, max(FEWEST, 2 * len(doubtful)))
    return [
        f"{len(doubtful)} of {len(run.front)} models may be off the front: with a probability above {100 * IN_DOUBT:.0f}% another "
        f"one is better in everything; to train the contenders again, {run.folder.how_to_confirm(count)}"
    ]
