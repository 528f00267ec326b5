"""The loss of a network on some training images, which it is shown and does not learn from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from ..data import Dataset

BATCH = 8  # images that a loss is of


def shown_batches(dataset: Dataset, image_size: int, images: int, seed: int = 0) -> list[dict[str, torch.Tensor]]:
    """Batches of training images drawn by the seed, squares of `image_size` pixels, with their boxes; all, where there are fewer.

    Raises:
        InputError: fewer training images than one batch, or one that cannot be read.
    """
    from ..proxies.labelled import dataset_images

    shown = dataset_images(dataset, min(images, len(dataset.train)), image_size, seed)
    return shown.batches(min(BATCH, len(shown.images)), (image_size, image_size))


def losses(network: nn.Module, batches: Sequence[Mapping[str, torch.Tensor]]) -> Iterator[torch.Tensor]:
    """Ultralytics' detection loss of each batch, () and of an image; normalisation keeps its statistics.

    The network is left in evaluation mode.
    """
    from ultralytics.cfg import get_cfg

    network.train()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
    had, network.args = getattr(network, "args", None), get_cfg()  # the weights of the loss's parts
    for batch in batches:
        loss, _ = network.loss(batch)
        yield loss.sum() / len(batch["img"])
    network.args = had
    network.criterion = None
    network.eval()


def mean_loss(network: nn.Module, batches: Sequence[Mapping[str, torch.Tensor]]) -> float:
    """Of an image of all batches."""
    with torch.no_grad():
        return float(torch.stack(list(losses(network, batches))).mean())
