"""Iterative pruning: a part of what is to go is taken out, the rest is trained on, and so again until the target is met.

weights -> pruned-1.pt -> trained on in round-1/ -> round-1.pt -> pruned-2.pt -> ... -> the last part is taken out
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from torch import nn

from search_spaces import Architecture
from search_spaces.writing import move

from ..training.checkpoint import load_checkpoint, save_checkpoint
from ..training.train import discard_pauses
from .pruning import Pruned, Target

ROUND, CUT = "round-{}.pt", "pruned-{}.pt"  # after its training, and before


@dataclass(frozen=True)
class Goal:
    """What pruning is to come to: a share of the channels that goes, or a cost; of the two, one is given."""

    ratio: float | None = None
    target: Target | None = None

    def on_the_way(self, share: float, whole: Architecture) -> Goal:
        """What is to be come to when a share of the rounds is done: every round leaves the same share of what it finds.

        So do the rounds of J. Frankle and M. Carbin, "The lottery ticket hypothesis", arXiv 1803.03635.

        Args:
            whole: the network before the first round.
        """
        if share == 1:
            return self
        if self.ratio is not None:
            return Goal(ratio=1 - (1 - self.ratio) ** share)
        assert self.target is not None
        cost, most = float(self.target.cost([whole])[0]), self.target.most
        return Goal(target=replace(self.target, most=max(most, cost * (most / cost) ** share)))


Cut = Callable[[nn.Module, float, Architecture | None], Pruned]


def prune_iteratively(
    weights: Path, cut: Cut, train: Callable[[Path, Path], Path], rounds: int, folder: Path, image_size: int
) -> Pruned:
    """Prune in so many rounds, with a training after each but the last (after S. Han et al., "Learning both weights and connections
    for efficient neural networks", arXiv 1506.02626); what matters is told from the weights that each round finds.

    A call on a folder where an earlier one was killed goes on after the last round that was finished there, and in a training where
    that was; it is for the caller to see that the folder is of the same weights and options.

    Args:
        weights: the checkpoint that is pruned, and left as it is.
        cut: (network, share of the rounds that is then done, the architecture before the first round or None in the first) -> the
            network with fewer channels.
        train: (checkpoint, folder to train in) -> the checkpoint that it leaves there.
        folder: where rounds are kept.
        image_size: in pixels, that checkpoints say they are of.

    Raises:
        InputError: the target is out of reach, which is found before anything is trained.
    """
    first = cut(load_checkpoint(weights), 1.0, None)
    if rounds == 1:
        return first
    whole = first.before
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(1, rounds):
        trained, narrowed = folder / ROUND.format(number), folder / CUT.format(number)
        training = trained.with_suffix("")
        if not trained.exists():
            if not narrowed.exists():
                save_checkpoint(narrowed, cut(load_checkpoint(weights), number / rounds, whole).network, image_size)
            move(train(narrowed, training), trained)
        discard_pauses(training)
        weights = trained
    return replace(cut(load_checkpoint(weights), 1.0, whole), before=whole)
