"""Tables of trained architectures, as evaluators: what they say, and what they make likely of others."""

from .simulated import SimulatedEvaluator
from .table import TableEvaluator, read_table

__all__ = ["SimulatedEvaluator", "TableEvaluator", "read_table"]
