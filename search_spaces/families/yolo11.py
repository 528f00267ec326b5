"""YOLO11's frame: the space over its backbone, attention, neck, head and input size, each choice per stage; its named presets.

Source: G. Jocher and J. Qiu, "Ultralytics YOLO11", 2024, https://docs.ultralytics.com/models/yolo11.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from ..graph import IMAGE, LayerGraph, Number, Shape
from ..space import Architecture, Choice, SearchSpace
from .family import Family
from .frame import (
    DEPTHS,
    DOWNSAMPLERS,
    IMAGE_SIZES,
    LEVELS,
    PAN_BLOCKS,
    STEM_WIDTHS,
    add_head,
    add_pan,
    check_edge,
    own,
    widths_of,
)
from .pruned import BLOCKS as PREFIXES
from .pruned import DOWNS, MOST_CHANNELS, PrunedSpace, check_count, is_activated

if TYPE_CHECKING:
    from torch import nn

BLOCKS = ("C3k2", "C2f", "CSPPC")
WIDTHS = {  # channels at each level, from 1/16 of YOLO11's widths to those of YOLO11s (1/2)
    "p2": (16, 32, 48, 64, 96, 128),
    "p3": (32, 64, 96, 128, 192, 256),
    "p4": (32, 64, 96, 128, 192, 256),
    "p5": (64, 128, 192, 256, 384, 512),
}
PAN_WIDTHS = {"pan_p3": WIDTHS["p2"]} | {name: WIDTHS[level] for name, level in PAN_BLOCKS.items() if level != "p3"}
SHALLOW = ("p2", "p3")  # half as wide before their block, whose hidden channels are a quarter of its own


def _choices() -> list[Choice]:
    choices = [Choice("image_size", IMAGE_SIZES), Choice("stem_width", STEM_WIDTHS)]
    for prefix in PREFIXES:
        if prefix in DOWNS:
            choices.append(Choice(f"{prefix}_down", DOWNSAMPLERS))
        choices += [
            Choice(f"{prefix}_block", BLOCKS),
            Choice(f"{prefix}_c3k", (False, True), when={f"{prefix}_block": ("C3k2",)}),
            Choice(f"{prefix}_depth", DEPTHS),
            Choice(f"{prefix}_width", WIDTHS.get(prefix) or PAN_WIDTHS[prefix]),
        ]
    return [
        *choices,
        Choice("attention_depth", (1, 2)),
        Choice("head_class_branch", ("depthwise", "full")),
        Choice("head_reg_max", (1, 16)),
    ]


def _widths(stem: int, p2: int, p3: int, p4: int, p5: int) -> dict[str, Any]:
    """The neck's finest block is half as wide as its level in the backbone."""
    return {**widths_of(stem, p2, p3, p4, p5), "pan_p3_width": p3 // 2}


YOLO11N: dict[str, Any] = {
    "image_size": 640,
    **{f"{prefix}_down": "Conv" for prefix in DOWNS},
    **{f"{prefix}_block": "C3k2" for prefix in PREFIXES},
    **{f"{prefix}_c3k": prefix in ("p4", "p5", "pan_n5") for prefix in PREFIXES},
    **{f"{prefix}_depth": 1 for prefix in PREFIXES},
    **_widths(16, 64, 128, 128, 256),
    "attention_depth": 1,
    "head_class_branch": "depthwise",
    "head_reg_max": 16,
}
# What each preset changes of YOLO11n. "yolo11-w*" are YOLO11's widths times that factor, at YOLO11n's depths.
PRESETS: dict[str, dict[str, Any]] = {
    "yolo11n": {},
    "yolo11s": _widths(32, 128, 256, 256, 512),
    "yolo11-w1/8": _widths(8, 32, 64, 64, 128),
    "yolo11-w1/16": _widths(8, 16, 32, 32, 64),
}


class Yolo11Space(SearchSpace):
    """Detectors in YOLO11's frame: stem, four stages P2 to P5, SPPF, attention, a PAN neck, an anchor-free head."""

    family = "yolo11"
    open_choices: ClassVar[Mapping[str, Callable[[Any], object]]] = {"image_size": check_edge}

    def __init__(self) -> None:
        super().__init__("yolo11", _choices())

    @staticmethod
    def lower_values(values: Mapping[str, Any], num_classes: int, height: Number, width: Number) -> LayerGraph:
        """The layer graph of one architecture's values, or of columns of many."""
        graph = LayerGraph(Shape(3, height, width), num_classes)

        def block(prefix: str, source: int) -> int:
            width = values[f"{prefix}_width"]
            return graph.add(
                values[f"{prefix}_block"],
                source,
                width,
                structure=("repeats", "c3k"),
                name=f"{prefix}.block",
                repeats=values[f"{prefix}_depth"],
                shortcut=True,
                hidden=own(values, f"{prefix}_hidden", width // (4 if prefix in SHALLOW else 2)),
                c3k=values.get(f"{prefix}_c3k", False),
            )

        def down(prefix: str, source: int, usual: Number) -> int:
            width = own(values, f"{prefix}_down_width", usual)
            return graph.add(values[f"{prefix}_down"], source, width, down=2, name=f"{prefix}.down")

        x = graph.add("Conv", IMAGE, values["stem_width"], down=2, name="stem")
        levels = {}
        for level in LEVELS:
            x = down(level, x, values[f"{level}_width"] // (2 if level in SHALLOW else 1))
            levels[level] = x = block(level, x)
        width = own(values, "p5_pool_width", values["p5_width"])
        activated = values.get("p5_pool_activated", True)
        x = graph.add("SPPF", x, width, structure=("activated",), name="p5.pool", kernel=5, activated=activated)
        levels["p5"] = graph.add(
            "C2PSA",
            x,
            width,
            structure=("repeats",),
            name="attention",
            repeats=values["attention_depth"],
            hidden=own(values, "attention_hidden", width // 2),
        )
        graph.end_backbone()
        add_head(graph, values, add_pan(graph, values, levels, block, down))
        return graph


class PrunedYolo11Space(PrunedSpace, Yolo11Space):
    """The space of pruned networks in YOLO11's frame. What is inside the attention stays as wide as it was."""

    frame = "YOLO11's frame (C3k2, C2f or CSPPC, C2PSA, PAN, one head)"
    rows: ClassVar = {
        "stem": 0,
        **dict(zip((f"{prefix}.block" for prefix in PREFIXES), (2, 4, 6, 8, 13, 16, 19, 22))),
        **dict(zip((f"{prefix}.down" for prefix in DOWNS), (1, 3, 5, 7, 17, 20))),
        "p5.pool": 9,
        "attention": 10,
        "head": 23,
    }
    fixed: ClassVar = {"attention_hidden": ("attention", "hidden")}
    depths: ClassVar = (*PrunedSpace.depths, "attention_depth")
    open_choices: ClassVar = {
        **PrunedSpace.open_choices,
        "attention_hidden": check_count(2, MOST_CHANNELS),
        "attention_depth": PrunedSpace.open_choices["p5_depth"],
    }

    def __init__(self) -> None:
        choices = [*_choices(), *(Choice(name, (0,), default=0) for name in (*self.own_widths, *self.fixed))]
        choices.append(Choice("p5_pool_activated", (True, False), default=True))
        SearchSpace.__init__(self, "yolo11-pruned", choices)

    def axes(self, architecture: Architecture) -> dict[str, tuple[tuple[str, str], ...]]:
        # attention gives as many channels as it reads
        return {**super().axes(architecture), "p5_pool_width": (("p5.pool", "out"), ("attention", "out"))}

    def read(self, network: nn.Module) -> dict[str, Any]:
        values, layers = super().read(network), network.model
        for prefix in PREFIXES:
            inside = [type(each).__name__ for each in layers[self.rows[f"{prefix}.block"]].m]
            values |= {f"{prefix}_c3k": "C3k" in inside} if values[f"{prefix}_block"] == "C3k2" else {}
        attention = layers[self.rows["attention"]]
        return {
            **values,
            "p5_pool_activated": is_activated(layers[self.rows["p5.pool"]]),
            "attention_depth": len(attention.m),
            "attention_hidden": attention.c,
        }


# Plain scalings, as Ultralytics scales: width multiples whose channels are the columns of `WIDTHS`, and the depth multiples whose
# repeats are among `DEPTHS`: of all blocks the same, the attention's among them.
WIDTH_MULTIPLES = ("1/16", "1/8", "3/16", "1/4", "3/8", "1/2")
DEPTH_MULTIPLES = {"1/2": 1, "1": 2}


def _scalings() -> dict[str, dict[str, Any]]:
    """Name -> what it changes of YOLO11n."""
    found = {}
    for width, (p2, p3, p4, p5) in zip(WIDTH_MULTIPLES, zip(*WIDTHS.values())):
        for depth, repeats in DEPTH_MULTIPLES.items():
            deep = {f"{prefix}_depth": repeats for prefix in (*PREFIXES, "attention")}
            found[f"w{width} d{depth}"] = {**_widths(-(-p5 // 128) * 8, p2, p3, p4, p5), **deep}
    return found


class YOLO11(Family):
    """Ultralytics' YOLO11 and what this package puts in its place: anchor-free, with attention at its coarsest level."""

    name = "yolo11"
    presets = PRESETS
    reference = ("yolo11n", 160)
    base = YOLO11N
    scaled = _scalings()

    def make_space(self) -> Yolo11Space:
        return Yolo11Space()

    def spaces(self) -> list[SearchSpace]:
        return [Yolo11Space(), PrunedYolo11Space()]

    def pruned_space(self) -> PrunedSpace:
        return PrunedYolo11Space()

    def values(self, preset: str, changes: Mapping[str, Any]) -> Mapping[str, Any]:
        values = {**YOLO11N, **PRESETS[preset], **changes}
        others = {f"{prefix}_c3k" for prefix in PREFIXES if values[f"{prefix}_block"] != "C3k2"} - changes.keys()
        return {choice: value for choice, value in values.items() if choice not in others}


FAMILY = YOLO11()
