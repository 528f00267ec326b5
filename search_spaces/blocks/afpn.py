"""AFPN: the asymptotic feature pyramid, and the detection head with one inside.

Source: G. Yang et al., "AFPN: Asymptotic Feature Pyramid Network for Object Detection", arXiv 2306.15988; adaptive
spatial fusion (ASFF): S. Liu et al., "Learning Spatial Fusion for Single-Shot Object Detection", arXiv 1911.09516.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from ultralytics.nn.modules.conv import Conv
from ultralytics.nn.modules.head import Detect

from ..graph import Layer, Number
from ..tape import Tape, Tensor
from .axes import Axes
from .base import Block
from .detect import DetectBlock, class_branch, narrow_branches

SCORE_CHANNELS = 8  # channels to which every input of a fusion is compressed to score it
RESIDUAL_BLOCKS = 4  # after every fusion, as published


class BiasConv(Conv):
    """A 3x3 convolution with bias, batch normalisation and, if `relu`, ReLU."""

    def __init__(self, c1: int, c2: int, relu: bool):
        super().__init__(c1, c2, 3, act=nn.ReLU() if relu else False)
        self.conv = nn.Conv2d(c1, c2, 3, padding=1, bias=True)


class ResidualBlock(nn.Module):
    """ResNet's basic block without the last activation folded away. Shape in and out: (B, C, H, W).

    It begins as the identity, its last normalisation scaling by zero: dozens of them stand one after another in an AFPN, and each
    would drown a part of what the backbone says in noise (P. Goyal et al., "Accurate, Large Minibatch SGD", arXiv 1706.02677,
    section 5.1).
    """

    def __init__(self, channels: int):
        super().__init__()
        self.cv1 = BiasConv(channels, channels, relu=True)
        self.cv2 = BiasConv(channels, channels, relu=False)
        self.act = nn.ReLU()
        nn.init.zeros_(self.cv2.bn.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.act(x + self.cv2(self.cv1(x)))


def resize(source: int, target: int, channels: Sequence[int]) -> nn.Module:
    """The way from level `source` to level `target`: up by 1x1 and bilinear interpolation, down by one strided convolution."""
    c1, c2, factor = channels[source], channels[target], 2 ** abs(source - target)
    if source == target:
        return nn.Identity()
    if source > target:
        return nn.Sequential(Conv(c1, c2, 1), nn.Upsample(scale_factor=factor, mode="bilinear"))
    return Conv(c1, c2, factor, factor, 0)


class Fusion(nn.Module):
    """ASFF of `count` inputs of the same shape: a softmax over inputs weights them at every place, then a 3x3 Conv."""

    def __init__(self, channels: int, count: int):
        super().__init__()
        self.score = nn.ModuleList(Conv(channels, SCORE_CHANNELS, 1) for _ in range(count))
        self.weigh = nn.Conv2d(SCORE_CHANNELS * count, count, 1)
        self.out = Conv(channels, channels, 3)

    def forward(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        scores = torch.cat([score(x) for score, x in zip(self.score, inputs)], 1)
        weights = self.weigh(scores).softmax(1)
        total = inputs[0] * weights[:, 0:1]
        for i, x in enumerate(inputs[1:], start=1):
            total = total + x * weights[:, i : i + 1]
        return self.out(total)


class Round(nn.Module):
    """One round of AFPN: the first `count` levels exchange their features, each then passes its residual blocks."""

    def __init__(self, channels: Sequence[int], count: int, depth: int):
        super().__init__()
        self.resize = nn.ModuleList(
            nn.ModuleList(resize(source, target, channels) for source in range(count)) for target in range(count)
        )
        self.fuse = nn.ModuleList(Fusion(channels[target], count) for target in range(count))
        self.blocks = nn.ModuleList(
            nn.Sequential(*(ResidualBlock(channels[target]) for _ in range(depth))) for target in range(count)
        )

    def forward(self, features: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        fused = [fuse([move(x) for move, x in zip(moves, features)]) for moves, fuse in zip(self.resize, self.fuse)]
        return [blocks(x) for blocks, x in zip(self.blocks, fused)]


class AFPN(nn.Module):
    """Feature pyramid over n levels of strides s, 2s, 4s, ... that joins them one after another, the finest two first.

    Args:
        channels: of each level in, finest first; shapes (B, channels[i], H / 2**i, W / 2**i).
        width: channels of every level out.
        reduction: inside, level i has channels[i] // reduction channels.
        depth: residual blocks of every level after every round.

    Its convolutions begin by He's rule (K. He et al., arXiv 1502.01852). Published ports begin them by Xavier's with a gain of 0.02,
    which makes the variance of what they give far smaller than the epsilon that Ultralytics adds to it in every normalisation, 1e-3,
    so that signals fade to nothing.
    """

    def __init__(self, channels: Sequence[int], width: int, reduction: int, depth: int = RESIDUAL_BLOCKS):
        super().__init__()
        inner = [c // reduction for c in channels]
        self.squeeze = nn.ModuleList(nn.Sequential(Conv(c, i, 1), Conv(i, i, 1)) for c, i in zip(channels, inner))
        self.rounds = nn.ModuleList(Round(inner, count, depth) for count in range(2, len(inner) + 1))
        self.out = nn.ModuleList(Conv(i, width, 1) for i in inner)
        for module in self.modules():
            if isinstance(module, Conv):
                nn.init.kaiming_normal_(module.conv.weight, nonlinearity="relu")

    def forward(self, features: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        features = [squeeze(x) for squeeze, x in zip(self.squeeze, features)]
        for count, step in enumerate(self.rounds, start=2):
            features[:count] = step(features[:count])
        return [out(x) for out, x in zip(self.out, features)]


class AFPNDetect(Detect):
    """Ultralytics' detection head reading an AFPN over the backbone's levels `ch`.

    The widths of the branches follow the backbone's finest level, as they do without an AFPN.
    """

    def __init__(self, nc: int, reg_max: int, width: int, reduction: int, depth: int, ch: Sequence[int]):
        super().__init__(nc, reg_max, ch=tuple(ch))
        for branches in (self.cv2, self.cv3):
            for branch in branches:
                first = branch[0]
                if isinstance(first, Conv):
                    branch[0] = Conv(width, first.conv.out_channels, 3)
                else:  # depthwise and pointwise
                    branch[0] = nn.Sequential(
                        type(first[0])(width, width, 3), Conv(width, first[1].conv.out_channels, 1)
                    )
        self.afpn = AFPN(ch, width, reduction, depth)

    def forward(self, x: list[torch.Tensor]) -> Any:
        return super().forward(self.afpn(x))


def trace_afpn(tape: Tape, levels: Sequence[Tensor], width: Number, reduction: Number, depth: int) -> list[Tensor]:
    """Trace `AFPN` over the levels; returns as many of `width` channels."""

    def move(x: Tensor, source: int, target: int, channels: Number) -> Tensor:
        if source == target:
            return x
        factor = 2 ** abs(source - target)
        if source > target:
            return tape.resize("bilinear", tape.conv(x, channels), factor)
        return tape.conv(x, channels, factor, factor, padding=0)

    def fuse(inputs: Sequence[Tensor], channels: Number) -> Tensor:
        scores = tape.concat([tape.conv(x, SCORE_CHANNELS) for x in inputs])
        scores = tape.conv(scores, len(inputs), bias=True, norm=False, activation=None)
        weights = tape.elementwise("softmax", scores)

        def weighted(x: Tensor) -> Tensor:
            return tape.elementwise("mul", x, tape.view(weights, 1))

        total = weighted(inputs[0])
        for x in inputs[1:]:
            total = tape.elementwise("add", total, weighted(x))
        return tape.conv(total, channels, 3)

    def residual(x: Tensor, channels: Number) -> Tensor:
        y = tape.conv(x, channels, 3, bias=True, activation="relu")
        y = tape.conv(y, channels, 3, bias=True, activation=None)
        return tape.elementwise("add", x, y)

    channels = [level.shape.channels // reduction for level in levels]
    features = [tape.conv(tape.conv(level, c), c) for level, c in zip(levels, channels)]
    for count in range(2, len(levels) + 1):
        features[:count] = [
            fuse([move(features[j], j, i, channels[i]) for j in range(count)], channels[i]) for i in range(count)
        ]
        for i in range(count):
            for _ in range(depth):
                features[i] = residual(features[i], channels[i])
    return [tape.conv(x, width) for x in features]


class AFPNDetectBlock(Block):
    """The head with an AFPN in front of its branches; reads levels (B, c_i, H / 2**i, W / 2**i)."""

    name = "AFPNDetect"
    module = AFPNDetect
    is_head = True

    def build(self, layer: Layer) -> nn.Module:
        given = layer.arguments
        channels = [shape.channels for shape in layer.in_shapes]
        with class_branch(given["class_branch"]):
            head = AFPNDetect(
                given["num_classes"], given["reg_max"], given["width"], given["reduction"], given["depth"], channels
            )
        narrow_branches(head, layer, [given["width"]] * len(channels))
        return head

    def row(self, layer: Layer) -> list[Any]:
        given = layer.arguments
        return [1, self.name, ["nc", given["reg_max"], given["width"], given["reduction"], given["depth"]]]

    def trace(self, tape: Tape, *inputs: Tensor, **arguments: Any) -> Sequence[Tensor]:
        neck = {name: arguments.pop(name) for name in ("width", "reduction", "depth")}
        levels = trace_afpn(tape, inputs, **neck)
        return DetectBlock.branches(tape, levels, **arguments)

    def axes(self, layer: Layer) -> Axes:
        axes = Axes()
        count = len(layer.in_shapes)
        for i, shape in enumerate(layer.in_shapes):
            axes.add(f"in{i}", shape.channels)
            axes.add(f"level{i}", shape.channels // layer.arguments["reduction"])
            axes.add(f"out{i}", layer.arguments["width"])
            axes.unit(f"afpn.squeeze.{i}.0", f"in{i}", f"level{i}")
            axes.unit(f"afpn.squeeze.{i}.1", f"level{i}", f"level{i}")
            axes.unit(f"afpn.out.{i}", f"level{i}", f"out{i}")
            DetectBlock.branch_axes(axes, layer, i, f"out{i}")
        for step in range(count - 1):
            for i in range(step + 2):
                self._round_axes(axes, f"afpn.rounds.{step}", i, step + 2, layer.arguments["depth"])
        return axes

    @staticmethod
    def _round_axes(axes: Axes, path: str, level: int, count: int, depth: int) -> None:
        here = f"level{level}"
        for source in range(count):
            if source != level:  # up: a convolution and a resizing, down: the convolution alone
                axes.unit(f"{path}.resize.{level}.{source}{'.0' if source > level else ''}", f"level{source}", here)
            axes.unit_reads(f"{path}.fuse.{level}.score.{source}", here)
        axes.unit(f"{path}.fuse.{level}.out", here, here)
        for residual in range(depth):
            for conv in ("cv1", "cv2"):
                axes.unit(f"{path}.blocks.{level}.{residual}.{conv}", here, here)


BLOCK = AFPNDetectBlock()
