"""Numbers as people read them."""

import pytest

from nas.formatting import best, budget, duration, number
from nas.objectives import Objective


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (200, "3 min 20 s"),
        (3599.7, "1 h 00 min"),
        (7500, "2 h 05 min"),
    ],
)
def test_durations(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("map50_95", 0.12345, "0.123"),
        ("latency_ms", 8.346, "8.35"),
        ("latency_ms@pi", 25, "25.00"),
        ("train_seconds", 4.349, "4.35"),
        ("params", 1436977, "1,436,977"),
        ("macs", 1.2e8, "120,000,000"),
        ("peak", 1234.5, "1,234"),
        ("latency_difference_percent@pi", 12.4, "+12"),
        ("latency_difference_percent", -3.0, "-3"),
    ],
)
def test_metrics(name, value, text):
    assert number(name, value) == text


def test_budgets_are_whole_unless_spent_in_parts():
    assert (budget(3), budget(2.25), budget(3.0)) == ("3", "2.2", "3.0")


def test_the_best_of_every_objective():
    objectives = [Objective("map50_95", "max"), Objective("latency_ms", "min")]
    metrics = [{"map50_95": 0.3, "latency_ms": 9.0}, {"map50_95": 0.1, "latency_ms": 2.0}]
    assert best(metrics, objectives) == "map50_95 0.300, latency_ms 2.00"
    assert best([], objectives) == ""
