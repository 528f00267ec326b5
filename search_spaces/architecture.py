"""Choices, and architectures: the points that they span."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import InputError, one_of

if TYPE_CHECKING:
    from .space import SearchSpace


NO_DEFAULT = ...  # None may be one
MOST_VALUES = 2**15 - 1  # of a choice: architectures hold positions of 16 bits


class Choice:
    """One named decision with its ordered values.

    Args:
        name: identifier of the decision.
        values: the values it may take, in order (text, numbers, booleans or None; no two equal).
        when: the choice exists only where every named earlier choice has one of the given values,
            for example ``when={"neck": ["PAN"]}``.
        default: the value of architectures that say nothing of the choice: those from before a space had it. Their keys stay as
            they were, for this value is no part of a key.
    """

    def __init__(
        self, name: str, values: Iterable[Any], when: Mapping[str, Any] | None = None, default: Any = NO_DEFAULT
    ) -> None:
        if not isinstance(name, str) or not name:
            raise InputError(f"a choice needs a name, not {name!r}")
        self.values = tuple(value.item() if isinstance(value, np.generic) else value for value in values)
        if not self.values:
            raise InputError(f"choice {name!r} has no values")
        if len(self.values) > MOST_VALUES:
            raise InputError(f"choice {name!r} has {len(self.values):,} values; at most {MOST_VALUES:,} are possible")
        for value in self.values:
            if not isinstance(value, (str, int, float, bool, type(None))) or value != value:
                raise InputError(f"choice {name!r}: {value!r} is not text, a number, a boolean or None")
        if len(set(self.values)) < len(self.values):
            raise InputError(f"choice {name!r} has equal values: {list(self.values)}")
        self.name = name
        self.default = default  # which a restriction may have taken from the values
        self.when = {
            parent: tuple(allowed) if isinstance(allowed, (list, tuple, set, range)) else (allowed,)
            for parent, allowed in (when or {}).items()
        }
        self._index = {value: i for i, value in enumerate(self.values)}
        self.is_numeric = all(isinstance(value, (int, float)) for value in self.values)

    def index(self, value: object) -> int:
        """Position of `value`; InputError when it is not one of the values."""
        try:
            position = self._index[value]
        except (KeyError, TypeError):  # none of them, or nothing that could be
            position = -1
        if position < 0 or isinstance(value, bool) != isinstance(self.values[position], bool):  # True equals 1
            raise InputError(f"choice {self.name!r} cannot be {value!r}; it can be {one_of(self.values)}")
        return position

    def __repr__(self) -> str:
        condition = f", when={self.when}" if self.when else ""
        return f"Choice({self.name!r}, {list(self.values)}{condition})"


def is_of_recipe(name: str) -> bool:
    """Whether a choice says how a step of a recipe is carried out (STEP.OPTION) instead of what the network is."""
    return "." in name


class Architecture(Mapping[str, Any]):
    """One point of a space: an immutable mapping choice -> value over the choices that are active in it.

    Equal architectures have equal keys. Made by a `SearchSpace`, never directly.
    """

    __slots__ = ("_key", "codes", "space")

    def __init__(self, space: SearchSpace, codes: bytes) -> None:
        self.space = space
        self.codes = codes  # one int16 per choice of the space, -1 where the choice is inactive
        self._key: str | None = None

    def __getitem__(self, name: str) -> Any:
        try:
            position = self.space.position(name)
        except InputError as error:  # a mapping's `in` and `get` expect a KeyError
            raise KeyError(str(error)) from None
        code = int.from_bytes(self.codes[2 * position : 2 * position + 2], "little", signed=True)
        if code < 0:
            raise KeyError(f"{name} has no value in this architecture (it needs {self.space.choices[position].when})")
        return self.space.choices[position].values[code]

    def __iter__(self) -> Iterator[str]:
        return iter(self.to_dict())

    def __len__(self) -> int:
        return len(self.to_dict())

    def network_values(self) -> dict[str, Any]:
        """The values without those of a recipe (choices named STEP.OPTION): what the network is built from."""
        return {name: value for name, value in self.to_dict().items() if not is_of_recipe(name)}

    @property
    def key(self) -> str:
        """Twelve hexadecimal digits that depend on the space's name and the values only, those that are a choice's default left out."""
        if self._key is None:
            codes = np.frombuffer(self.codes, "<i2").tolist()
            chosen = [(choice, choice.values[code]) for choice, code in zip(self.space.choices, codes) if code >= 0]
            said = sorted((choice.name, value) for choice, value in chosen if value != choice.default)
            text = json.dumps([self.space.name, said])
            self._key = hashlib.sha256(text.encode()).hexdigest()[:12]
        return self._key

    def replace(self, **values: Any) -> Architecture:
        """The architecture with some values changed; what becomes inactive is dropped, what becomes active is needed."""
        unknown = [name for name in values if name not in self.space]
        if unknown:
            self.space.position(unknown[0])
        merged = {**self, **values}
        active = self.space.active_choices(merged)
        return self.space.architecture(**{name: v for name, v in merged.items() if name in active or name in values})

    def to_dict(self) -> dict[str, Any]:
        """The values as a plain dictionary, ready for JSON or YAML; `SearchSpace.architecture(**d)` is the way back."""
        codes = np.frombuffer(self.codes, "<i2").tolist()
        return {choice.name: choice.values[code] for choice, code in zip(self.space.choices, codes) if code >= 0}

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Architecture) and self.key == other.key

    def __reduce__(self) -> tuple[type[Architecture], tuple[SearchSpace, bytes]]:
        return Architecture, (self.space, self.codes)

    def __repr__(self) -> str:
        return f"Architecture({self.space.name}:{self.key}, {self.to_dict()})"
