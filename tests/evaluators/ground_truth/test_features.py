"""What the layer graph tells of an architecture."""

import numpy as np
import pytest

from evaluators import complexity
from evaluators.ground_truth.features import FLOOR, NAMES, PARTS, graph_features
from search_spaces import Choice, InputError, SearchSpace, YoloSpace
from search_spaces.graph import IMAGE, LayerGraph, Shape


def named(architecture):
    return dict(zip(NAMES, graph_features([architecture], 3)[0]))


def test_every_mac_belongs_to_one_part():
    space, rng = YoloSpace(), np.random.default_rng(0)
    some = [space.sample(rng) for _ in range(60)]
    features, costs = graph_features(some, 3), complexity(some, 3)
    parts = sum(np.exp(features[:, NAMES.index(f"log_macs_{part}")]) - FLOOR for part in PARTS)
    np.testing.assert_allclose(parts, costs.macs, rtol=1e-9)
    np.testing.assert_allclose(np.exp(features[:, NAMES.index("log_params")]), costs.params)
    alone = np.concatenate([graph_features([a], 3) for a in some])
    np.testing.assert_allclose(alone, features)


def test_what_is_known_of_presets():
    yolo = YoloSpace()
    plain, light = (named(yolo.preset(name, image_size=160)) for name in ("yolov8n", "light-recipe"))
    assert np.exp(plain["log_image_size"]) == pytest.approx(160)
    assert np.exp([plain[f"log_width_{level}"] for level in ("stem", "p2", "p3", "p4", "p5")]) == pytest.approx(
        [16, 32, 64, 128, 256]
    )
    assert np.exp(plain["log_width_neck"]) == pytest.approx(64) and np.exp(light["log_width_neck"]) == pytest.approx(4)
    for name in ("share_CSPPC", "share_HWD", "is_afpn", "reads_p2"):
        assert plain[name] == 0 and light[name] == pytest.approx(1)
    assert light["log_reduction"] == pytest.approx(np.log(8)) and np.exp(
        [plain["log_depth_neck"], light["log_depth_neck"]]
    ) == pytest.approx([5, 5])
    # three convolutions of the box branch over P3: 64 channels in, between and out, at 20 x 20
    head = named(yolo.preset("yolov8n", image_size=160, head_reg_max=1))
    assert head["is_one_bin_head"] == 1 and head["log_width_boxes"] == pytest.approx(np.log(16))
    assert head["log_macs_classes"] == plain["log_macs_classes"] and head["log_macs_boxes"] < plain["log_macs_boxes"]


class Plain(SearchSpace):
    """Two convolutions read by a head."""

    def __init__(self, **head):
        super().__init__("plain", [Choice("image_size", [64]), Choice("width", [8, 16])])
        self.head = head

    def lower_values(self, values, num_classes, height, width):
        graph = LayerGraph(Shape(3, height, width), num_classes)
        first = graph.add("Conv", IMAGE, values["width"], down=2, name="first")
        second = graph.add("Conv", first, values["width"], down=2, name="second")
        graph.end_backbone()
        graph.add_head("Detect", (second,), **self.head)
        return graph


def test_a_space_of_the_users_own_has_the_same_features():
    head = {"reg_max": 1, "class_branch": "full", "box_width": 16, "class_width": 16}
    narrow, wide = graph_features(list(Plain(**head).enumerate()), 1)
    at = NAMES.index("log_width_p2")
    assert np.exp([narrow[at], wide[at]]) == pytest.approx([8, 16]) and np.isfinite([narrow, wide]).all()
    with pytest.raises(InputError, match="no layer graph"):
        graph_features(list(SearchSpace("none", [Choice("a", [1])]).enumerate()))
