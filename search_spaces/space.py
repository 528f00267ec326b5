"""Search spaces: named choices, conditional on one another, and what can be done with the architectures they span."""

from __future__ import annotations

import copy
import math
import random
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar, TypeAlias

import numpy as np

from .architecture import Architecture, Choice
from .errors import InputError, one_of

Rng: TypeAlias = np.random.Generator | random.Random | int  # what random draws are made with; an integer is a seed

# Above this many combinations a space with a `valid` rule is not enumerated to count it.
COUNTABLE = 1 << 20
# Draws before a `valid` rule that rejects everything is reported instead of being tried for ever.
MAX_DRAWS = 10_000


class SearchSpace:
    """A set of architectures spanned by choices.

    Args:
        name: names the space in stores and keys.
        choices: the decisions; a conditional choice comes after those it depends on.
        valid: optional rule on an architecture's values (a mapping of the active choices); what it refuses is not
            in the space.

    A subclass may define `lower_values` (see `graph.lower`), which makes its architectures networks.

    Attributes:
        family: the model family whose frame the networks are built in.
        topology_choices: those that decide which layers there are; the others only decide what they are.
        open_choices: choices of numbers that `restrict` may also give values which are not drawn from otherwise, with what
            raises InputError for one that cannot be.
    """

    family: ClassVar[str] = "yolov8"
    topology_choices: ClassVar[tuple[str, ...]] = ()
    open_choices: ClassVar[Mapping[str, Callable[[Any], object]]] = {}

    def __init__(
        self, name: str, choices: Iterable[Choice], valid: Callable[[Mapping[str, Any]], bool] | None = None
    ) -> None:
        self.name = name
        self._origin: SearchSpace | None = None  # what it was restricted from
        self.choices = tuple(choices)
        self.valid = valid
        self._positions: dict[str, int] = {}
        for position, choice in enumerate(self.choices):
            if choice.name in self._positions:
                raise InputError(f"space {name!r} has two choices named {choice.name!r}")
            for parent in choice.when:
                if parent not in self._positions:
                    raise InputError(
                        f"choice {choice.name!r} depends on {parent!r}, which is not an earlier choice of {name!r}"
                    )
            self._positions[choice.name] = position
        # (position, [(position of a parent, codes of it under which the choice is active)])
        self._conditions = [
            [
                (self._positions[parent], frozenset(self._code_if_present(parent, value) for value in allowed))
                for parent, allowed in choice.when.items()
            ]
            for choice in self.choices
        ]

    def _code_if_present(self, name: str, value: object) -> int:
        # A restricted space may have lost a value that a condition names; such a condition is then never met.
        choice = self.choices[self._positions[name]]
        return choice.index(value) if value in choice.values else -2

    # -- looking up ---------------------------------------------------------------------------------------------

    def __contains__(self, name: str) -> bool:
        return name in self._positions

    def position(self, name: str) -> int:
        """Index of the choice `name`; InputError when there is none."""
        try:
            return self._positions[name]
        except KeyError:
            raise InputError(f"space {self.name!r} has no choice {name!r}; it has {one_of(self._positions)}") from None

    def __getitem__(self, name: str) -> Choice:
        """The choice called `name`; InputError when there is none."""
        return self.choices[self.position(name)]

    def _is_active(self, position: int, codes: Sequence[int]) -> bool:
        for parent, allowed in self._conditions[position]:  # noqa: SIM110 - `all` takes twice as long, and this is hot
            if codes[parent] not in allowed:
                return False
        return True

    def active_choices(self, values: Mapping[str, Any]) -> list[str]:
        """Names of the choices that are active under `values`."""
        codes: list[int] = []
        for position, choice in enumerate(self.choices):
            active = self._is_active(position, codes) and choice.name in values
            codes.append(choice.index(values[choice.name]) if active else -1)
        return [choice.name for position, choice in enumerate(self.choices) if self._is_active(position, codes)]

    # -- making architectures -----------------------------------------------------------------------------------

    def architecture(self, /, **values: Any) -> Architecture:
        """The architecture with exactly these values.

        Raises:
            InputError: an unknown choice or value, an active choice without a value, a value for an inactive choice,
                or values that the space's `valid` rule refuses.
        """
        for name in values:
            self.position(name)
        codes: list[int] = []
        for position, choice in enumerate(self.choices):
            if self._is_active(position, codes):
                value = values.get(choice.name, choice.default)
                if choice.name not in values and value not in choice.values:
                    raise InputError(f"choice {choice.name!r} has no value; it can be {one_of(choice.values)}")
                codes.append(choice.index(value))
            elif choice.name in values:
                needs = " and ".join(f"{parent} = {one_of(allowed)}" for parent, allowed in choice.when.items())
                raise InputError(f"choice {choice.name!r} has no effect here; it needs {needs}")
            else:
                codes.append(-1)
        architecture = self._from_codes(codes)
        if self.valid and not self.valid(architecture):
            raise InputError(f"space {self.name!r} does not allow {architecture.to_dict()}")
        return architecture

    def project(self, values: Mapping[str, Any]) -> Architecture:
        """The architecture from values for all choices, where those of inactive choices are left out."""
        active = self.active_choices(values)
        return self.architecture(**{name: value for name, value in values.items() if name in active})

    def _from_codes(self, codes: Sequence[int]) -> Architecture:
        return Architecture(self, np.array(codes, "<i2").tobytes())

    def _grow(self, propose: Callable[[int], int]) -> Architecture | None:
        """Walk the choices in order, asking `propose` for the code of each active one; None if the rule refuses."""
        codes: list[int] = []
        for position in range(len(self.choices)):
            codes.append(propose(position) if self._is_active(position, codes) else -1)
        architecture = self._from_codes(codes)
        return architecture if not self.valid or self.valid(architecture) else None

    def _first_valid(self, make: Callable[[], Architecture | None]) -> Architecture:
        for _ in range(MAX_DRAWS):
            architecture = make()
            if architecture is not None:
                return architecture
        raise InputError(f"space {self.name!r}: its rule refused {MAX_DRAWS:,} architectures in a row")

    def sample(self, rng: Rng) -> Architecture:
        """A random architecture: every active choice uniform over its values.

        `rng` is a numpy Generator, a `random.Random` or a seed. Note that this is uniform per choice and not over
        architectures: a branch with many conditional choices is not preferred for it.
        """
        draws = generator(rng)
        sizes = [len(choice.values) for choice in self.choices]

        def draw() -> Architecture | None:
            uniform = draws.random(len(sizes))
            return self._grow(lambda position: int(uniform[position] * sizes[position]))

        return self._first_valid(draw)

    def mutate(self, architecture: Architecture, rng: Rng, changes: float = 1.5) -> Architecture:
        """A neighbour that differs in at least one active choice, on average in about `changes`.

        Half of the changes of an ordered number go to the value next to it. Choices that a change activates are
        drawn anew. In a space of one architecture that one is returned.
        """
        draws = generator(rng)
        old = np.frombuffer(architecture.codes, "<i2").tolist()
        movable = [p for p, choice in enumerate(self.choices) if old[p] >= 0 and len(choice.values) > 1]
        if not movable:
            return architecture
        rate = min(1.0, changes / len(movable))

        def draw() -> Architecture | None:
            chosen = {position for position in movable if draws.random() < rate}
            chosen.add(movable[int(draws.random() * len(movable))])
            return self._grow(lambda p: self._moved(p, old[p], draws) if p in chosen or old[p] < 0 else old[p])

        return self._first_valid(draw)

    def _moved(self, position: int, code: int, rng: np.random.Generator) -> int:
        choice = self.choices[position]
        count = len(choice.values)
        if code < 0:
            return int(rng.random() * count)
        if choice.is_numeric and rng.random() < 0.5:
            step = -1 if code == count - 1 or (code > 0 and rng.random() < 0.5) else 1
            return code + step
        other = int(rng.random() * (count - 1))
        return other + (other >= code)

    def crossover(self, first: Architecture, second: Architecture, rng: Rng) -> Architecture:
        """A child that takes every choice from one parent at random, from the other where only that one has it."""
        draws = generator(rng)
        parents = [np.frombuffer(parent.codes, "<i2").tolist() for parent in (first, second)]

        def pick(position: int) -> int:
            for codes in parents if draws.random() < 0.5 else parents[::-1]:
                if codes[position] >= 0:
                    return codes[position]
            return int(draws.random() * len(self.choices[position].values))

        return self._first_valid(lambda: self._grow(pick))

    def neighbours(self, architecture: Architecture, rng: Rng) -> list[Architecture]:
        """Every architecture that differs in the value of one choice; what that activates is drawn at random."""
        draws = generator(rng)
        old = np.frombuffer(architecture.codes, "<i2").tolist()

        def changed(position: int, code: int) -> Architecture | None:
            return self._grow(lambda p: code if p == position else old[p] if old[p] >= 0 else self._moved(p, -1, draws))

        found = (
            changed(position, code)
            for position, choice in enumerate(self.choices)
            if old[position] >= 0
            for code in range(len(choice.values))
            if code != old[position]
        )
        return [neighbour for neighbour in found if neighbour is not None]

    def enumerate(self) -> Iterator[Architecture]:
        """Every architecture once, in lexicographic order of the choices."""

        def walk(codes: list[int]) -> Iterator[Architecture]:
            if len(codes) == len(self.choices):
                architecture = self._from_codes(codes)
                if not self.valid or self.valid(architecture):
                    yield architecture
                return
            position = len(codes)
            options = range(len(self.choices[position].values)) if self._is_active(position, codes) else (-1,)
            for code in options:
                yield from walk([*codes, code])

        return walk([])

    @cached_property
    def size(self) -> int:
        """Number of architectures.

        Exact, except that a `valid` rule over more than about a million combinations is not counted out: then this
        is the number of combinations, an upper bound, and `size_is_exact` is False.
        """
        if self.valid and self.size_is_exact:
            return sum(1 for _ in self.enumerate())
        return self._combinations

    @property
    def size_is_exact(self) -> bool:
        """Whether `size` counts the architectures, and not the combinations as an upper bound."""
        return self.valid is None or self._combinations <= COUNTABLE

    @cached_property
    def _combinations(self) -> int:
        # Only the choices that others depend on have to be walked; the rest multiply.
        parents = {parent for conditions in self._conditions for parent, _ in conditions}

        def walk(codes: list[int]) -> int:
            if len(codes) == len(self.choices):
                return math.prod(
                    len(choice.values)
                    for position, choice in enumerate(self.choices)
                    if position not in parents and self._is_active(position, codes)
                )
            position = len(codes)
            if position not in parents:
                return walk([*codes, -1])
            options = range(len(self.choices[position].values)) if self._is_active(position, codes) else (-1,)
            return sum(walk([*codes, code]) for code in options)

        return walk([])

    def restrict(self, values: Mapping[str, Collection[Any]]) -> SearchSpace:
        """The same space with only some values left for some choices; keys of architectures stay the same.

        Raises:
            InputError: an unknown choice, or a value that it does not have (where it is open, cannot have).
        """
        for name, allowed in values.items():
            if not isinstance(allowed, (list, tuple, set, range)) or not allowed:
                raise InputError(f"choice {name!r} must be restricted to a list of values, not {allowed!r}")
        whole = self.holding(values) if self._origin is None else self
        for name, allowed in values.items():
            for value in allowed:
                whole[name].index(value)
        restricted = whole._with(
            Choice(c.name, [v for v in c.values if v in values.get(c.name, c.values)], c.when, c.default)
            for c in whole.choices
        )
        restricted._origin = whole.unrestricted
        return restricted

    def holding(self, values: Mapping[str, Collection[Any]]) -> SearchSpace:
        """The same space with these values in its open choices as well, itself where it has them.

        Raises:
            InputError: a value that an open choice cannot have.
        """
        new: dict[str, list[Any]] = {}
        for name, check in self.open_choices.items():
            for value in values.get(name, ()) if name in self else ():
                if value not in self[name].values:
                    check(value)
                    new.setdefault(name, []).append(value)
        if not new:
            return self
        made = self._with(
            Choice(c.name, sorted({*c.values, *new[c.name]}), c.when, c.default) if c.name in new else c
            for c in self.choices
        )
        if self._origin is not None:
            made._origin = self._origin.holding(values)
        return made

    def extended(self, choices: Iterable[Choice]) -> SearchSpace:
        """The same space with further choices after its own, which its lowering does not see."""
        choices = list(choices)
        extended = self._with([*self.choices, *choices])
        if self._origin is not None:
            extended._origin = self._origin.extended(choices)
        return extended

    def _with(self, choices: Iterable[Choice]) -> SearchSpace:
        """A copy, whatever its owner has made of it, with other choices."""
        made = copy.copy(self)
        for name in [name for name in vars(made) if isinstance(getattr(type(self), name, None), cached_property)]:
            del vars(made)[name]
        SearchSpace.__init__(made, self.name, choices, self.valid)
        return made

    @property
    def unrestricted(self) -> SearchSpace:
        """The space that this one was restricted from, itself where it is whole."""
        return self if self._origin is None else self._origin

    def adopt(self, architecture: Mapping[str, Any]) -> Architecture:
        """The same values as an architecture of this space; InputError when it does not hold them."""
        return self.architecture(**dict(architecture))

    # -- as arrays ----------------------------------------------------------------------------------------------

    def code_matrix(self, architectures: Sequence[Architecture]) -> np.ndarray:
        """(n, number of choices) int16: the position of each value in its choice, -1 where inactive."""
        joined = b"".join(
            a.codes if a.space is self or a.space.choices == self.choices else self.adopt(a).codes
            for a in architectures
        )
        return np.frombuffer(joined, "<i2").reshape(-1, len(self.choices))

    def columns(self, architectures: Sequence[Architecture]) -> dict[str, np.ndarray]:
        """Choice -> array of the n values; where a choice is inactive its first value stands in."""
        codes = self.code_matrix(architectures)
        return {
            choice.name: np.asarray(choice.values)[np.maximum(codes[:, position], 0)]
            for position, choice in enumerate(self.choices)
        }

    @cached_property
    def _encoders(self) -> list[np.ndarray]:
        tables = []
        for choice in self.choices:
            if choice.is_numeric:
                values = np.array(choice.values, float)
                span = values.max() - values.min()
                rows = ((values - values.min()) / span if span else np.zeros(len(values)))[:, None]
                inactive = np.full((1, 1), 0.5)
            else:
                rows, inactive = np.eye(len(choice.values)), np.zeros((1, len(choice.values)))
            tables.append(np.concatenate([rows, inactive]))  # code -1 is the last row
        return tables

    def encode(self, architectures: Sequence[Architecture]) -> np.ndarray:
        """(n, d) float array for surrogates.

        A choice of numbers is one column scaled to [0, 1] (0.5 where inactive); any other choice is one column per
        value (all zero where inactive).
        """
        codes = self.code_matrix(architectures)
        return np.concatenate([table[codes[:, p]] for p, table in enumerate(self._encoders)], axis=1)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, {len(self.choices)} choices, {self.size:.3g} architectures)"


def generator(rng: Rng) -> np.random.Generator:
    """A numpy Generator from one, from a `random.Random`, or from a seed."""
    if isinstance(rng, random.Random):
        return np.random.default_rng(rng.getrandbits(64))
    return np.random.default_rng(rng)
