"""Who decides what to try next: algorithms, the search loop, runs, and what becomes of their fronts."""

from .algorithms import ALGORITHMS, make_algorithm
from .objectives import Constraint, Objective
from .run import Run, load_run
from .search import search
from .selection import pick

__all__ = ["ALGORITHMS", "Constraint", "Objective", "Run", "load_run", "make_algorithm", "pick", "search"]
