"""How much hypervolume candidates are expected to add to a front.

Source: M. Emmerich, K. Giannakoglou, B. Naujoks, "Single- and multiobjective evolutionary optimization assisted by Gaussian
random field metamodels", IEEE TEC 10(4), 2006.
"""

from __future__ import annotations

import moocore
import numpy as np

FINALISTS = 64  # candidates whose improvement is computed where there are more than two objectives


def expected_improvement(outcomes: np.ndarray, front: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """(n,) mean hypervolume that each candidate adds to the front.

    Args:
        outcomes: (draws, n, m) objectives of the candidates, to be minimised.
        front: (k, m) points that do not dominate each other.
        reference: (m,).
    """
    draws, count, dimensions = outcomes.shape
    if dimensions == 1:
        best = min(front.min(initial=np.inf), reference[0])
        return np.maximum(best - outcomes[:, :, 0], 0).mean(0)
    if dimensions == 2:
        return _area_added(outcomes.reshape(-1, 2), front, reference).reshape(draws, count).mean(0)
    # where the mean outcome is best, the improvement of every draw
    whole = moocore.hypervolume(front, ref=reference) if len(front) else 0.0

    def added(point: np.ndarray) -> float:
        return moocore.hypervolume(np.concatenate([front, point[None]]), ref=reference) - whole

    optimistic = outcomes.mean(0) - outcomes.std(0)
    score, first = np.zeros(count), np.array([added(point) for point in optimistic])
    for i in np.argsort(-first)[:FINALISTS]:
        score[i] = np.mean([added(point) for point in outcomes[:: max(1, draws // 8), i]])
    return score


def _area_added(candidates: np.ndarray, front: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """(n,) area that each of the (n, 2) points adds to what the front dominates, all to be minimised."""
    front = front[(front < reference).all(1)]
    front = front[np.argsort(front[:, 0])]
    # between two neighbours of the front its height is that of the left one; left of the first, the reference's
    left = np.concatenate([[-np.inf], front[:, 0]])
    right = np.concatenate([front[:, 0], [reference[0]]])
    height = np.concatenate([[reference[1]], front[:, 1]])
    x, y = candidates[:, :1], candidates[:, 1:]
    width = np.maximum(right - np.maximum(left, x), 0)
    return (width * np.maximum(height - y, 0)).sum(1)
