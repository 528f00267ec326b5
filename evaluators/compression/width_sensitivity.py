"""How much each width of a network bears: one at a time is made narrower, nothing is trained, and the loss is looked at.

network -> for every width and ratio: its least important channels cut out -> loss on training images -> rows

Source of the method: H. Li et al., "Pruning filters for efficient ConvNets", arXiv 1608.08710, section 3.2 (with the accuracy). Here it is the
loss: it tells more of few images than mAP, whose steps are coarse and which is 0 for all that is much too narrow, and the validation
images stay unseen by whoever chooses by it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from torch import nn

from search_spaces import InputError
from search_spaces.graph import lower

from .importance import importance
from .pruning import as_architecture, axes_of, check_how, cut_to, narrower, pruned_space, spelt_out
from .training_loss import mean_loss, shown_batches

if TYPE_CHECKING:
    from ..data import Dataset

RATIOS = (0.25, 0.5, 0.75)
COLUMNS = ("layer", "width", "ratio", "channels", "loss", "rise")


def width_sensitivity(
    network: nn.Module,
    image_size: int,
    dataset: Dataset,
    *,
    ratios: Sequence[float] = RATIOS,
    criterion: str = "l2",
    multiple: int = 2,
    images: int = 128,
    seed: int = 0,
    what: str = "the network",
    progress: Callable[[int, int], None] | None = None,
) -> list[dict[str, Any]]:
    """What it does to the loss when one width alone is made narrower, for every width that pruning may narrow; the network is left as it is.

    Args:
        image_size: in pixels.
        ratios: shares of the channels that go.
        criterion: by which the channels of a width are chosen, as of `prune`.
        multiple: even; channels become multiples of it, and no fewer than pruning leaves.
        images: from the training split, drawn by the seed; all, where there are fewer.
        what: what messages call the network.
        progress: called with (networks looked at, networks).

    Returns:
        Rows of `COLUMNS`: the layer, the width as a choice of the space of pruned networks, the ratio, the channels that are left (of
        each of the head's branches), the loss of an image, and how much of the untouched network's loss has come to it (0.1: a tenth
        more). A ratio that leaves a width as an earlier one does, or whole, has no row.

    Raises:
        InputError: a network whose channels are not known, or detects another number of classes than the dataset has; ratios, a criterion
            or a multiple that there cannot be; an image that cannot be read.
    """
    check_how(criterion, multiple)
    for ratio in ratios:
        if not 0 < ratio < 1:
            raise InputError(f"ratio {ratio:g}: must be a share of the channels above 0 and below 1")
    classes = len(network.names)
    if classes != dataset.num_classes:
        raise InputError(f"{what}: detects {classes} classes, and the dataset {dataset.name} has {dataset.num_classes}")
    whole = spelt_out(as_architecture(network, image_size, what), classes)
    graph = lower(whole, classes)
    matters = importance(network, graph, criterion)
    batches = shown_batches(dataset, image_size, images, seed)
    wanted: dict[tuple[str, int], float] = {}  # (width, channels) -> the first ratio that comes to it
    for name in axes_of(whole):
        for ratio in sorted(ratios):
            channels = narrower(whole[name], (1 - ratio) * whole[name], multiple)
            if channels < whole[name]:
                wanted.setdefault((name, channels), ratio)
    was_training = network.training
    untouched = mean_loss(network, batches)
    network.train(was_training)
    layers, rows = {name: pairs[0][0] for name, pairs in axes_of(whole).items()}, []
    for done, ((name, channels), ratio) in enumerate(wanted.items(), 1):
        after = pruned_space(whole).of({**whole.to_dict(), name: channels})
        loss = mean_loss(cut_to(network, graph, after, matters), batches)
        found = (layers[name], name, float(ratio), channels, loss, loss / untouched - 1)
        rows.append(dict(zip(COLUMNS, found)))
        if progress is not None:
            progress(done, len(wanted))
    return rows
