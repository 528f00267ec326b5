"""Spaces as plain data and back: what their owner wrote stays."""

import json
import pickle

import pytest

from search_spaces import Choice, InputError, SearchSpace, YoloSpace, lower
from search_spaces.definition import check_holds, define, recall
from search_spaces.graph import IMAGE, LayerGraph, Shape


def slim_or_deep(values):
    return values["stages"] > 2 or values["width"] < 48


class Tower(SearchSpace):
    """A space of somebody's own, with a lowering and something to remember."""

    topology_choices = ("stages",)

    def __init__(self, factor=1):
        super().__init__(
            "tower",
            [Choice("image_size", [64, 96]), Choice("stages", [2, 3]), Choice("width", [16, 32, 48])],
            valid=slim_or_deep,
        )
        self.factor = factor

    def lower_values(self, values, num_classes, height, width):
        graph = LayerGraph(Shape(3, height, width), num_classes)
        x, levels = IMAGE, []
        for stage in range(values["stages"]):
            x = graph.add("Conv", x, self.factor * values["width"], down=2, name=f"s{stage}")
            levels.append(x)
        widths = {"box_width": 64, "class_width": self.factor * values["width"]}
        graph.add_head("Detect", levels[-2:], ("reg_max", "class_branch"), reg_max=16, class_branch="full", **widths)
        return graph


class NeedsArguments(Tower):
    def __init__(self, factor):
        super().__init__(factor)
        self.name = "needs-arguments"


def through_json(definition):
    return json.loads(json.dumps(definition))


def test_an_owner_s_space_comes_back_with_its_graph():
    space = recall(through_json(define(Tower().restrict({"width": [16]}))))
    assert type(space) is Tower and space["width"].values == (16, 32, 48)
    layers = lower(space.architecture(image_size=64, stages=2, width=32), 3).layers
    assert [layer.name for layer in layers] == ["s0", "s1", "head"]


def test_restricting_and_extending_keep_what_the_owner_made_of_it():
    whole = Tower(factor=2)
    size = whole.size
    space = whole.restrict({"width": [16, 32]}).extended([Choice("export.precision", ["FP32", "INT8"])])
    assert type(space) is Tower and space.factor == 2 and space.size == 2 * 2 * 2 * 2 and whole.size == size == 10
    assert space.valid is whole.valid and "export.precision" not in whole
    assert space.unrestricted["width"].values == (16, 32, 48) and "export.precision" in space.unrestricted
    assert space.unrestricted.unrestricted is space.unrestricted and whole.unrestricted is whole
    architecture = space.architecture(**{"image_size": 64, "stages": 2, "width": 32, "export.precision": "INT8"})
    assert lower(architecture, 1).layers[0].out_shapes[0].channels == 64
    again = pickle.loads(pickle.dumps(space))
    assert again.factor == 2 and again.unrestricted["width"].values == (16, 32, 48)


def test_a_class_that_cannot_be_made_leaves_a_plain_space():
    definition = through_json(define(NeedsArguments(2)))
    space = recall(definition)
    assert type(space) is SearchSpace
    architecture = space.architecture(image_size=64, stages=3, width=48)
    assert architecture.key == NeedsArguments(2).architecture(image_size=64, stages=3, width=48).key
    with pytest.raises(InputError, match="'needs-arguments' has no layer graph"):
        lower(architecture)


@pytest.mark.parametrize("name", ["os:system", "no.such.module:Space", "builtins:dict", ":", "tests", 7])
def test_nothing_is_imported_or_called_for_a_definition(name):
    space = recall({"name": "toy", "choices": [{"name": "a", "values": [1], "when": {}}], "class": name})
    assert type(space) is SearchSpace


def test_a_space_that_only_gained_values_reads_old_definitions():
    before = SearchSpace("toy", [Choice("a", [1, 2]), Choice("b", [1], when={"a": [2]})])
    after = SearchSpace("toy", [Choice("a", [0, 1, 2, 3]), Choice("b", [1, 5], when={"a": [2]})])
    check_holds(define(before), after)
    with pytest.raises(InputError, match="choice 'a' of space 'toy' lacks 0 or 3, which it was made with"):
        check_holds(define(after), before)
    for other, message in [
        (SearchSpace("other", before.choices), "it is of the space 'toy', not of 'other'"),
        (SearchSpace("toy", before.choices[:1]), "space 'toy' lacks the choice 'b'"),
        (SearchSpace("toy", [*before.choices, Choice("c", [1])]), "has the choice 'c', which it was not made with"),
        (SearchSpace("toy", [Choice("a", [1, 2]), Choice("b", [1])]), "choice 'b' of space 'toy' depends on others"),
    ]:
        with pytest.raises(InputError, match=message):
            check_holds(define(before), other)


def test_a_known_space_with_choices_of_a_recipe_comes_back_with_them():
    space = YoloSpace().restrict({"image_size": [64]}).extended([Choice("quantise.precision", ["FP32", "INT8"])])
    again = recall(through_json(define(space)))
    assert type(again) is YoloSpace and again["image_size"].values[-1] == 640
    architecture = space.sample(0)
    assert again.architecture(**architecture.to_dict()).key == architecture.key
    plain = YoloSpace().architecture(**{k: v for k, v in architecture.to_dict().items() if "." not in k})
    assert plain.key != architecture.key


def test_values_that_this_version_does_not_have_are_named():
    definition = through_json(define(YoloSpace()))
    definition["choices"][0]["values"].append(1280)
    assert recall(definition)["image_size"].values[-2:] == (640, 1280)  # a choice that is open
    definition["choices"][0]["values"].append(1281)
    with pytest.raises(InputError, match="choice 'image_size' cannot be 1281; it can be any multiple of 32"):
        recall(definition)
    definition["choices"][0]["values"].pop()
    definition["choices"][1]["values"].append(7)
    with pytest.raises(InputError, match="choice 'stem_width' of space 'yolo' lacks 7"):
        recall(definition)


def test_a_choice_with_a_default_may_be_gained_and_is_written_down():
    before = SearchSpace("growing", [Choice("depth", [1, 2])])
    after = SearchSpace("growing", [Choice("depth", [1, 2]), Choice("width", [8, 16], default=16)])
    check_holds(define(before), after)
    with pytest.raises(InputError, match="which it was not made with"):
        check_holds(define(before), SearchSpace("growing", [Choice("depth", [1, 2]), Choice("width", [8, 16])]))
    again = recall(json.loads(json.dumps(define(after))))
    assert again.architecture(depth=1).key == before.architecture(depth=1).key


def test_records_of_afpn_from_before_it_had_a_depth_are_read():
    space = recall(define(YoloSpace()))
    values = YoloSpace().preset("light-recipe").to_dict()
    key = YoloSpace().preset("light-recipe").key
    assert values.pop("afpn_depth") == 4
    assert space.architecture(**values).key == key == "0574433450c7"  # as version 0.1.0 had it
