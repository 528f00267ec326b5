"""Ask/tell search algorithms, one per file; those of other libraries are imported when one is made."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any, NamedTuple

from search_spaces import InputError, SearchSpace
from search_spaces.errors import one_of

from ..objectives import Objective
from ..options import check_options, options_of
from .algorithm import Algorithm, SpaceExhausted
from .evolution import Evolution
from .local import LocalSearch
from .random import RandomSearch
from .regularized import RegularizedEvolution
from .surrogate import Surrogate


class Peer(NamedTuple):
    """An algorithm of another library: where its class is."""

    library: str  # as it writes itself; in small letters it is the name of the package and of our extra
    module: str
    name: str

    def load(self, algorithm: str) -> type[Algorithm]:
        """The class; InputError when the library is not installed."""
        package = self.library.lower()
        try:
            return getattr(import_module(f".{self.module}", __name__), self.name)
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] != package:
                raise
            raise InputError(
                f"algorithm {algorithm!r} needs {self.library}, which is not installed; "
                f"`pip install 'evoyolo[{package}]'`"
            ) from None


ALGORITHMS: dict[str, type[Algorithm] | Peer] = {
    "random": RandomSearch,
    "evolution": Evolution,
    "regularized": RegularizedEvolution,
    "local": LocalSearch,
    "surrogate": Surrogate,
    "optuna-tpe": Peer("Optuna", "optuna_samplers", "OptunaTPE"),
    "optuna-nsga2": Peer("Optuna", "optuna_samplers", "OptunaNSGA2"),
    "optuna-gp": Peer("Optuna", "optuna_samplers", "OptunaGP"),
    "pymoo-nsga2": Peer("pymoo", "pymoo_nsga2", "PymooNSGA2"),
    "nni-tpe": Peer("NNI", "nni_tuners", "NNITPE"),
    "nni-evolution": Peer("NNI", "nni_tuners", "NNIEvolution"),
}


COMMON = options_of(Algorithm, object)  # seed, constraints and so on, which every algorithm takes


def make_algorithm(name: str, space: SearchSpace, objectives: Sequence[Objective], **options: Any) -> Algorithm:
    """The algorithm called `name`; `options` go to its constructor.

    Raises:
        InputError: there is none of that name, it has no such option, or the library that it comes from is not installed.
    """
    if name not in ALGORITHMS:
        raise InputError(f"no algorithm {name!r}; there are {one_of(ALGORITHMS)}")
    entry = ALGORITHMS[name]
    algorithm = entry.load(name) if isinstance(entry, Peer) else entry
    own = {option: value for option, value in options.items() if option not in COMMON}
    check_options(f"algorithm {name!r}", algorithm, Algorithm, own)
    return algorithm(space, objectives, **options)


__all__ = ["ALGORITHMS", "Algorithm", "Peer", "SpaceExhausted", "make_algorithm"]
