"""The ask/tell protocol that every search algorithm follows."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from search_spaces import Architecture, InputError, SearchSpace
from search_spaces.space import COUNTABLE

from ..formatting import number
from ..objectives import Constraint, Objective, check_metrics, is_number, meets, order, violation

POOL, FEW = 256, 8  # random candidates costed at once, where there is something to choose by and where there is not
POOLS = 16  # pools without a new feasible architecture before the space is looked through in another way
DESCENTS = 8  # starts of the search for an architecture that meets the constraints

Estimate = Callable[[Sequence[Architecture]], Mapping[str, np.ndarray]]
Prior = Callable[[Sequence[Architecture]], np.ndarray]


class SpaceExhausted(Exception):
    """Every architecture that meets the constraints has been asked."""


class Unaffordable(SpaceExhausted):
    """What is left takes longer than is affordable."""


def nothing_known(architectures: Sequence[Architecture]) -> dict[str, np.ndarray]:
    """The estimate of a search that knows no metric without an evaluation."""
    return {}


def signed_logarithm(values: ArrayLike) -> np.ndarray:
    """Costs on the scale on which they are compared: of any sign, 0 stays 0."""
    given = np.asarray(values, float)
    return np.sign(given) * np.log1p(np.abs(given))


class Algorithm:
    """Decides what to evaluate next. Several asks may be pending at once; no architecture is ever asked twice.

    Args:
        space: what is searched.
        objectives: what is optimised.
        seed: same seed and same calls, same architectures.
        constraints: hard bounds. Those on estimated metrics hold for everything that is asked.
        estimate: metrics known without an evaluation, name -> (n,) array, for n architectures.
        prior: what is believed of the leading objective before anything was evaluated: (n,) scores, better is more, with mean 0 and
            deviation 1 over architectures such as those of the space; an algorithm may use it.

    Attributes:
        name: of the algorithm, in settings; a module of this package with one in `ALGORITHM` is found by it.
        costed: candidates whose costs were estimated so far.
        affordable: most seconds that what is asked next may be expected to take, None for any: what is expected to take longer is
            not evaluated. It counts where the algorithm expects seconds.
    """

    name: ClassVar[str]

    def __init__(
        self,
        space: SearchSpace,
        objectives: Sequence[Objective],
        *,
        seed: int = 0,
        constraints: Iterable[Constraint] = (),
        estimate: Estimate | None = None,
        prior: Prior | None = None,
    ) -> None:
        self.space = space
        self.objectives = list(objectives)
        self.constraints = list(constraints)
        self.seed = seed
        self.costed = 0
        self.affordable: float | None = None
        self.has_estimates = estimate is not None
        self.prior = prior
        self._estimate: Estimate = nothing_known if estimate is None else estimate
        self.known: set[str] = set()  # keys of everything asked or told
        # of these, what lies in this space, which a reference or another space's result need not
        self.inside: dict[str, Architecture] = {}
        self.told: dict[str, dict[str, float]] = {}  # finished ones with their metrics, in the order of telling
        self.ended: set[str] = set()  # failed or rejected
        # what was found out of the finished and of the rejected ones, in the order of telling
        self.learnt: dict[str, dict[str, float]] = {}
        # metrics of further evaluations of the same architecture with other random numbers, which tell how noisy they are
        self.repeats: dict[str, list[dict[str, float]]] = {}

    # -- the protocol -------------------------------------------------------------------------------------------

    def ask(self) -> Architecture:
        """A new architecture to evaluate.

        Raises:
            SpaceExhausted: there is none left; `Unaffordable` where there is, and it would take too long.
            InputError: the constraints leave none at all; names the nearest that exists.
        """
        # From the number of architectures known, so that a search rebuilt from its record draws no number twice.
        rng = np.random.default_rng([self.seed, len(self.known)])
        architecture = self._propose(rng) or self._look_through(rng)
        self.expect(architecture)
        return architecture

    def check_feasible(self) -> None:
        """Raise InputError when the constraints on estimated metrics leave no architecture; names the nearest."""
        rng = np.random.default_rng(self.seed)
        if self.constraints and not self.random_candidates(rng)[0]:
            with contextlib.suppress(SpaceExhausted):
                self._look_through(rng)

    def expect(self, architecture: Architecture) -> None:
        """Take note that `architecture` is being evaluated though it was not asked for."""
        self.known.add(architecture.key)
        with contextlib.suppress(InputError):
            self.inside[architecture.key] = self.space.adopt(architecture)

    def tell(self, architecture: Architecture, metrics: Mapping[str, float]) -> None:
        """The result of an evaluation, whether asked for or not.

        Raises:
            InputError: an objective is missing or not a finite number.
        """
        check_metrics(metrics, self.objectives)
        self.expect(architecture)
        self.told[architecture.key] = self.learnt[architecture.key] = dict(metrics)

    def tell_repeat(self, architecture: Architecture, metrics: Mapping[str, float]) -> None:
        """The result of evaluating an architecture once more with other random numbers."""
        check_metrics(metrics, self.objectives)
        self.expect(architecture)
        self.repeats.setdefault(architecture.key, []).append(dict(metrics))

    def tell_failure(self, architecture: Architecture, reason: str) -> None:
        """The evaluation failed; it will not be asked again."""
        self.expect(architecture)
        self.ended.add(architecture.key)

    def tell_rejected(self, architecture: Architecture, metrics: Mapping[str, float]) -> None:
        """A hard constraint was found violated during the evaluation, after some metrics were measured."""
        self.expect(architecture)
        self.ended.add(architecture.key)
        found = {name: value for name, value in metrics.items() if is_number(value)}
        self.learnt[architecture.key] = {**self.learnt.get(architecture.key, {}), **found}

    def expected_seconds(self, architectures: Sequence[Architecture]) -> np.ndarray | None:
        """(n,) seconds that evaluations are expected to take; None where the algorithm cannot tell."""
        return None

    # -- for subclasses -----------------------------------------------------------------------------------------

    def _propose(self, rng: np.random.Generator) -> Architecture | None:
        """A new feasible architecture by the algorithm's own rule, or None when it found none."""
        raise NotImplementedError

    @property
    def told_inside(self) -> list[str]:
        """Keys of the results inside the space, in the order of telling."""
        return [key for key in self.told if key in self.inside]

    @property
    def feasible(self) -> list[str]:
        """Keys of the results inside the space that meet the constraints, in the order of telling."""
        return [key for key in self.told_inside if meets(self.told[key], self.constraints)]

    @property
    def pending(self) -> list[Architecture]:
        """What is being evaluated inside the space."""
        return [a for key, a in self.inside.items() if key not in self.told and key not in self.ended]

    def best(self, count: int) -> list[Architecture]:
        """Architectures of the best feasible results: by non-dominated rank, then the less crowded first."""
        keys = self.feasible
        ranked = order([self.told[key] for key in keys], self.objectives) if keys else []
        return [self.inside[keys[i]] for i in ranked[:count]]

    def candidates(self, architectures: Iterable[Architecture]) -> tuple[list[Architecture], dict[str, np.ndarray]]:
        """Those that are new and meet the constraints on estimated metrics, each once; with their estimates."""
        fresh = list({a.key: a for a in architectures if a.key not in self.known}.values())
        if not fresh:
            return [], {}
        estimates = self.estimates(fresh)
        keep = np.flatnonzero(self._violation(estimates, len(fresh)) <= 0)
        return [fresh[i] for i in keep], {name: values[keep] for name, values in estimates.items()}

    def estimates(self, architectures: Sequence[Architecture]) -> dict[str, np.ndarray]:
        """Metrics known without an evaluation, name -> (n,) array; the architectures count as costed."""
        if not self.has_estimates:
            return {}
        self.costed += len(architectures)
        return {name: np.asarray(values) for name, values in self._estimate(architectures).items()}

    def random_candidates(
        self, rng: np.random.Generator, many: bool = False
    ) -> tuple[list[Architecture], dict[str, np.ndarray]]:
        """New feasible architectures from uniform draws, a few or `many`; none when `POOLS` pools held none."""
        count = POOL if self.has_estimates and (many or self.constraints) else FEW
        for _ in range(POOLS):
            found, estimates = self.candidates(self.space.sample(rng) for _ in range(count))
            if found:
                return found, estimates
        return [], {}

    def random_candidate(self, rng: np.random.Generator) -> Architecture | None:
        """A new feasible architecture from a uniform draw: what is asked where an algorithm has nothing better."""
        found, _ = self.random_candidates(rng)
        return found[0] if found else None

    def _violation(self, estimates: Mapping[str, np.ndarray], count: int) -> np.ndarray:
        return np.zeros(count) + violation(estimates, self.constraints)

    # -- when draws find nothing --------------------------------------------------------------------------------

    def _look_through(self, rng: np.random.Generator) -> Architecture:
        if self.space.size <= COUNTABLE:
            everything = list(self.space.enumerate())
            found, _ = self.candidates(everything)
            if found:
                return found[int(rng.integers(len(found)))]
            if self._violation(self.estimates(everything), len(everything)).min() <= 0:
                raise SpaceExhausted(f"all {len(everything):,} architectures of {self.space.name!r} that fit are known")
            raise InputError(self._nothing_meets(everything))
        ends = []
        for _ in range(DESCENTS):
            ends.append(self._descend(self.space.sample(rng), rng))
            found, _ = self.candidates([*ends[-1:], *self.space.neighbours(ends[-1], rng)])
            if found:
                return found[int(rng.integers(len(found)))]
        if self._violation(self.estimates(ends), len(ends)).min() <= 0:
            raise SpaceExhausted(f"no new architecture of {self.space.name!r} that meets the constraints was found")
        raise InputError(self._nothing_meets(ends))

    def _descend(self, architecture: Architecture, rng: np.random.Generator) -> Architecture:
        """Coordinate descent of the constraints' violation over all values of every choice."""
        best = self._violation(self.estimates([architecture]), 1)[0]
        while best > 0:
            around = self.space.neighbours(architecture, rng)
            broken = self._violation(self.estimates(around), len(around))
            if not around or broken.min() >= best:
                break
            best, architecture = broken.min(), around[int(broken.argmin())]
        return architecture

    def _nothing_meets(self, architectures: list[Architecture]) -> str:
        estimates = self.estimates(architectures)
        nearest = int(self._violation(estimates, len(architectures)).argmin())
        bounds = [c for c in self.constraints if c.metric in estimates]
        has = " and ".join(f"{c.metric} {number(c.metric, estimates[c.metric][nearest].item())}" for c in bounds)
        return (
            f"no architecture of space {self.space.name!r} has {' and '.join(map(str, bounds))}; "
            f"the nearest found has {has}: {architectures[nearest].to_dict()}"
        )
