"""Where evaluations run: in this process, or on Ray."""

from .cluster import Cluster
from .here import draining_on_interrupt, run_here

__all__ = ["Cluster", "draining_on_interrupt", "run_here"]
