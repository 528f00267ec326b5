"""All scores by name, and many architectures scored at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import torch

from search_spaces import Architecture, InputError
from search_spaces.errors import one_of, shown
from search_spaces.graph import check_num_classes

from ..complexity import complexity
from ..evaluator import EvaluationError
from .activations import nwot
from .entropy import entropy
from .gradients import grad_norm, zico
from .jacobian import jacob_cov
from .labelled import LabelledImages, random_images
from .probe import Probe, drawn_by
from .synflow import synflow


def macs(probe: Probe) -> float:
    """Multiply-accumulates for one image: a baseline, which costs nothing."""
    return float(complexity([probe.architecture], probe.num_classes).macs[0])


def params(probe: Probe) -> float:
    """Parameters: a baseline, which costs nothing."""
    return float(complexity([probe.architecture], probe.num_classes).params[0])


# Of every score more is said to be better.
PROXIES: dict[str, Callable[[Probe], float]] = {
    score.__name__: score for score in (macs, params, nwot, synflow, zico, grad_norm, jacob_cov, entropy)
}
COMPARES_BATCHES = ("zico",)


def proxy_scores(
    architectures: Sequence[Architecture],
    num_classes: int,
    *,
    scores: Iterable[str] = tuple(PROXIES),
    batch: LabelledImages | None = None,
    seed: int = 0,
    batch_size: int = 8,
) -> dict[str, np.ndarray]:
    """Training-free scores of n architectures, name -> (n,) array; of each more is said to be better.

    Every network is built once, at its own image size, and its scores share forward and backward passes. The same call gives the
    same scores; random states are left as they were.

    Args:
        scores: names of `PROXIES`.
        batch: the images shown, in whole batches; None draws two batches of `random_images`.
        seed: draws weights, and images where none are given.
        batch_size: images shown at once.

    Raises:
        InputError: a score of another name, too few images, or a batch that is none.
        EvaluationError: a score is not finite; names it and the architecture.
    """
    scores = (scores,) if isinstance(scores, str) else tuple(scores)
    for name in scores:
        if name not in PROXIES:
            raise InputError(f"no training-free score {shown(name)}; there are {one_of(PROXIES)}")
    check_num_classes(num_classes)
    _check_whole("seed", seed, 0)
    _check_whole("batch_size", batch_size, 2)
    images = random_images(2 * batch_size, num_classes, seed) if batch is None else batch
    if not isinstance(images, LabelledImages):
        raise InputError(f"batch must be LabelledImages, not {shown(images)}")
    images.check(num_classes)
    needed = 2 if any(name in COMPARES_BATCHES for name in scores) else 1
    if len(images.images) < needed * batch_size:
        raise InputError(
            f"batch: {len(images.images)} images, and {needed * batch_size} are needed: {needed} batches of {batch_size}"
        )
    result = {name: np.zeros(len(architectures)) for name in scores}
    with drawn_by(seed):
        for row, architecture in enumerate(architectures):
            probe = Probe(architecture, num_classes, images, seed, batch_size)
            for name in scores:
                result[name][row] = _score(name, probe)
    return result


def _score(name: str, probe: Probe) -> float:
    try:
        # whatever the caller does with gradients, some of these are made of them
        with torch.inference_mode(False), torch.enable_grad(), np.errstate(all="ignore"):
            value = PROXIES[name](probe)
    except np.linalg.LinAlgError:  # of a matrix that is not finite
        value = float("nan")
    if not np.isfinite(value):
        raise EvaluationError(f"architecture {probe.architecture.key}: its score {name} is {value}, which says nothing")
    return value


def _check_whole(name: str, value: object, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not least <= value < 2**63:
        raise InputError(f"{name} must be a whole number of at least {least}, not {shown(value)}")
