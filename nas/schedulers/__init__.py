"""Who decides how far every evaluation goes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from search_spaces import InputError
from search_spaces.errors import one_of

from ..algorithms import Algorithm
from ..options import check_options
from .fifo import Fifo
from .halving import SuccessiveHalving
from .job import Job
from .scheduler import Scheduler

SCHEDULERS: dict[str, type[Scheduler]] = {"fifo": Fifo, "halving": SuccessiveHalving}


def usual_scheduler(fidelities: Sequence[float]) -> str:
    """The name of the scheduler that is taken where none is asked for."""
    return "halving" if fidelities else "fifo"


def make_scheduler(
    name: str, algorithm: Algorithm, fidelities: Sequence[float], *, always: Iterable[str] = (), **options: Any
) -> Scheduler:
    """The scheduler called `name` over an algorithm; `options` go to its constructor.

    Raises:
        InputError: there is none of that name, it has no such option, or it cannot do with the fidelities.
    """
    if name not in SCHEDULERS:
        raise InputError(f"no scheduler {name!r}; there are {one_of(SCHEDULERS)}")
    check_options(f"scheduler {name!r}", SCHEDULERS[name], Scheduler, options)
    return SCHEDULERS[name](algorithm, fidelities, always, **options)


__all__ = ["SCHEDULERS", "Fifo", "Job", "Scheduler", "SuccessiveHalving", "make_scheduler", "usual_scheduler"]
