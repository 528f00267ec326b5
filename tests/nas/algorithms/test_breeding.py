"""What breaks a constraint is learnt from and never a parent, however accurate it is."""

import numpy as np
import pytest

from nas import Constraint, Objective, make_algorithm
from search_spaces import Choice, SearchSpace

SPACE = SearchSpace("toy", [Choice(f"c{i}", list("abcdefghij")) for i in range(12)])
OBJECTIVES = [Objective("gain", "max"), Objective("cost", "min")]


@pytest.mark.parametrize(
    ("name", "options"), [("evolution", {"initial": 1}), ("regularized", {"initial": 1}), ("local", {"initial": 1})]
)
def test_a_reference_outside_of_the_bounds_has_no_offspring(name, options):
    algorithm = make_algorithm(name, SPACE, OBJECTIVES, seed=0, constraints=[Constraint("cost", upper=10)], **options)
    outside = SPACE.architecture(**{f"c{i}": "j" for i in range(12)})
    algorithm.tell(outside, {"gain": 99.0, "cost": 11.0})
    for last in "abc":
        algorithm.tell(SPACE.architecture(**{f"c{i}": "a" for i in range(11)}, c11=last), {"gain": 1.0, "cost": 5.0})
    asked = [algorithm.ask() for _ in range(20)]
    alike = np.array([[sum(v == letter for v in a.values()) for letter in "aj"] for a in asked])
    assert alike[:, 0].min() >= 6 and alike[:, 1].max() <= 4
    assert outside not in algorithm.best(9) and len(algorithm.best(9)) == 3
