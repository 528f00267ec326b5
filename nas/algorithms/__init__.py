"""Ask/tell search algorithms, one per file: each module with an `ALGORITHM` is one, and nothing lists them.

Those of other libraries are listed, since they are imported when one is made.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NamedTuple

from search_spaces import InputError, SearchSpace
from search_spaces.errors import one_of

from ..objectives import Objective
from ..options import check_options, options_of
from .algorithm import Algorithm, SpaceExhausted, Unaffordable


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


PEERS = {
    "optuna-tpe": Peer("Optuna", "optuna_samplers", "OptunaTPE"),
    "optuna-nsga2": Peer("Optuna", "optuna_samplers", "OptunaNSGA2"),
    "optuna-gp": Peer("Optuna", "optuna_samplers", "OptunaGP"),
    "botorch-qlognehvi": Peer("BoTorch", "botorch_nehvi", "BoTorchNEHVI"),
    "pymoo-nsga2": Peer("pymoo", "pymoo_nsga2", "PymooNSGA2"),
    "nni-tpe": Peer("NNI", "nni_tuners", "NNITPE"),
    "nni-evolution": Peer("NNI", "nni_tuners", "NNIEvolution"),
}


def _own() -> dict[str, type[Algorithm]]:
    """Name -> class, of the modules of this package that need no other library."""
    others = {peer.module for peer in PEERS.values()}
    names = [found.name for found in pkgutil.iter_modules(__path__) if found.name not in others]
    modules = [import_module(f".{name}", __name__) for name in names]
    return {module.ALGORITHM.name: module.ALGORITHM for module in modules if hasattr(module, "ALGORITHM")}


ALGORITHMS: dict[str, type[Algorithm] | Peer] = {**_own(), **PEERS}


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


__all__ = ["ALGORITHMS", "Algorithm", "Peer", "SpaceExhausted", "Unaffordable", "make_algorithm"]
