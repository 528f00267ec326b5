"""What the layer graph tells of how accurate an architecture may get: work, widths, depth and kinds of its parts."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from search_spaces import Architecture, InputError
from search_spaces.graph import Layer, LayerGraph, Number, Shape, lower_many
from search_spaces.tape import Operator, Tensor
from search_spaces.trace import trace

from ..complexity import complexity

LEVELS = ("p2", "p3", "p4", "p5")  # of strides 4 to 32
BACKBONE = ("stem", *LEVELS)
NECK = tuple(f"neck_{level}" for level in LEVELS)
PARTS = (*BACKBONE, *NECK, "boxes", "classes")  # each operator belongs to one
KINDS = ("CSPPC", "C3k2", "ADown", "HWD")  # beside C2f and Conv, which are what is left
FLOOR = 1e4  # MACs of a part that is not there, so that its logarithm is a number

NAMES = (
    "log_image_size",
    "log_macs",
    "log_params",
    "log_peak_activation_bytes",
    *(f"log_macs_{part}" for part in PARTS),
    *(f"log_width_{level}" for level in BACKBONE),
    "log_width_neck",  # of its narrowest layer
    "log_width_boxes",
    "log_width_classes",
    "log_depth_backbone",
    "log_depth_neck",
    *(f"share_{kind}" for kind in KINDS),  # of the blocks, or of the downsamplers, by MACs
    "is_afpn",
    "log_reduction",  # of the AFPN; 0 elsewhere
    "reads_p2",
    "is_depthwise_head",
    "is_one_bin_head",
)
_AT = {name: column for column, name in enumerate(NAMES)}


def graph_features(architectures: Sequence[Architecture], num_classes: int = 80) -> np.ndarray:
    """(n, len(NAMES)) features of architectures, all of one space; logarithms are natural ones.

    They are read off the layer graph alone, so that every space in YOLOv8's frame has the same ones.

    Args:
        num_classes: classes of the networks.

    Raises:
        InputError: a space without layer graphs, or one whose head is not in YOLOv8's frame.
    """
    architectures = list(architectures)
    result = np.zeros((len(architectures), len(NAMES)))
    if not architectures:
        return result
    costs = complexity(architectures, num_classes)
    for name in ("macs", "params", "peak_activation_bytes"):
        result[:, _AT[f"log_{name}"]] = np.log(getattr(costs, name))
    for rows, graph in lower_many(architectures, num_classes):
        result[rows] += _Reading(graph, len(rows), architectures[0].space.name).features()
    return result


class _Reading:
    """The features of n architectures that share a topology."""

    def __init__(self, graph: LayerGraph, count: int, space: str) -> None:
        self.graph, self.count = graph, count
        self.macs = {part: np.zeros(count) for part in PARTS}
        self.kinds = {kind: np.zeros(count) for kind in (*KINDS, "blocks", "downsamplers")}
        self.widths = {level: np.ones(count) for level in BACKBONE}
        self.narrowest = np.full(count, np.inf)
        self.depths = {"backbone": np.zeros(count), "neck": np.zeros(count)}
        self.head = graph.layers[-1]
        lacking = {"reg_max", "class_branch", "box_width", "class_width"} - self.head.arguments.keys()
        if lacking:
            raise InputError(f"space {space!r}: its head is none of YOLOv8's frame (it has no {min(lacking)})")

    def features(self) -> np.ndarray:
        """(n, len(NAMES)), with 0 for those that complexity gives."""
        for index, layer in enumerate(self.graph.layers[:-1]):
            self._layer(layer, is_backbone=index < self.graph.backbone)
        self.depths["neck"] += self.head.arguments.get("depth", 0)  # of an AFPN
        for rows, layer in self.head.variants(self.count):
            self._head(layer, rows)
        values: dict[str, Number] = {
            "log_image_size": np.log(self.graph.image.height) / 2 + np.log(self.graph.image.width) / 2,
            **{f"log_macs_{part}": np.log(macs + FLOOR) for part, macs in self.macs.items()},
            **{f"log_width_{level}": np.log(width) for level, width in self.widths.items()},
            "log_width_neck": np.log(np.where(np.isfinite(self.narrowest), self.narrowest, 1)),
            "log_width_boxes": np.log(self.head.arguments["box_width"]),
            "log_width_classes": np.log(self.head.arguments["class_width"]),
            **{f"log_depth_{part}": np.log1p(depth) for part, depth in self.depths.items()},
            "is_afpn": self.head.module == "AFPNDetect",
            "log_reduction": np.log(self.head.arguments.get("reduction", 1)),
            "reads_p2": self._level(self.graph.shape(self.head.inputs[0])) == 0,
            "is_depthwise_head": np.equal(self.head.arguments["class_branch"], "depthwise"),
            "is_one_bin_head": np.equal(self.head.arguments["reg_max"], 1),
        }
        for kind in KINDS:
            whole = self.kinds["blocks" if kind in ("CSPPC", "C3k2") else "downsamplers"]
            values[f"share_{kind}"] = self.kinds[kind] / np.maximum(whole, 1)
        result = np.zeros((self.count, len(NAMES)))
        for name, value in values.items():
            result[:, _AT[name]] = value
        return result

    def _level(self, shape: Shape, first: int = 0) -> int:
        """Position of the map's level in `LEVELS`, -1 for the stem; maps that are coarser count to the last.

        Args:
            first: position of the architecture that the first entry of the shape is of.
        """
        heights = np.broadcast_to(self.graph.image.height, self.count)
        stride = heights[first] / np.ravel(shape.height)[0]
        return min(round(math.log2(stride)) - 2, len(LEVELS) - 1)

    def _layer(self, layer: Layer, is_backbone: bool) -> None:
        level = self._level(layer.out_shapes[0])
        part = BACKBONE[max(level + 1, 0)] if is_backbone else NECK[max(level, 0)]
        total = np.zeros(self.count)
        for rows, variant in layer.variants(self.count):
            macs = sum(operator.cost[1] for operator in trace(variant)[0])
            total[rows] = macs
            if variant.module in KINDS:
                self.kinds[variant.module][rows] += macs
        self.macs[part] += total
        if "repeats" in layer.arguments:
            self.kinds["blocks"] += total
            self.depths["backbone" if is_backbone else "neck"] += layer.arguments["repeats"]
        elif level > self._level(layer.in_shapes[0]) and level >= 0:
            self.kinds["downsamplers"] += total
        width = layer.out_shapes[0].channels
        if is_backbone:
            self.widths[part] = np.broadcast_to(width, self.count).astype(float)
        else:
            self.narrowest = np.minimum(self.narrowest, width)

    def _head(self, layer: Layer, rows: np.ndarray) -> None:
        """Tells the head's branches, and what both of them need: a neck inside."""
        steps, _, (boxes, classes) = trace(layer)
        of_boxes, of_classes = _needed(steps, boxes), _needed(steps, classes)
        for index, step in enumerate(steps):
            if step.kind != "conv":
                continue
            if index in of_boxes and index in of_classes:
                part = NECK[max(self._level(step.output.shape, rows[0]), 0)]
                if step.norm and np.max(step.kernel) > 1:
                    width = np.broadcast_to(step.output.shape.channels, len(rows))
                    self.narrowest[rows] = np.minimum(self.narrowest[rows], width)
            else:
                part = "boxes" if index in of_boxes else "classes"
            self.macs[part][rows] += step.cost[1]


def _needed(steps: Sequence[Operator], output: Tensor) -> set[int]:
    """Positions of the operators that a tensor is made by."""
    wanted, found = {output.storage}, set()
    for index in reversed(range(len(steps))):
        if steps[index].output.storage in wanted:
            found.add(index)
            wanted |= {tensor.storage for tensor in steps[index].inputs}
    return found
