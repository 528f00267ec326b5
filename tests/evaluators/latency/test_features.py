"""Work by kind of operator against the traces of single architectures."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluators import complexity
from evaluators.latency import features
from evaluators.latency.features import CONVOLUTIONS, KINDS, TERMS, kind_of, operator_work
from search_spaces import YoloSpace, lower
from search_spaces.graph import Shape
from search_spaces.trace import Tape, Tensor, operators

SPACE = YoloSpace()


def column(work, term):
    return work.table[:, [i for i, (_, name) in enumerate(TERMS) if name == term]].sum(1)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_work_of_many_is_the_work_of_each(seed):
    rng = np.random.default_rng(seed)
    architectures = [SPACE.sample(rng) for _ in range(5)]
    together = operator_work(architectures, 3)
    for i, architecture in enumerate(architectures):
        alone = operator_work([architecture], 3)
        assert together.table[i] == pytest.approx(alone.table[0])
        assert together.pixels[i] == architecture["image_size"] ** 2
        steps = operators(lower(architecture, 3))
        counts = dict.fromkeys(KINDS, 0)
        for step in steps:
            counts[kind_of(step)] += 1
        # two concatenations in a row are one; how many there are then, files tell (formats/test_onnx_operators.py)
        for kind in (kind for kind in KINDS if kind != "concat"):
            assert together.table[i, TERMS.index((kind, "count"))] == counts[kind]
        assert 0 < together.table[i, TERMS.index(("concat", "count"))] <= counts["concat"]
        joined = together.table[i, TERMS.index(("concat", "written"))]
        written = sum(s.output.shape.values for s in steps if s.kind != "concat")
        assert column(together, "written")[i] - joined == written


def test_macs_are_those_of_the_complexity():
    rng = np.random.default_rng(0)
    architectures = [SPACE.sample(rng) for _ in range(200)]
    work = operator_work(architectures, 7, 256)
    assert column(work, "macs") == pytest.approx(complexity(architectures, 7, 256).macs)
    assert (column(work, "lanes") >= column(work, "macs")).all()
    ragged = column(work, "ragged")
    assert (ragged < column(work, "macs")).all() and (ragged > 0).all()  # the image's three channels always are
    assert (work.pixels == 256**2).all()


def test_ragged_macs_are_those_whose_channels_do_not_fill_blocks():
    architecture = SPACE.preset("light-recipe")
    steps = [s for s in operators(lower(architecture, 80)) if s.kind == "conv"]
    expected = sum(int(s.cost[1]) for s in steps if s.inputs[0].shape.channels % 4 or s.output.shape.channels % 4)
    assert column(operator_work([architecture], 80), "ragged")[0] == expected


def test_kinds_are_told_apart():
    steps = operators(lower(SPACE.preset("light-recipe"), 80))
    kinds = {kind_of(step) for step in steps}
    assert kinds <= set(KINDS) and {"pointwise", "dense", "strided", "bilinear", "softmax"} <= kinds
    depthwise = operators(lower(SPACE.preset("yolov8n", head_class_branch="depthwise"), 80))
    assert any(kind_of(step) == "depthwise" for step in depthwise)
    assert set(CONVOLUTIONS) < set(KINDS)


@pytest.mark.parametrize(
    ("channels", "options", "kind"),
    [
        (32, {"kernel": 3, "groups": 32}, "depthwise"),
        (32, {"kernel": 3, "stride": 2, "groups": 32}, "depthwise"),
        (32, {"kernel": 3, "groups": 4}, "dense"),
        (32, {"kernel": 3, "stride": 2, "groups": 4}, "strided"),
        (32, {"kernel": 1, "groups": 4}, "pointwise"),
        (1, {"kernel": 3, "groups": 1}, "dense"),
        (np.array([8, 16]), {"kernel": 3, "groups": np.array([8, 16])}, "depthwise"),
        (np.array([1, 16]), {"kernel": 3, "groups": np.array([1, 16])}, "depthwise"),
        (np.array([4, 16]), {"kernel": 3, "groups": 4}, "dense"),
        (np.array([8, 16]), {"kernel": 1, "groups": np.array([2, 4])}, "pointwise"),
        (np.array([8, 8]), {"kernel": 3, "groups": 8}, "depthwise"),
    ],
)
def test_a_grouped_convolution_is_not_a_depthwise_one(channels, options, kind):
    tape = Tape()
    tape.conv(Tensor(Shape(channels, 16, 16)), 64, **options)
    assert kind_of(tape.operators[0]) == kind


def test_a_layer_without_operators_costs_nothing(monkeypatch):
    """One that only passes on what it reads, such as an identity."""
    traced = features.trace

    def without_resizing(layer):
        return ([], [], []) if layer.module == "Upsample" else traced(layer)

    architectures = [SPACE.preset("yolov8n"), SPACE.preset("yolov8n", image_size=320)]
    before = operator_work(architectures)
    monkeypatch.setattr(features, "trace", without_resizing)
    after = operator_work(architectures)
    resized = [TERMS.index(("nearest", term)) for term in ("count", "written")]
    assert (before.table[:, resized] > 0).all() and not after.table[:, resized].any()
    before.table[:, resized] = 0
    assert np.array_equal(before.table, after.table)
