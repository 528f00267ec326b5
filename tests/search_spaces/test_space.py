"""Search spaces: conditions, keys, counting, operators, encodings; as properties over generated spaces."""

import json
import pickle
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search_spaces import Choice, InputError, SearchSpace, YoloSpace


@st.composite
def spaces(draw):
    """Spaces of up to five choices, each perhaps conditional on an earlier one."""
    choices = []
    for i in range(draw(st.integers(1, 5))):
        values = draw(st.sampled_from([[1, 2, 3], ["a", "b"], [0.5], [False, True], [8, 16, 32, 64]]))
        when = None
        if choices and draw(st.booleans()):
            parent = draw(st.sampled_from(choices))
            when = {parent.name: draw(st.lists(st.sampled_from(parent.values), min_size=1, unique=True))}
        choices.append(Choice(f"c{i}", values, when))
    return SearchSpace("generated", choices)


def toy(valid=None):
    return SearchSpace(
        "toy",
        [
            Choice("neck", ["PAN", "AFPN"]),
            Choice("depth", [1, 2, 3], when={"neck": "PAN"}),
            Choice("width", [0.25, 0.5, 1.0]),
        ],
        valid,
    )


@given(spaces(), st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_size_enumeration_and_membership_agree(space, seed):
    everything = list(space.enumerate())
    assert len(everything) == space.size == len({a.key for a in everything})
    rng = np.random.default_rng(seed)
    for _ in range(10):
        a, b = space.sample(rng), space.sample(rng)
        assert {a, b, space.mutate(a, rng), space.crossover(a, b, rng)} <= set(everything)


@given(spaces(), st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_only_active_choices_have_values(space, seed):
    a = space.sample(seed)
    for choice in space.choices:
        active = all(parent in a and a[parent] in allowed for parent, allowed in choice.when.items())
        assert (choice.name in a) == active
    assert space.architecture(**json.loads(json.dumps(a.to_dict()))) == a
    assert pickle.loads(pickle.dumps(a)) == a


@given(spaces(), st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_mutation_changes_something(space, seed):
    a = space.sample(seed)
    changeable = any(len(choice.values) > 1 and choice.name in a for choice in space.choices)
    assert (space.mutate(a, seed) != a) == changeable


@given(spaces())
@settings(max_examples=40, deadline=None)
def test_encoding_tells_architectures_apart(space):
    everything = list(space.enumerate())
    rows = space.encode(everything)
    assert rows.shape[0] == len(everything) and np.isfinite(rows).all()
    assert rows.min() >= 0 and rows.max() <= 1
    assert len(np.unique(rows, axis=0)) == len(everything)


def test_valid_rule_holds_everywhere():
    space = toy(lambda v: v.get("depth", 2) > 1 or v["width"] > 0.25)
    everything = list(space.enumerate())
    assert space.size == len(everything) == 11
    rng = random.Random(0)
    assert {space.sample(rng) for _ in range(500)} == set(everything)
    with pytest.raises(InputError, match="does not allow"):
        space.architecture(neck="PAN", depth=1, width=0.25)


def test_a_rule_that_refuses_everything_is_reported():
    with pytest.raises(InputError, match="in a row"):
        toy(lambda v: False).sample(0)


def test_same_seed_same_samples():
    space = toy()
    assert [space.sample(np.random.default_rng(3)) for _ in range(3)] == [space.sample(3) for _ in range(3)]


def test_key_is_stable():
    # Golden: keys are file names and database keys of runs that users keep.
    assert toy().architecture(neck="PAN", depth=2, width=0.5).key == "21c218b8afc7"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"neck": "PAN", "depth": 1, "wdith": 0.5}, "no choice 'wdith'; it has neck, depth or width"),
        ({"neck": "FPN", "width": 0.5}, "'neck' cannot be 'FPN'; it can be PAN or AFPN"),
        ({"neck": "PAN", "width": 0.5}, "'depth' has no value"),
        ({"neck": "AFPN", "depth": 1, "width": 0.5}, "'depth' has no effect here; it needs neck = PAN"),
        ({"neck": "PAN", "depth": [1], "width": 0.5}, r"'depth' cannot be \[1\]"),
    ],
)
def test_wrong_values_are_named(values, message):
    with pytest.raises(InputError, match=message):
        toy().architecture(**values)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Choice("c", []), "no values"),
        (lambda: Choice("c", [1, 1.0]), "equal values"),
        (lambda: Choice("c", [(1, 2)]), "not text, a number"),
        (lambda: Choice("c", [float("nan")]), "not text, a number"),
        (lambda: SearchSpace("s", [Choice("a", [1]), Choice("a", [2])]), "two choices named 'a'"),
        (lambda: SearchSpace("s", [Choice("a", [1], when={"b": 1}), Choice("b", [1])]), "not an earlier choice"),
    ],
)
def test_wrong_spaces_are_named(make, message):
    with pytest.raises(InputError, match=message):
        make()


def test_an_architecture_is_a_mapping_of_its_active_choices():
    a = toy().architecture(neck="AFPN", width=0.5)
    assert len(a) == 2 and list(a) == ["neck", "width"] and a["width"] == 0.5
    assert "depth" not in a and "heads" not in a and a.get("depth") is None and a.get("heads", 3) == 3
    with pytest.raises(KeyError, match="depth has no value in this architecture"):
        a["depth"]
    with pytest.raises(KeyError, match="no choice 'heads'"):
        a["heads"]


def test_replace_follows_conditions():
    a = toy().architecture(neck="PAN", depth=2, width=0.5)
    assert a.replace(neck="AFPN").to_dict() == {"neck": "AFPN", "width": 0.5}
    with pytest.raises(InputError, match="'depth' has no value"):
        a.replace(neck="AFPN").replace(neck="PAN")
    with pytest.raises(InputError, match="no choice 'dept'"):
        a.replace(dept=3)


def test_restricted_space_keeps_keys():
    space = toy()
    small = space.restrict({"neck": ["PAN"], "width": [0.5]})
    assert small.size == 3
    assert all(a in set(space.enumerate()) for a in small.enumerate())
    with pytest.raises(InputError, match="cannot be 0.5"):
        space.restrict({"width": [0.25]}).architecture(neck="AFPN", width=0.5)
    with pytest.raises(InputError, match="'neck' cannot be 'X'"):
        space.restrict({"neck": ["X"]})


def test_architectures_of_an_equal_space_encode_alike():
    assert (toy().encode([toy().sample(1)]) == toy().encode([pickle.loads(pickle.dumps(toy().sample(1)))])).all()


@given(st.sets(st.integers(1, 128).map(lambda n: 32 * n), min_size=1, max_size=4))
def test_image_sizes_that_are_not_drawn_from_may_be_asked_for(sizes):
    whole = YoloSpace()
    space = whole.restrict({"image_size": list(sizes), "neck": ["PAN"]})
    assert space["image_size"].values == tuple(sorted(sizes)) and len(whole["image_size"].values) == 12
    held = space.unrestricted["image_size"].values
    assert held == tuple(sorted({*sizes, *whole["image_size"].values}))
    architecture = space.sample(0)
    assert space.unrestricted.adopt(architecture).key == architecture.key
    again = pickle.loads(pickle.dumps(architecture))
    assert again.key == architecture.key and again["image_size"] in sizes


@pytest.mark.parametrize("value", [0, -32, 100, 8192, 64.5, "64", True, None, [64], 10**40 * 32])
def test_image_sizes_that_cannot_be_are_refused(value):
    with pytest.raises(InputError, match="'image_size' cannot be .*any multiple of 32 up to 4096"):
        YoloSpace().restrict({"image_size": [value]})
    with pytest.raises(InputError, match="image_size"):  # what was restricted away stays so
        YoloSpace().restrict({"image_size": [64, 96]}).restrict({"image_size": [128]})


def test_a_choice_with_a_default_joins_a_space_and_keys_stay():
    before = SearchSpace("growing", [Choice("depth", [1, 2])])
    after = SearchSpace("growing", [Choice("depth", [1, 2]), Choice("width", [8, 16], default=16)])
    silent = after.architecture(depth=1)
    assert silent["width"] == 16 and silent.to_dict() == {"depth": 1, "width": 16}
    assert silent.key == before.architecture(depth=1).key == after.architecture(depth=1, width=16).key
    assert after.architecture(depth=1, width=8).key != silent.key
    assert after.adopt(before.architecture(depth=2)).key == before.architecture(depth=2).key
    narrow = after.restrict({"width": [8]})  # the default is gone, so a value has to be said
    with pytest.raises(InputError, match="choice 'width' has no value; it can be 8"):
        narrow.architecture(depth=1)
    assert narrow.architecture(depth=1, width=8).key == after.architecture(depth=1, width=8).key
    wide = after.restrict({"width": [16]})
    assert wide.architecture(depth=1).key == silent.key
