"""Model families: found by their files, and what the rest asks of them."""

import pytest
import torch

from search_spaces import InputError, SearchSpace, YoloSpace, build_model
from search_spaces.definition import space_named, space_names
from search_spaces.families import DEFAULT, families, family, family_of
from search_spaces.models import family_of_network


@pytest.mark.parametrize("name", families())
def test_every_family_has_what_is_asked_of_it(name):
    from evaluators.training import trainer_of

    each = family(name)
    space = each.make_space()
    assert family_of(space) is each and space_named(space.name).choices[0].name == space.choices[0].name
    for preset in each.presets:
        assert each.preset(preset).space.name == space.name
    reference = each.reference_architecture()
    assert reference["image_size"] == each.reference[1]
    model = build_model(reference, 3).eval()
    assert each.is_network(model) and family_of_network(model) is each
    with torch.no_grad():
        found = each.predictions(model(torch.rand(2, 3, 64, 64)))
    assert found.shape[:2] == (2, 4 + 3) and trainer_of(each).__name__


def test_the_default_comes_first_and_others_are_refused_by_name():
    assert next(iter(families())) == DEFAULT and "yolo" in space_names()
    with pytest.raises(InputError, match="no model family 'resnet'; there is yolov8"):
        family("resnet")
    with pytest.raises(InputError, match="space 'resnet' is not known; there is yolo"):
        space_named("resnet")


def test_spaces_of_a_user_are_built_in_the_default_frame():
    assert family_of(SearchSpace("mine", [])) is family(DEFAULT)
    assert family_of(YoloSpace().restrict({"neck": ["PAN"]})) is family(DEFAULT)


def test_a_network_from_elsewhere_counts_as_ultralytics_own():
    from ultralytics.nn.tasks import DetectionModel

    assert family_of_network(DetectionModel("yolov8n.yaml", nc=1, verbose=False)) is family("yolov8")
