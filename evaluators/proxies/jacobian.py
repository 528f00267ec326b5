"""Jacobian covariance: how little the network's local linear maps at different images have in common."""

from __future__ import annotations

import numpy as np

from .probe import Probe

STABILISER = 1e-5  # k of the paper


def decorrelation(jacobian: np.ndarray) -> float:
    """-sum_i (log(v_i + k) + 1 / (v_i + k)) over the eigenvalues v of the correlation matrix of the (B, values) rows.

    At most -B, which rows without correlation have.
    """
    values = np.clip(np.linalg.eigvalsh(np.corrcoef(jacobian)), 0, None) + STABILISER
    return float(-np.sum(np.log(values) + 1 / values))


def jacob_cov(probe: Probe) -> float:
    """`decorrelation` of the derivatives of the summed raw outputs with respect to each image.

    Source: J. Mellor et al., "Neural Architecture Search without Training", arXiv 2006.04647v1 (the first version's score), as
    in M. S. Abdelfattah et al., "Zero-Cost Proxies for Lightweight NAS", ICLR 2021, arXiv 2101.08134.
    """
    return decorrelation(probe.jacobian.double().numpy())
