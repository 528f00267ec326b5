"""YOLOv8's frame: the space over its backbone, neck, head and input size, each choice per stage; its named presets."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
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
from .pruned import DOWNS, PrunedSpace, is_activated

if TYPE_CHECKING:
    from torch import nn

BLOCKS = ("C2f", "C3k2", "CSPPC")
WIDTHS = {  # channels at each level, from 1/16 of YOLOv8's widths to those of YOLOv8s (1/2)
    "p2": (8, 16, 24, 32, 48, 64),
    "p3": (16, 32, 48, 64, 96, 128),
    "p4": (32, 64, 96, 128, 192, 256),
    "p5": (64, 128, 192, 256, 384, 512),
}


def _choices() -> list[Choice]:
    choices = [Choice("image_size", IMAGE_SIZES), Choice("stem_width", STEM_WIDTHS)]
    for level in LEVELS:
        choices += [
            Choice(f"{level}_down", DOWNSAMPLERS),
            Choice(f"{level}_block", BLOCKS),
            Choice(f"{level}_depth", DEPTHS),
            Choice(f"{level}_width", WIDTHS[level]),
        ]
    pan, afpn = {"neck": ("PAN",)}, {"neck": ("AFPN",)}
    choices.append(Choice("neck", ("PAN", "AFPN")))
    for name, level in PAN_BLOCKS.items():
        if name in ("pan_n4", "pan_n5"):
            choices.append(Choice(f"{name}_down", DOWNSAMPLERS, when=pan))
        choices += [
            Choice(f"{name}_block", BLOCKS, when=pan),
            Choice(f"{name}_depth", DEPTHS, when=pan),
            Choice(f"{name}_width", WIDTHS[level], when=pan),
        ]
    choices += [
        Choice("afpn_levels", ("P3-P5", "P2-P5"), when=afpn),
        Choice("afpn_width", (32, 64, 96, 128), when=afpn),
        Choice("afpn_reduction", (1, 2, 4, 8), when=afpn),
        Choice("afpn_depth", (1, 2, 4), when=afpn, default=4),
        Choice("head_class_branch", ("full", "depthwise")),
        Choice("head_reg_max", (1, 16)),
    ]
    return choices


YOLOV8N = {
    "image_size": 640,
    "stem_width": 16,
    **{f"{level}_down": "Conv" for level in LEVELS},
    **{f"{level}_block": "C2f" for level in LEVELS},
    **dict(zip((f"{level}_depth" for level in LEVELS), (1, 2, 2, 1))),
    **dict(zip((f"{level}_width" for level in LEVELS), (32, 64, 128, 256))),
    "neck": "PAN",
    **{f"{name}_block": "C2f" for name in PAN_BLOCKS},
    **{f"{name}_depth": 1 for name in PAN_BLOCKS},
    **dict(zip((f"{name}_width" for name in PAN_BLOCKS), (128, 64, 128, 256))),
    "pan_n4_down": "Conv",
    "pan_n5_down": "Conv",
    "head_class_branch": "full",
    "head_reg_max": 16,
}


def _backbone(part: str, value: Any, levels: Sequence[str] = LEVELS) -> dict[str, Any]:
    return {f"{level}_{part}": value for level in levels}


def _afpn(levels: str, width: int = 128, reduction: int = 8) -> dict[str, Any]:
    return {"neck": "AFPN", "afpn_levels": levels, "afpn_width": width, "afpn_reduction": reduction}


_CSPPC_NECK = {f"{name}_block": "CSPPC" for name in PAN_BLOCKS}
_ADOWN_NECK = {"pan_n4_down": "ADown", "pan_n5_down": "ADown"}

# What each preset changes of YOLOv8n. "yolov8-w*" are YOLOv8's widths times that factor, at YOLOv8n's depths.
PRESETS: dict[str, dict[str, Any]] = {
    "yolov8n": {},
    "yolov8s": widths_of(32, 64, 128, 256, 512),
    "yolov8-w1/8": widths_of(8, 16, 32, 64, 128),
    "yolov8-w1/16": widths_of(8, 8, 16, 32, 64),
    "csppc-backbone": _backbone("block", "CSPPC"),
    "csppc-neck": _CSPPC_NECK,
    "csppc": {**_backbone("block", "CSPPC"), **_CSPPC_NECK},
    "adown-p3-p5": _backbone("down", "ADown", LEVELS[1:]),
    "adown-backbone": _backbone("down", "ADown"),
    "adown": {**_backbone("down", "ADown"), **_ADOWN_NECK},
    "hwd-backbone": _backbone("down", "HWD"),
    "csppc-adown": {**_backbone("block", "CSPPC"), **_CSPPC_NECK, **_backbone("down", "ADown"), **_ADOWN_NECK},
    "afpn-p2-p5": _afpn("P2-P5"),
    "afpn-p2-p5-w64": _afpn("P2-P5", 64),
    "afpn-p3-p5": _afpn("P3-P5"),
    "csppc-adown-afpn": {**_backbone("block", "CSPPC"), **_backbone("down", "ADown"), **_afpn("P3-P5")},
    "light-recipe": {**_backbone("block", "CSPPC"), **_backbone("down", "HWD"), **_afpn("P2-P5")},
    "light-recipe-adown": {**_backbone("block", "CSPPC"), **_backbone("down", "ADown"), **_afpn("P2-P5")},
}


class YoloSpace(SearchSpace):
    """Detectors in YOLOv8's frame: stem, four stages P2 to P5, SPPF, a PAN or AFPN neck, an anchor-free head."""

    family = "yolov8"
    topology_choices = ("neck", "afpn_levels")  # these decide which layers there are; the rest only what they are
    open_choices: ClassVar[Mapping[str, Callable[[Any], object]]] = {"image_size": check_edge}

    def __init__(self) -> None:
        super().__init__("yolo", _choices())

    @property
    def presets(self) -> list[str]:
        """Names that `preset` takes."""
        return list(PRESETS)

    def preset(self, name: str, **changes: Any) -> Architecture:
        """A named architecture, with `changes` to its values (``preset("yolov8n", image_size=320)``).

        Raises:
            InputError: an unknown name, or (in a restricted space) an architecture that the space does not hold.
        """
        return FAMILY.preset(name, self, **changes)

    @staticmethod
    def lower_values(values: Mapping[str, Any], num_classes: int, height: Number, width: Number) -> LayerGraph:
        """The layer graph of one architecture's values, or of columns of many that share their topology."""
        graph = LayerGraph(Shape(3, height, width), num_classes)

        def block(prefix: str, source: int, shortcut: bool) -> int:
            return graph.add(
                values[f"{prefix}_block"],
                source,
                values[f"{prefix}_width"],
                structure=("repeats",),
                name=f"{prefix}.block",
                repeats=values[f"{prefix}_depth"],
                shortcut=shortcut,
                hidden=own(values, f"{prefix}_hidden", values[f"{prefix}_width"] // 2),
            )

        def down(prefix: str, source: int, usual: Number) -> int:
            width = own(values, f"{prefix}_down_width", usual)
            return graph.add(values[f"{prefix}_down"], source, width, down=2, name=f"{prefix}.down")

        x = graph.add("Conv", IMAGE, values["stem_width"], down=2, name="stem")
        levels = {}
        for level in LEVELS:
            x = down(level, x, values[f"{level}_width"])
            levels[level] = x = block(level, x, shortcut=True)
        width = own(values, "p5_pool_width", values["p5_width"])
        pooling = {"kernel": 5}
        if "p5_pool_activated" in values:  # of pruned networks
            pooling["activated"] = values["p5_pool_activated"]
        levels["p5"] = graph.add("SPPF", x, width, structure=tuple(pooling)[1:], name="p5.pool", **pooling)
        graph.end_backbone()

        if values["neck"] == "PAN":
            sources: tuple[int, ...] = add_pan(graph, values, levels, functools.partial(block, shortcut=False), down)
            module, neck = "Detect", {}
        else:
            sources = tuple(levels[level] for level in LEVELS[1 if values["afpn_levels"] == "P3-P5" else 0 :])
            neck = {name: values[f"afpn_{name}"] for name in ("width", "reduction", "depth")}
            module = "AFPNDetect"

        add_head(graph, values, sources, module, **neck)
        return graph


class PrunedYoloSpace(PrunedSpace, YoloSpace):
    """The space of pruned networks in YOLOv8's frame. Whether its pooling is activated is a matter of who built the network."""

    frame = "YOLOv8's frame (C2f, C3k2 or CSPPC, PAN or AFPN, one head)"
    rows: ClassVar = {
        "stem": 0,
        **dict(zip((f"{prefix}.block" for prefix in PREFIXES), (2, 4, 6, 8, 12, 15, 18, 21))),
        **dict(zip((f"{prefix}.down" for prefix in DOWNS), (1, 3, 5, 7, 16, 19))),
        "p5.pool": 9,
        "head": 22,
    }

    def __init__(self) -> None:
        choices = _choices()
        of_pan = {choice.name for choice in choices if choice.when.get("neck") == ("PAN",)}
        for name in self.own_widths:
            when = {"neck": ("PAN",)} if f"{name.rpartition('_')[0].removesuffix('_down')}_block" in of_pan else None
            choices.append(Choice(name, (0,), when, default=0))
        choices.append(Choice("p5_pool_activated", (False, True), default=False))
        SearchSpace.__init__(self, "yolo-pruned", choices)

    def read(self, network: nn.Module) -> dict[str, Any]:
        layers: Any = network.model
        return {
            **YOLOV8N,
            **super().read(network),
            "p5_pool_activated": is_activated(layers[self.rows["p5.pool"]]),
        }


# Plain scalings, as Ultralytics scales: width multiples whose channels are the columns of `WIDTHS` (the stem's 64 channels times
# the multiple, rounded up to a multiple of 8), and the depth multiples whose repeats are among `DEPTHS`.
WIDTH_MULTIPLES = ("1/16", "1/8", "3/16", "1/4", "3/8", "1/2")
DEPTH_MULTIPLES = {"1/6": (1, 1, 1, 1), "1/3": (1, 2, 2, 1), "1/2": (2, 3, 3, 2)}


def _scalings() -> dict[str, dict[str, Any]]:
    """Name -> what it changes of YOLOv8n."""
    found = {}
    for width, (p2, p3, p4, p5) in zip(WIDTH_MULTIPLES, zip(*WIDTHS.values())):
        for depth, repeats in DEPTH_MULTIPLES.items():
            found[f"w{width} d{depth}"] = {
                **widths_of(-(-p5 // 128) * 8, p2, p3, p4, p5),
                **{f"{level}_depth": count for level, count in zip(LEVELS, repeats)},
                **{f"{name}_depth": repeats[-1] for name in PAN_BLOCKS},
            }
    return found


SCALINGS = _scalings()


class YOLOv8(Family):
    """Ultralytics' YOLOv8 and what this package puts in its place: anchor-free, without objectness."""

    name = "yolov8"
    presets = PRESETS
    reference = ("yolov8n", 160)
    base = YOLOV8N
    scaled = SCALINGS

    def make_space(self) -> YoloSpace:
        return YoloSpace()

    def spaces(self) -> list[SearchSpace]:
        return [YoloSpace(), PrunedYoloSpace()]

    def pruned_space(self) -> PrunedSpace:
        return PrunedYoloSpace()

    def values(self, preset: str, changes: Mapping[str, Any]) -> Mapping[str, Any]:
        values = {**YOLOV8N, **PRESETS[preset], **changes}
        if values["neck"] == "AFPN":
            return {choice: value for choice, value in values.items() if not choice.startswith("pan_")}
        return values


FAMILY = YOLOv8()
