"""Training-free scores: their formulas on networks small enough to compute by hand, and all of them on real ones."""

import math
import random

import numpy as np
import pytest
import torch
from torch import nn

from evaluators import EvaluationError
from evaluators.data import load_dataset
from evaluators.proxies import PROXIES, LabelledImages, dataset_images, proxy_scores, random_images
from evaluators.proxies.activations import log_determinant
from evaluators.proxies.entropy import draw_gaussian, multi_scale_entropy
from evaluators.proxies.gradients import inverse_variation
from evaluators.proxies.jacobian import decorrelation
from evaluators.proxies.probe import linear_copy, weights, with_patterns
from evaluators.proxies.synflow import flow
from search_spaces import InputError, YoloSpace, build_model
from search_spaces.blocks.hwd import HWD

SPACE = YoloSpace()
SLOW = pytest.mark.slow


def linear(*rows):
    layer = nn.Linear(len(rows[0]), len(rows), bias=False)
    layer.weight.data = torch.tensor(rows, dtype=torch.float32)
    return layer


# -- formulas ---------------------------------------------------------------------------------------------------


def test_patterns_agree_where_signs_do():
    images = torch.tensor([[1.0, -1.0, 2.0], [3.0, 1.0, -1.0], [1.0, -2.0, 5.0]])
    for activation in (nn.ReLU(), nn.SiLU(), nn.SiLU(inplace=True)):
        output, kernel = with_patterns(nn.Sequential(nn.Identity(), activation), images.clone())
        assert kernel.tolist() == [[3, 1, 3], [1, 3, 1], [3, 1, 3]]
        assert output.shape == (3, 3)


def test_patterns_are_counted_over_all_activations_and_their_hooks_are_gone():
    model = nn.Sequential(nn.ReLU(), linear([1.0, 0.0], [0.0, -1.0]), nn.SiLU())
    images = torch.tensor([[1.0, 1.0], [1.0, -1.0]])  # -> [1, 1], [1, 0] -> [1, -1], [1, 0]: both idle in the second
    assert with_patterns(model, images)[1].tolist() == [[4, 3], [3, 4]]
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_nwot_is_the_log_determinant_and_minus_infinity_for_equal_patterns():
    assert log_determinant(np.array([[4.0, 3], [3, 4]])) == pytest.approx(math.log(7))
    assert log_determinant(np.array([[4.0, 4], [4, 4]])) == -math.inf


def test_synflow_of_a_chain_is_the_product_of_its_absolute_weights():
    chain = nn.Sequential(linear([1.0, -2.0], [0.5, 3.0]), linear([-1.0, 4.0], [2.0, 0.0], [1.0, 1.0]))
    product = np.ones(3) @ np.array([[1, 4], [2, 0], [1, 1]]) @ np.array([[1, 2], [0.5, 3]]) @ np.ones(2)
    assert flow(chain, torch.ones(1, 2)) == pytest.approx(math.log(2 * product))  # every layer carries all of it


def test_synflow_adds_up_paths_that_meet():
    class Sum(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.other = linear([3.0]), linear([-5.0])

        def forward(self, x):
            return self.one(x) + self.other(x)

    assert flow(Sum(), torch.ones(1, 1)) == pytest.approx(math.log(8))


def test_entropy_of_a_chain_is_what_its_layers_multiply_deviation_by():
    generator = torch.Generator().manual_seed(0)
    chain = nn.Sequential(nn.Conv2d(3, 200, 1), nn.Conv2d(200, 300, 3)).double()
    for layer in chain:
        layer.bias.data.zero_()
    draw_gaussian(chain, generator)
    with torch.no_grad():
        features = chain(torch.randn(4, 3, 32, 32, generator=generator, dtype=torch.float64))
    log_sigma = 0.5 * math.log(3) + 0.5 * math.log(200 * 9)
    assert multi_scale_entropy({8: features}) == pytest.approx(log_sigma + math.log(300), abs=0.15)
    assert multi_scale_entropy({32: features}) == pytest.approx(6 * multi_scale_entropy({8: features}))
    assert multi_scale_entropy({8: features, 16: features}) == pytest.approx(2 * multi_scale_entropy({8: features}))
    assert multi_scale_entropy({4: features, 8: features}) == multi_scale_entropy({8: features})
    assert math.isnan(multi_scale_entropy({4: features}))


def test_zico_is_mean_over_deviation_and_leaves_out_what_does_not_vary():
    gradients = [torch.tensor([1.0, -2.0, 5.0]), torch.tensor([3.0, 4.0, 5.0])]
    assert inverse_variation(gradients) == pytest.approx(2 / 1 + 3 / 3)


def test_jacobian_covariance_is_highest_without_correlation():
    free = np.array([[1.0, -1, 1, -1], [1, 1, -1, -1]])
    alike = np.array([[1.0, -1, 1, -1], [1, -1, 1, -0.9]])
    k = 1e-5
    assert decorrelation(free) == pytest.approx(-2 * (math.log(1 + k) + 1 / (1 + k)))
    assert decorrelation(alike) < decorrelation(free)
    assert decorrelation(np.repeat(free[:1], 2, axis=0)) == pytest.approx(
        -(1 / k + math.log(k) + math.log(2) + 0.5), rel=1e-4
    )


# -- the copy in which only weights act -------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["light-recipe", "csppc-adown"])
def test_the_linear_copy_is_homogeneous_in_the_image_and_in_every_layer(name):
    model = build_model(SPACE.preset(name, image_size=64), 2)
    state = {key: value.clone() for key, value in model.state_dict().items()}
    copy = linear_copy(model)
    with torch.no_grad():
        for weight in weights(copy):
            weight.abs_()
        image = torch.rand(1, 3, 64, 64, dtype=torch.float64)
        once = copy(image)["scores"]
        assert torch.allclose(copy(3 * image)["scores"], 3 * once)
        first = next(iter(weights(copy)))
        first.mul_(2)
        assert torch.allclose(copy(image)["scores"], 2 * once)
    assert (once >= 0).all()
    after = model.state_dict()  # the network itself is as it was
    assert all(torch.equal(state[key], after[key]) for key in state)


def test_the_linear_copy_holds_hwd_as_the_convolution_that_it_is():
    block = HWD(3, 4).eval()
    nn.init.zeros_(block.conv.bias)
    copy = linear_copy(nn.Sequential(block))
    assert all(type(module) is not type(block.conv) for module in copy.modules())
    image = torch.rand(1, 3, 8, 8)
    assert torch.allclose(copy(image.double()).float(), block.conv(image), atol=1e-6)


# -- on networks ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def smallest():
    return SPACE.preset("yolov8-w1/16", image_size=64)


def test_the_same_call_gives_the_same_and_disturbs_nothing(smallest):
    other = SPACE.preset("yolov8-w1/16", image_size=64, p3_block="CSPPC", p4_down="HWD")
    torch.manual_seed(5), np.random.seed(5), random.seed(5)
    states = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    with torch.no_grad():
        first = proxy_scores([smallest, other], 2, batch_size=4)
        assert not torch.is_grad_enabled()
    assert torch.equal(torch.get_rng_state(), states[0]) and random.getstate() == states[2]
    assert np.array_equal(np.random.get_state()[1], states[1])
    torch.manual_seed(6)
    with torch.inference_mode():
        again = proxy_scores([other, smallest], 2, batch_size=4)
    for name in PROXIES:
        assert first[name].shape == (2,) and first[name].dtype == float
        assert np.array_equal(first[name], again[name][::-1]), name
    drawn_otherwise = proxy_scores([smallest], 2, seed=1, batch_size=4)
    same = {name for name in PROXIES if drawn_otherwise[name][0] == first[name][0]}
    assert same == {"macs", "params"}


def test_a_score_alone_is_what_it_is_among_others(smallest):
    together = proxy_scores([smallest], 2, batch_size=2)
    for name in PROXIES:
        assert proxy_scores([smallest], 2, scores=[name], batch_size=2)[name][0] == together[name][0], name


def test_equal_images_say_nothing(smallest):
    images = random_images(2, 2)
    equal = LabelledImages(np.repeat(images.images[:1], 2, axis=0), images.boxes)
    with pytest.raises(EvaluationError, match=f"{smallest.key}: its score nwot is -inf"):
        proxy_scores([smallest], 2, scores=["nwot"], batch=equal, batch_size=2)


def test_scores_of_labelled_images(smallest, small_data):
    images = dataset_images(load_dataset(small_data), 8, 64)
    assert images.images.shape == (8, 3, 64, 64) and 0.2 < images.images.mean() < 0.8
    found = proxy_scores([smallest], 4, batch=images, batch_size=4)
    assert all(np.isfinite(values).all() for values in found.values())
    unlabelled = LabelledImages(images.images, [boxes[:0] for boxes in images.boxes])
    without = proxy_scores([smallest], 4, batch=unlabelled, batch_size=4)
    needs_boxes = {name for name in PROXIES if without[name][0] != found[name][0]}
    assert needs_boxes == {"zico", "grad_norm"}


@SLOW
@pytest.mark.parametrize("name", SPACE.presets)
def test_every_preset_has_finite_scores(name):
    found = proxy_scores([SPACE.preset(name, image_size=64)], 2, batch_size=2)
    assert set(found) == set(PROXIES) and all(np.isfinite(values).all() for values in found.values())


@SLOW
def test_random_architectures_have_finite_scores():
    rng = np.random.default_rng(0)
    chosen = [SPACE.sample(rng).replace(image_size=64) for _ in range(6)]
    chosen += [
        SPACE.preset(name, image_size=64, head_reg_max=1, head_class_branch="depthwise")
        for name in ("yolov8n", "light-recipe")
    ]
    found = proxy_scores(chosen, 3, batch_size=2)
    assert all(np.isfinite(values).all() for values in found.values())
    assert (found["macs"] > 0).all() and (found["grad_norm"] > 0).all()


@SLOW
def test_wider_networks_score_higher_where_theory_says_so():
    chosen = [SPACE.preset(name, image_size=64) for name in ("yolov8-w1/16", "yolov8-w1/8", "yolov8n", "yolov8s")]
    for name, values in proxy_scores(chosen, 3, scores=["macs", "params", "nwot", "synflow", "entropy"]).items():
        assert (np.diff(values) > 0).all(), name


# -- wrong input ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scores": ["naswot"]}, "no training-free score 'naswot'; there are macs, "),
        ({"seed": -1}, "seed must be a whole number of at least 0, not -1"),
        ({"batch_size": 1}, "batch_size must be a whole number of at least 2, not 1"),
        ({"batch": "digits"}, "batch must be LabelledImages, not 'digits'"),
        ({"batch": random_images(8, 2)}, "batch: 8 images, and 16 are needed: 2 batches of 8"),
        ({"batch": random_images(16, 9)}, "batch: image [0-9]+ has class [0-9]; the last of 2 is 1"),
        ({"batch": LabelledImages(np.zeros((2, 64, 64, 3)), [])}, r"must have the shape \(n, 3, height, width\)"),
        ({"batch": LabelledImages(np.zeros((2, 3, 64, 64)), [])}, "2 images have 0 arrays of boxes"),
        ({"batch": LabelledImages(np.zeros((1, 3, 8, 8)), [np.zeros((1, 4))])}, r"must have the shape \(k, 5\)"),
        ({"batch": LabelledImages(np.zeros((1, 3, 8, 8)), [np.full((1, 5), 20.0)])}, "four shares from 0 to 1"),
        ({"batch": LabelledImages(np.full((1, 3, 8, 8), np.nan), [np.zeros((0, 5))])}, "images must be numbers"),
    ],
)
def test_wrong_input_is_named(smallest, options, message):
    with pytest.raises(InputError, match=message):
        proxy_scores([smallest], 2, **options)
    with pytest.raises(InputError, match="num_classes"):
        proxy_scores([smallest], 0)


def test_too_few_images_for_a_draw(small_data):
    with pytest.raises(InputError, match="the training split has 16 images, and 17 are needed"):
        dataset_images(load_dataset(small_data), 17, 64)
