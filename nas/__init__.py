"""Who decides what to try next: algorithms, the search loop, runs, and what becomes of their fronts."""

from .algorithms import ALGORITHMS, make_algorithm
from .delivery.selection import pick
from .launch.search import search
from .objectives import Constraint, Objective
from .storage.run import Run, load_run

__all__ = ["ALGORITHMS", "Constraint", "Objective", "Run", "load_run", "make_algorithm", "pick", "search"]
