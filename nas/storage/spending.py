"""What evaluations cost, as shares of a whole one."""

from __future__ import annotations

from collections.abc import Sequence


def share(fidelities: Sequence[float], fidelity: float | None) -> float:
    """What an evaluation at one of the ascending fidelities adds to the one before, as a share of a whole evaluation.

    An evaluation without fidelities is a whole one.
    """
    if not fidelities or fidelity is None:
        return 1
    below = max((f for f in fidelities if f < fidelity), default=0)
    return (fidelity - below) / fidelities[-1]
