"""One untrained network, and what scores measure of it: each thing once, however many scores read it."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator
from functools import cached_property
from typing import Any

import torch
from torch import nn

from search_spaces import Architecture, build_model
from search_spaces.blocks import blocks
from search_spaces.blocks.afpn import Fusion
from search_spaces.graph import LayerGraph, lower

from .labelled import LabelledImages

ACTIVATIONS = (nn.SiLU, nn.ReLU, nn.LeakyReLU, nn.GELU, nn.Hardswish)


@contextlib.contextmanager
def drawn_by(seed: int) -> Iterator[None]:
    """What torch draws on the CPU inside depends on the seed alone; afterwards its state is what it was."""
    before = torch.get_rng_state()
    torch.default_generator.manual_seed(seed)  # torch.manual_seed would reach for every GPU, too
    try:
        yield
    finally:
        torch.set_rng_state(before)


def summed(output: Any) -> torch.Tensor:
    """The sum of all values that a network gives; of a detection head in training these are its raw boxes and scores."""
    if isinstance(output, torch.Tensor):
        return output.sum()
    return output["boxes"].sum() + output["scores"].sum()


def weights(model: nn.Module) -> list[nn.Parameter]:
    """The weights that are trained, those of convolutions and linear maps, without biases and normalisation."""
    layers = (module for module in model.modules() if isinstance(module, (nn.Conv2d, nn.Linear)))
    return [layer.weight for layer in layers if layer.weight.requires_grad]


def linear_copy(model: nn.Module) -> nn.Module:
    """A copy in double precision in which only weights act: its output is linear in every one of them.

    Normalisation and activations pass everything on, whatever the scale that a normalisation begins with (with the usual one it
    divides by sqrt(1 + eps) in a fresh network's evaluation mode), biases are zero, and where a softmax weighs inputs against each
    other (ASFF in AFPN) all weigh the same.
    """
    linear = copy.deepcopy(model).double()
    own = {each.module: each for each in blocks().values()}
    for module in list(linear.modules()):
        if type(module) in own:  # a convolution that is composed of others becomes the plain one that it is
            own[type(module)].fuse(module)
    for module in list(linear.modules()):
        for name, child in list(module._modules.items()):
            if isinstance(child, (nn.BatchNorm2d, *ACTIVATIONS)):
                setattr(module, name, nn.Identity())
        if isinstance(module, (nn.Conv2d, nn.Linear)) and module.bias is not None:
            nn.init.zeros_(module.bias)
        if isinstance(module, Fusion):
            nn.init.zeros_(module.weigh.weight)
    return linear


def with_patterns(model: nn.Module, images: torch.Tensor) -> tuple[Any, torch.Tensor]:
    """What a network gives for B images, and the (B, B) kernel of its activation patterns on the way.

    The kernel counts the units, over all activations of the network, into which two images put values of the same sign.
    """
    kernel = torch.zeros(len(images), len(images), dtype=torch.float64)

    def compare(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        active = (inputs[0].detach().flatten(1) > 0).float()
        idle = 1 - active
        kernel.add_((active @ active.T).double() + (idle @ idle.T).double())

    activations = [module for module in model.modules() if isinstance(module, ACTIVATIONS)]
    hooks = [module.register_forward_pre_hook(compare) for module in activations]
    try:
        return model(images), kernel
    finally:
        for hook in hooks:
            hook.remove()


class Probe:
    """An architecture as a network with fresh weights, and the images that it is shown.

    Args:
        images: at least one batch of them; scores that compare batches need two.
        seed: draws the weights.
        batch_size: images that the network sees at once.
    """

    def __init__(
        self, architecture: Architecture, num_classes: int, images: LabelledImages, seed: int = 0, batch_size: int = 8
    ) -> None:
        self.architecture, self.num_classes = architecture, num_classes
        self.images, self.seed, self.batch_size = images, seed, batch_size
        self._gradients: list[list[torch.Tensor]] = []

    @cached_property
    def graph(self) -> LayerGraph:
        """Its layer graph."""
        return lower(self.architecture, self.num_classes)

    @cached_property
    def model(self) -> nn.Module:
        """The network in training mode: normalisation is by the batch, as in the first step of a training."""
        from ultralytics.cfg import get_cfg

        with drawn_by(self.seed):
            model = build_model(self.architecture, self.num_classes)
        model = copy.deepcopy(model)  # Ultralytics' convolutions share one activation, among all networks of a process
        model.args = get_cfg()  # the weights of the loss's parts
        return model

    @property
    def image_size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.graph.image.height, self.graph.image.width

    @cached_property
    def batches(self) -> list[dict[str, torch.Tensor]]:
        """The images at the network's size."""
        batches = self.images.batches(self.batch_size, self.image_size)
        batches[0]["img"].requires_grad_()
        return batches

    @cached_property
    def _first(self) -> tuple[Any, torch.Tensor]:
        return with_patterns(self.model, self.batches[0]["img"])

    @property
    def pattern_kernel(self) -> torch.Tensor:
        """The (B, B) kernel of activation patterns for the first batch, as `with_patterns` says."""
        return self._first[1]

    @cached_property
    def jacobian(self) -> torch.Tensor:
        """(B, 3 * height * width): derivatives of the sum of all outputs with respect to the images of the first batch."""
        images = self.batches[0]["img"]
        return torch.autograd.grad(summed(self._first[0]), images, retain_graph=True)[0].flatten(1)

    def gradients(self, count: int) -> list[list[torch.Tensor]]:
        """For each of the first `count` batches, the gradient of the detection loss with respect to every one of `weights`."""
        for number in range(len(self._gradients), count):
            batch = self.batches[number]
            output = self.model(batch["img"]) if number else self._first[0]
            loss = self.model.loss(batch, output)[0].sum()
            found = torch.autograd.grad(loss, weights(self.model), retain_graph=number == 0, materialize_grads=True)
            self._gradients.append(list(found))
        return self._gradients[:count]
