"""pymoo's NSGA-II behind our protocol: its mating, its survival, its constraint handling.

What differs from pymoo's own loop:
    - A generation ends with its last result in the order of telling, however many asks are pending, and an ask never
      waits: offspring are bred from the same parents until then, more than a generation's worth if they are wanted.
    - Each ask breeds a few offspring and takes the first that is new and allowed, where pymoo breeds a whole
      generation at once.
    - An ordered number is pymoo's `Integer`, any other choice its `Choice`. A result has no value for an inactive
      choice; it breeds with a random one.
    - Failed and rejected architectures are left out. Results that break a constraint have their violation with them,
      by which pymoo ranks them after all others.

Sources: J. Blank, K. Deb, "pymoo: multi-objective optimization in Python", IEEE Access 8, 2020; K. Deb et al., "A fast
and elitist multiobjective genetic algorithm: NSGA-II", IEEE TEC 6(2), 2002.
"""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
from pymoo.algorithms.moo.nsga2 import NSGA2, binary_tournament
from pymoo.core.individual import Individual
from pymoo.core.mixed import MixedVariableMating
from pymoo.core.population import Population
from pymoo.core.problem import Problem
from pymoo.core.variable import Choice, Integer
from pymoo.operators.selection.tournament import TournamentSelection

from search_spaces import Architecture, InputError

from ..objectives import points, violation
from .algorithm import Algorithm

OFFSPRING, BATCHES = 8, 4  # bred at once, and how often for an ask


class PymooNSGA2(Algorithm):
    """NSGA-II with pymoo's operators for mixed variables.

    Args:
        population_size: survivors and results of a generation. pymoo's own default, 100, leaves a short search nothing
            but random draws; this is that of our `evolution`.
    """

    def __init__(self, *args: Any, population_size: int = 24, **options: Any) -> None:
        super().__init__(*args, **options)
        if population_size < 2:
            raise InputError(f"population_size must be at least 2, not {population_size}")
        self.population_size = population_size
        sizes = {choice.name: len(choice.values) for choice in self.space.choices}
        variables = {
            name: Integer(bounds=(0, size - 1)) if self.space[name].is_numeric else Choice(options=list(range(size)))
            for name, size in sizes.items()
            if size > 1
        }
        self._problem = Problem(vars=variables, n_obj=len(self.objectives), n_ieq_constr=1)
        self._nsga2 = NSGA2(
            pop_size=population_size,
            # `candidates` takes out what is not new
            mating=MixedVariableMating(TournamentSelection(func_comp=binary_tournament), eliminate_duplicates=None),
        )
        self._parents = Population()
        self._generations = 0  # that survived

    def _propose(self, rng: np.random.Generator) -> Architecture | None:
        self._survive()
        if len(self._parents) and self._problem.vars:
            self._nsga2.random_state = rng
            for _ in range(BATCHES):
                found, _ = self.candidates(self._bred(rng))
                if found:
                    return found[0]
        return self.random_candidate(rng)

    def _bred(self, rng: np.random.Generator) -> list[Architecture]:
        offspring = self._nsga2.mating.do(
            self._problem, self._parents, OFFSPRING, algorithm=self._nsga2, random_state=rng, n_max_iterations=1
        )
        allowed = []
        for individual in offspring:
            codes = {choice.name: int(individual.X.get(choice.name, 0)) for choice in self.space.choices}
            with contextlib.suppress(InputError):
                allowed.append(self.space.project({name: self.space[name].values[i] for name, i in codes.items()}))
        return allowed

    def _survive(self) -> None:
        """Let every generation whose results are all there compete with its parents."""
        told = self.told_inside
        size = self.population_size
        while (self._generations + 1) * size <= len(told):
            rng = np.random.default_rng([self.seed, self._generations])
            first = self._generations * size
            results = Population.create(*(self._individual(key, rng) for key in told[first : first + size]))
            both = Population.merge(self._parents, results)
            self._parents = self._nsga2.survival.do(self._problem, both, n_survive=size, random_state=rng)
            self._generations += 1

    def _individual(self, key: str, rng: np.random.Generator) -> Individual:
        architecture, metrics = self.inside[key], self.told[key]
        genes = {
            name: self.space[name].index(architecture[name])
            if name in architecture
            else int(rng.integers(len(self.space[name].values)))
            for name in self._problem.vars
        }
        return Individual(
            X=genes, F=points([metrics], self.objectives)[0], G=np.array([float(violation(metrics, self.constraints))])
        )
