"""Options of what is made by its name."""

import pytest

from nas.options import check_options, options_of
from search_spaces import InputError


class Base:
    def __init__(self, space, *, seed=0):
        self.seed = seed


class Middle(Base):
    def __init__(self, *args, size=24, rate: float = 0.5, **options):
        super().__init__(*args, **options)


class Leaf(Middle):
    def __init__(self, *args, size=40, keep=None, by="seconds", **options):
        super().__init__(*args, size=size, **options)


def test_options_are_those_of_the_class_and_of_what_it_builds_on():
    assert options_of(Leaf, Base) == {"size": 40, "keep": None, "by": "seconds", "rate": 0.5}
    assert options_of(Base, Base) == {} and options_of(Base, object) == {"seed": 0}


@pytest.mark.parametrize(
    "given", [{}, {"size": 3}, {"rate": 1}, {"rate": 0.1, "keep": 0.2}, {"keep": None}, {"by": "macs"}, {"by": None}]
)
def test_right_ones_pass(given):
    assert check_options("it", Leaf, Base, given) is None


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"sise": 3}, "it has no option 'sise'; it has size, keep, by or rate"),
        ({"seed": 3}, "it has no option 'seed'"),
        ({"by": 3}, "it: option by must be a name or null, not 3"),
        ({"size": 2.5}, "it: option size must be an integer, not 2.5"),
        ({"size": True}, "it: option size must be an integer, not True"),
        ({"rate": "fast"}, "it: option rate must be a number, not 'fast'"),
    ],
)
def test_wrong_ones_are_named(given, message):
    with pytest.raises(InputError, match=message):
        check_options("it", Leaf, Base, given)
