"""How architectures are measured: complexity, training, COCO mAP, latency."""

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
