"""The YOLO space: published counts reproduced by building, conditions, presets."""

import pytest

from search_spaces import Choice, InputError, SearchSpace, YoloSpace, build_model
from search_spaces.families.yolov8 import FAMILY, PRESETS
from search_spaces.graph import lower_many

SPACE = YoloSpace()

# Parameters with one class (docs/search-space.md says where each is from).
COUNTS = {
    "yolov8n": 3_011_043,
    "light-recipe": 1_436_977,
    "light-recipe-adown": 1_371_217,
    "csppc-backbone": 2_556_099,
    "csppc-neck": 2_577_891,
    "csppc": 2_122_947,
    "adown-p3-p5": 2_731_491,
    "adown-backbone": 2_728_163,
    "adown": 2_595_043,
    "hwd-backbone": 2_793_923,
    "csppc-adown": 1_706_947,
    "csppc-adown-afpn": 1_380_424,
    "afpn-p2-p5": 2_109_041,
    "afpn-p2-p5-w64": 1_883_505,
    "afpn-p3-p5": 2_118_248,
}


def built_parameters(name, classes):
    return sum(p.numel() for p in build_model(SPACE.preset(name), classes).parameters())


@pytest.mark.parametrize("name", COUNTS)
def test_published_counts_with_one_class(name):
    assert built_parameters(name, 1) == COUNTS[name]


@pytest.mark.parametrize(("name", "count"), [("yolov8n", 3_157_200), ("csppc", 2_269_104)])
def test_published_counts_with_80_classes(name, count):
    assert built_parameters(name, 80) == count


def test_layer_counts_of_the_light_recipe():
    model = build_model(SPACE.preset("light-recipe"), 1)
    counts = [sum(p.numel() for p in layer.parameters()) for layer in model.model]
    assert counts == [464, 2144, 2976, 8384, 14848, 33152, 58880, 131840, 183296, 164608, 836385]
    head = model.model[-1]
    parts = [sum(p.numel() for p in part.parameters()) for part in (head.afpn, head.cv2, head.cv3, head.dfl)]
    assert parts == [191_373, 460_032, 184_964, 16]


def test_every_preset_is_in_the_space_and_distinct():
    assert len({SPACE.preset(name) for name in SPACE.presets}) == len(PRESETS) == len(SPACE.presets)


def test_neck_choices_are_truly_conditional():
    pan, afpn = SPACE.preset("yolov8n"), SPACE.preset("afpn-p3-p5")
    assert not any(name.startswith("afpn") for name in pan)
    assert not any(name.startswith("pan") for name in afpn)
    with pytest.raises(InputError, match="'pan_p3_width' has no effect here; it needs neck = PAN"):
        SPACE.architecture(**afpn, pan_p3_width=64)
    assert SPACE.size > 1e10


def test_topology_choices_are_the_only_ones_that_decide_which_layers_there_are():
    groups = list(lower_many([SPACE.sample(seed) for seed in range(60)]))
    assert sum(len(rows) for rows, _ in groups) == 60
    assert len(groups) == 3  # PAN, AFPN over three levels, AFPN over four


def test_presets_take_changes_and_name_mistakes():
    assert SPACE.preset("yolov8n", image_size=320)["image_size"] == 320
    with pytest.raises(InputError, match="no preset 'yolov9'; there are yolov8n"):
        SPACE.preset("yolov9")
    with pytest.raises(InputError, match="preset 'light-recipe': .*'neck' cannot be 'AFPN'"):
        SPACE.restrict({"neck": ["PAN"]}).preset("light-recipe")


@pytest.mark.parametrize("width", ["1/16", "1/8", "3/16", "1/4", "3/8", "1/2"])
@pytest.mark.parametrize("depth", ["1/6", "1/3", "1/2"])
def test_plain_scalings_are_ultralytics_own(width, depth):
    from fractions import Fraction

    from ultralytics.nn.tasks import DetectionModel, yaml_model_load

    named = {FAMILY.scaling_name(a): a for a in FAMILY.scalings(SPACE.restrict({"image_size": [64]}))}
    architecture = named[f"yolov8 w{width} d{depth} at 64"]
    content = yaml_model_load("yolov8n.yaml")
    content["scales"] = {"n": [float(Fraction(depth)), float(Fraction(width)), 1024]}
    theirs = DetectionModel(content, nc=3, verbose=False)
    assert sum(p.numel() for p in build_model(architecture, 3).parameters()) == sum(
        p.numel() for p in theirs.parameters()
    )


def test_plain_scalings_are_those_that_a_space_holds():
    assert len(FAMILY.scalings(SPACE)) == 18 * len(SPACE["image_size"].values)
    narrow = SPACE.restrict({"image_size": [96, 128], "p5_width": [128, 256], "pan_n5_depth": [1]})
    held = FAMILY.scalings(narrow)
    assert [FAMILY.scaling_name(a) for a in held[:5]] == [
        f"yolov8 {name} at 96" for name in ("w1/8 d1/6", "w1/8 d1/3", "w1/4 d1/6", "w1/4 d1/3")
    ] + ["yolov8 w1/8 d1/6 at 128"]
    assert len(held) == 8 and all(a.space is narrow for a in held)
    assert FAMILY.preset("yolov8n", image_size=96) in [SPACE.adopt(a) for a in held]
    assert FAMILY.scalings(SPACE.restrict({"neck": ["AFPN"]})) == []
    searched = SPACE.extended([Choice("quantise.precision", ["FP32", "INT8"])])
    (first, *_) = FAMILY.scalings(searched)
    assert first["quantise.precision"] == "FP32" and FAMILY.scaling_name(first) == "yolov8 w1/16 d1/6 at 64"


def test_a_space_of_the_user_s_has_no_plain_scalings():
    own = SearchSpace("mine", [Choice("image_size", [64]), Choice("depth", [1, 2])])
    assert FAMILY.scalings(own) == FAMILY.scalings(SearchSpace("toy", [Choice("a", [1])])) == []
    assert FAMILY.scaling_name(own.sample(0)) is FAMILY.scaling_name(SPACE.preset("csppc")) is None
