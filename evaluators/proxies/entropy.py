"""MAE-DET's multi-scale entropy: how much a backbone with Gaussian weights can tell at each of its scales."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import nn

from search_spaces.graph import IMAGE

from .probe import Probe, linear_copy, weights

SCALES = {
    8: 1.0,
    16: 1.0,
    32: 6.0,
}  # stride -> weight of its entropy in the sum, as the paper has them for C3, C4 and C5


def draw_gaussian(network: nn.Module, generator: torch.Generator) -> None:
    """Replace all weights by draws of a standard normal distribution."""
    with torch.no_grad():
        for weight in weights(network):
            weight.normal_(generator=generator)


def multi_scale_entropy(features: Mapping[int, torch.Tensor]) -> float:
    """sum_s a_s (log sigma_s + log channels_s) of features (B, channels, height, width) by stride s, a_s of `SCALES`.

    NaN where there are features of none of these strides.
    """
    scales = {stride: share for stride, share in SCALES.items() if stride in features}
    if not scales:
        return math.nan
    return sum(
        share * (math.log(features[stride].std()) + math.log(features[stride].shape[1]))
        for stride, share in scales.items()
    )


def entropy(probe: Probe) -> float:
    """`multi_scale_entropy` of the backbone's last feature map of each stride, for standard normal weights and images.

    The differential entropy of a Gaussian is log sigma plus a constant. Neither normalisation nor activations act
    (`linear_copy`), so that sigma is the product of what every convolution multiplies it by; the paper divides by these on the
    way and adds up their logarithms, which double precision has no need of. The neck and the head are not scored.

    Source: Z. Sun, M. Lin, X. Sun, Z. Tan, H. Li, R. Jin, "MAE-DET: Revisiting Maximum Entropy Principle in Zero-Shot NAS for
    Efficient Object Detection", ICML 2022, arXiv 2111.13336; log channels as in the authors' code, TinyNAS.
    """
    graph = probe.graph
    backbone = linear_copy(probe.model.model[: graph.backbone])
    generator = torch.Generator().manual_seed(probe.seed)
    draw_gaussian(backbone, generator)
    shape = (probe.batch_size, 3, *probe.image_size)
    maps = {IMAGE: torch.randn(shape, generator=generator, dtype=torch.float64)}
    features = {}
    with torch.no_grad():
        for index, layer in enumerate(graph.layers[: graph.backbone]):
            read = [maps[source] for source in layer.inputs]
            maps[index] = backbone[index](read[0] if len(read) == 1 else read)
            features[graph.image.height // layer.out_shapes[0].height] = maps[
                index
            ]  # later layers replace earlier ones
    return multi_scale_entropy(features)
