"""The same space in other tools' terms: nni.mutable and a Ray Tune param_space.

Neither has conditional choices of our kind, so both get every choice; `SearchSpace.project` takes what they sampled
back to an architecture, leaving out what has no effect.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .errors import InputError
from .space import SearchSpace

if TYPE_CHECKING:
    from nni.mutable import MutableDict


def nni_space(space: SearchSpace) -> MutableDict:
    """The space as an `nni.mutable.MutableDict` of one `Categorical` per choice.

    Raises:
        InputError: nni is not installed (it has wheels for x86-64 only).
    """
    try:
        from nni.mutable import Categorical, MutableDict
    except ImportError:
        raise InputError(
            "nni is not installed. It has wheels for x86-64 only; there `pip install 'evoyolo[nni]'` brings it"
        ) from None
    return MutableDict({c.name: Categorical(list(c.values), label=c.name) for c in space.choices})


def param_space(space: SearchSpace) -> dict[str, Any]:
    """The space as a Ray Tune `param_space`: one `tune.choice` per choice."""
    from ray import tune

    return {choice.name: tune.choice(list(choice.values)) for choice in space.choices}
