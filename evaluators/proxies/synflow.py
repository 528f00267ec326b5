"""SynFlow: how much flows through an untrained network along all paths from the image to the outputs."""

from __future__ import annotations

import torch
from torch import nn

from .probe import Probe, linear_copy, summed, weights


def flow(linear: nn.Module, inputs: torch.Tensor) -> float:
    """log sum_w |w| dR/d|w|, R the sum of the outputs for `inputs`, of a network that is linear in its weights.

    The weights are replaced by their absolute values. A chain of L layers has log(L * 1' |W_L| ... |W_1| x).
    """
    parameters = weights(linear)
    with torch.no_grad():
        for parameter in parameters:
            parameter.abs_()
    gradients = torch.autograd.grad(summed(linear(inputs)), parameters, materialize_grads=True)
    return float(sum((w.detach() * g).sum() for w, g in zip(parameters, gradients)).log())


def synflow(probe: Probe) -> float:
    """The logarithm of SynFlow's score for an image of ones: the score itself grows by a factor with every layer.

    Of the network only the weights act (`linear_copy`), so that it is a sum over paths; double precision holds it.

    Source: H. Tanaka, D. Kunin, D. L. K. Yamins, S. Ganguli, "Pruning neural networks without any data by iteratively conserving
    synaptic flow", NeurIPS 2020, arXiv 2006.05467: R = 1' (prod_l |W_l|) 1, scores dR/dw * w; as a score of networks in M. S.
    Abdelfattah et al., "Zero-Cost Proxies for Lightweight NAS", ICLR 2021, arXiv 2101.08134.
    """
    return flow(linear_copy(probe.model), torch.ones(1, 3, *probe.image_size, dtype=torch.float64))
