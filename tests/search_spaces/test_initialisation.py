"""Fresh weights: no signal fades or grows on its way through a network, forward or backward, whatever blocks it is made of."""

import pytest
import torch
from torch import nn

from search_spaces import YoloSpace, build_model
from search_spaces.blocks.afpn import ResidualBlock
from search_spaces.blocks.csppc import PartialBottleneck

FACTOR = 4.0  # between the root mean squares of what a layer reads and what it gives
ABOVE_EPSILON = 10  # times a normalisation's epsilon: the least variance that it is given to normalise
SPACE = YoloSpace()
NETWORKS = {
    **{name: SPACE.preset(name, image_size=96) for name in SPACE.presets},
    "narrow afpn": SPACE.preset("afpn-p2-p5", image_size=96, stem_width=8, p2_width=8, p3_width=16),
    "wide afpn": SPACE.preset("afpn-p3-p5", image_size=96, afpn_reduction=1, afpn_depth=1),
    "deep csppc": SPACE.preset("csppc", image_size=96, p3_depth=3, p4_depth=3),
    "one bin, depthwise": SPACE.preset("yolov8n", image_size=96, head_reg_max=1, head_class_branch="depthwise"),
}


def signals(architecture):
    """(name, module, what it read, what it gave) of every module, after a backward pass from random gradients of all outputs."""
    torch.manual_seed(0)
    model = build_model(architecture, num_classes=4)
    seen = []

    def note(name):
        def hook(module, inputs, output):
            if isinstance(output, torch.Tensor) and isinstance(inputs[0], torch.Tensor):
                seen.append((name, module, inputs[0].detach(), output.detach()))

        return hook

    hooks = [module.register_forward_hook(note(name)) for name, module in model.named_modules()]
    outputs = model(torch.rand(8, 3, 96, 96))
    sum((value * torch.randn_like(value)).mean() for value in tensors(outputs)).backward()
    for hook in hooks:  # Ultralytics' layers share one activation, which other networks have as well
        hook.remove()
    return model, seen


def tensors(value):
    if isinstance(value, torch.Tensor):
        return [value] if value.requires_grad else []
    return [t for each in (value.values() if isinstance(value, dict) else value) for t in tensors(each)]


def size(x):
    return x.float().square().mean().sqrt().item()


@pytest.fixture(scope="module", params=NETWORKS)
def network(request):
    return signals(NETWORKS[request.param])


def test_no_layer_lets_signals_fade_or_grow(network):
    model, seen = network
    layers = {id(layer): i for i, layer in enumerate(model.model)}
    ratios = {name: size(out) / size(read) for name, module, read, out in seen if id(module) in layers}
    assert len(ratios) >= 10
    assert {name: r for name, r in ratios.items() if not 1 / FACTOR < r < FACTOR} == {}


def test_what_is_normalised_is_well_above_epsilon(network):
    _, seen = network
    faint = {
        name: variance
        for name, module, read, _ in seen
        if isinstance(module, nn.BatchNorm2d)
        and (variance := read.var(dim=(0, 2, 3)).median().item()) < ABOVE_EPSILON * module.eps
    }
    assert faint == {}


def test_convolutions_without_normalisation_keep_what_they_read(network):
    model, seen = network
    partial = {conv for b in model.modules() if isinstance(b, PartialBottleneck) for conv in (b.cv1, b.cv2)}
    ratios = {name: size(out) / size(read) for name, module, read, out in seen if module in partial}
    assert {name: ratio for name, ratio in ratios.items() if not 1 / FACTOR < ratio < FACTOR} == {}


def test_every_weight_learns_from_the_first_step_but_in_branches_that_begin_at_zero(network):
    model, _ = network
    waiting = {p for block in model.modules() if isinstance(block, ResidualBlock) for p in block.parameters()}
    silent = [
        name
        for name, p in model.named_parameters()
        if p.requires_grad and p not in waiting and (p.grad is None or not p.grad.abs().max() > 0)
    ]
    assert silent == []


def test_residual_blocks_begin_as_the_identity_and_learn():
    torch.manual_seed(0)
    block, x = ResidualBlock(8).train(), torch.rand(4, 8, 6, 6)
    assert torch.equal(block(x), x)
    block(x).square().mean().backward()
    assert block.cv2.bn.weight.grad.abs().max() > 0


@pytest.mark.parametrize("preset", ["yolov8n", "light-recipe"])
@pytest.mark.parametrize("pixels", [96, 640])
def test_scores_begin_at_some_objects_per_image_whatever_its_size(preset, pixels):
    torch.manual_seed(0)
    model = build_model(SPACE.preset(preset, image_size=pixels), num_classes=80).eval()
    for branch, stride in zip(model.model[-1].cv3, model.stride.tolist()):
        expected = 80 * (pixels / stride) ** 2 * branch[-1].bias.detach().exp()
        assert expected.mean().item() == pytest.approx(5, rel=1e-4)
