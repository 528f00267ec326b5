"""Scores of the detection loss's gradients at the start: their norm, and how alike they are from batch to batch (ZiCo)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from .probe import Probe


def grad_norm(probe: Probe) -> float:
    """sum_l ||dL/dW_l||_2 over the layers' weights W_l, for one batch.

    Source: M. S. Abdelfattah et al., "Zero-Cost Proxies for Lightweight NAS", ICLR 2021, arXiv 2101.08134.
    """
    return float(sum(gradient.double().norm() for gradient in probe.gradients(1)[0]))


def inverse_variation(gradients: Sequence[torch.Tensor]) -> float:
    """sum_w E|g_w| / sqrt(Var g_w) of one layer, over its gradients for several batches; weights without variance count none."""
    stacked = torch.stack([gradient.double() for gradient in gradients])
    deviation = stacked.std(0, correction=0)
    varies = deviation > 0
    return float((stacked.abs().mean(0)[varies] / deviation[varies]).sum())


def zico(probe: Probe) -> float:
    """sum_l log sum_w E|g_w| / sqrt(Var g_w), mean and variance over the batches; layers without a gradient count none.

    Source: G. Li, Y. Yang, K. Bhardwaj, R. Marculescu, "ZiCo: Zero-shot NAS via Inverse Coefficient of Variation on
    Gradients", ICLR 2023, arXiv 2301.11300.
    """
    batches = probe.gradients(len(probe.batches))
    layers = [inverse_variation(of_layer) for of_layer in zip(*batches)]
    return float(sum(np.log(layer) for layer in layers if layer > 0))
