"""What another search found out, as this one's prior."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

import numpy as np

from evaluators.inputs import Inputs, choice_inputs
from search_spaces import Architecture, InputError, SearchSpace

from .algorithm import Prior
from .belief import PLAIN, Process, Seen

FEWEST = 3  # results below which nothing can be learnt
SLOPE = 0.4  # of the other run's standardised results over the prior that it is itself told


def prior_from(
    results: Sequence[tuple[Architecture, float]], space: SearchSpace, below: Prior | None = None
) -> Prior | None:
    """A Gaussian process over the choices, through the results of another run, as a prior for this one.

    Far from those results it says what `below` says, or nothing, which are scores near 0.

    Args:
        results: architectures with their values, more is better; those that `space`, unrestricted, does not hold are left out.
        space: what is searched now.
        below: the prior that there is without the other run.

    Returns:
        Scores, mean 0 and deviation 1 over the other run's results; `below` where fewer than three are left.
    """
    whole = space.unrestricted
    held: list[tuple[Architecture, float]] = []
    for architecture, value in results:
        with contextlib.suppress(InputError):
            held.append((whole.adopt(architecture), float(value)))
    values = np.array([value for _, value in held])
    if len(held) < FEWEST or np.ptp(values) == 0:
        return below
    standard = -(values - values.mean()) / values.std()  # processes are of what is to be minimised
    told = [architecture for architecture, _ in held]
    process = Process(-SLOPE if below is not None else 0.0)

    def inputs(architectures: Sequence[Architecture]) -> Inputs:
        # over all of the space's values, which a restricted space may lack
        seen = choice_inputs([whole.adopt(a) for a in architectures])
        if below is None:
            return seen
        scores = np.asarray(below(architectures), float)[:, None]
        return Inputs(np.concatenate([scores, seen.numbers], axis=1), seen.categories)

    def prior(architectures: Sequence[Architecture]) -> np.ndarray:
        seen = Seen(inputs(told), None, inputs(architectures))
        each = [np.array([value]) for value in standard]
        belief = process.believe(each, PLAIN, seen, np.arange(len(each)), len(each))
        return -belief.mean

    return prior
