"""NWOT: how well an untrained network tells images apart by which of its units are active."""

from __future__ import annotations

import numpy as np

from .probe import Probe


def log_determinant(kernel: np.ndarray) -> float:
    """log |det K| of a (B, B) kernel; minus infinity where two images have the same pattern."""
    return float(np.linalg.slogdet(kernel)[1])


def nwot(probe: Probe) -> float:
    """log |K_H|, where K_H[i, j] counts the units in which images i and j agree on being active.

    A unit is active where what enters its activation is positive, which for ReLU is where it passes it on; SiLU has the same
    boundary.

    Source: J. Mellor, J. Turner, A. Storkey, E. J. Crowley, "Neural Architecture Search without Training", ICML 2021,
    arXiv 2006.04647: K_H = (N_A - d_H(c_i, c_j)) with the Hamming distance d_H of binary codes c, summed over activations.
    """
    return log_determinant(probe.pattern_kernel.numpy())
