"""How architectures are measured: complexity, training, COCO mAP, latency."""

from . import runtimes  # noqa: F401 - it silences them, whoever imports them first
from .complexity import Complexity, complexity
from .evaluator import METRICS, EvaluationError, Evaluator, FunctionEvaluator, Metric, Rejected

__all__ = [
    "METRICS",
    "Complexity",
    "EvaluationError",
    "Evaluator",
    "FunctionEvaluator",
    "Metric",
    "Rejected",
    "complexity",
]
