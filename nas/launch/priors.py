"""Which accuracy prior a search begins with: the one that ships for its family, one of the user's, the run's own, or none."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from evaluators.evaluator import metric_and_device
from evaluators.prior import AccuracyPrior, shipped_prior
from search_spaces import InputError, SearchSpace
from search_spaces.errors import all_of

from ..algorithms.algorithm import Prior
from ..storage.run import Run
from .config import SearchConfig

AUTO, NONE = "auto", "none"
BELIEVED = ("map50_95", "map50")  # what scores are of


def find_prior(config: SearchConfig, space: SearchSpace, resume: bool) -> AccuracyPrior | None:
    """The prior of a new run by its settings, of one that is resumed the one that it was begun with.

    There is none where the leading objective is no accuracy.

    Raises:
        InputError: a file that holds no prior, or one of another model family or version.
    """
    leading = config.make_objectives()[0]
    if metric_and_device(leading.metric)[0] not in BELIEVED or leading.direction != "max":
        return None
    if resume:
        # one of an earlier version has none
        kept = Run(config.run_directory).settings.get("prior")
        what = f"{config.run_directory}: the accuracy prior that this run was begun with"
        prior = None if kept is None else AccuracyPrior.from_content(kept, what)
    elif config.prior == NONE:
        return None
    elif config.prior == AUTO:
        prior, what = shipped_prior(space.family), "the accuracy prior"
    else:
        try:
            prior, what = AccuracyPrior.load(config.prior), config.prior
        except InputError as error:
            raise InputError(f"prior: {error}; it must be {AUTO}, {NONE} or a file") from None
    if prior is not None:
        prior.check_family(space.family, what)
    return prior


def believed(prior: AccuracyPrior | None, num_classes: int) -> Prior | None:
    """What a search takes of a prior: architectures of networks for so many classes -> (n,) scores."""
    return None if prior is None else partial(prior.predict, num_classes=num_classes)


def say_prior(prior: AccuracyPrior, data: str, say: Callable[[str], None]) -> None:
    """Say what is believed beforehand, where that is from, and how to do without."""
    taus = [f"{seen.kendall_tau:.2f}" for seen in prior.data_sets.values() if seen.kendall_tau is not None]
    held_out = f"; on each, unseen, its Kendall tau with accuracy was {all_of(taus)}" if taus else ""
    say(f"which models learn well is believed beforehand as trainings on {all_of(prior.data_sets)} tell{held_out}")
    met = ", of which this data is one" if data in {seen.data for seen in prior.data_sets.values()} else ""
    say(f"  the search corrects it by its own results{met}; --prior none begins without")
