"""What the frames of Ultralytics' families have in common: levels, the PAN neck, the anchor-free head, widths of one's own."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import InputError
from ..graph import STRIDE, LayerGraph, Number

IMAGE_SIZES = (64, 96, 128, 160, 192, 224, 256, 320, 384, 448, 512, 640)  # drawn from, where none are asked for
LARGEST_SEARCHED = 4096  # pixels of an edge
DOWNSAMPLERS = ("Conv", "ADown", "HWD")
DEPTHS = (1, 2, 3)
STEM_WIDTHS = (8, 16, 24, 32)
LEVELS = ("p2", "p3", "p4", "p5")
# PAN's four blocks: top-down to P4 and P3, then bottom-up to N4 and N5 (the levels the head reads are P3, N4, N5)
PAN_BLOCKS = {"pan_p4": "p4", "pan_p3": "p3", "pan_n4": "p4", "pan_n5": "p5"}


def check_edge(pixels: object) -> None:
    """Raise InputError unless it is an image size that may be searched."""
    if not isinstance(pixels, int) or not 0 < pixels <= LARGEST_SEARCHED or pixels % STRIDE:
        raise InputError(
            f"choice 'image_size' cannot be {pixels!r}; it can be any multiple of {STRIDE} up to {LARGEST_SEARCHED}"
        )


def widths_of(stem: int, p2: int, p3: int, p4: int, p5: int) -> dict[str, Any]:
    """The widths of a network, those of the neck's blocks being their levels'."""
    widths = {"p2": p2, "p3": p3, "p4": p4, "p5": p5}
    return {
        "stem_width": stem,
        **{f"{level}_width": width for level, width in widths.items()},
        **{f"{name}_width": widths[level] for name, level in PAN_BLOCKS.items()},
    }


def own(values: Mapping[str, Any], name: str, usual: Number) -> Number:
    """A width of its own, which only pruned networks have; where there is none, or 0, it is the usual one."""
    width = values.get(name, 0)
    return np.where(width == 0, usual, width) if isinstance(width, np.ndarray) else width or usual


def largest(*numbers: Number) -> Number:
    """The largest, entry by entry: an integer for integers, an array where one of them is."""
    result = functools.reduce(np.maximum, numbers)
    return result if isinstance(result, np.ndarray) else int(result)


def add_pan(
    graph: LayerGraph,
    values: Mapping[str, Any],
    levels: Mapping[str, int],
    block: Callable[[str, int], int],
    down: Callable[[str, int, Number], int],
) -> tuple[int, int, int]:
    """Append a PAN neck.

    Args:
        levels: the layer that ends each level of the backbone.
        block: (prefix of its choices, layer that it reads) -> the layer; appends one.
        down: (prefix of its choices, layer that it reads, its usual width) -> the layer; likewise.

    Returns:
        The layers that the head reads, from the finest on.
    """
    channels = {level: graph.shape(index).channels for level, index in levels.items()}
    x = graph.add("Upsample", levels["p5"], channels["p5"], up=2, name="pan_p4.up")
    x = graph.add("Concat", (x, levels["p4"]), channels["p5"] + channels["p4"], name="pan_p4.join")
    p4 = block("pan_p4", x)
    p4_width = values["pan_p4_width"]
    x = graph.add("Upsample", p4, p4_width, up=2, name="pan_p3.up")
    x = graph.add("Concat", (x, levels["p3"]), p4_width + channels["p3"], name="pan_p3.join")
    p3 = block("pan_p3", x)
    x = down("pan_n4", p3, values["pan_p3_width"])
    x = graph.add("Concat", (x, p4), graph.shape(x).channels + p4_width, name="pan_n4.join")
    n4 = block("pan_n4", x)
    x = down("pan_n5", n4, values["pan_n4_width"])
    x = graph.add("Concat", (x, levels["p5"]), graph.shape(x).channels + channels["p5"], name="pan_n5.join")
    return p3, n4, block("pan_n5", x)


def add_head(
    graph: LayerGraph, values: Mapping[str, Any], sources: Sequence[int], module: str = "Detect", **neck: Any
) -> None:
    """Append the head, with Ultralytics' rule for the widths inside: from the channels of the finest level.

    Args:
        sources: the layers that it reads, from the finest on.
        neck: arguments of a head with a neck of its own.
    """
    finest, reg_max = graph.shape(sources[0]).channels, values["head_reg_max"]
    graph.add_head(
        module,
        sources,
        structure=("reg_max", "class_branch", "depth") if neck else ("reg_max", "class_branch"),
        reg_max=reg_max,
        class_branch=values["head_class_branch"],
        box_width=own(values, "head_box_width", largest(16, finest // 4, 4 * reg_max)),
        class_width=own(values, "head_class_width", largest(finest, min(graph.num_classes, 100))),
        **neck,
    )
