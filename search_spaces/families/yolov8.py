"""YOLOv8's frame: the space over its backbone, neck, head and input size, each choice per stage; its named presets."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from ..architecture import is_of_recipe
from ..errors import InputError
from ..graph import IMAGE, STRIDE, LayerGraph, Number, Shape
from ..space import Architecture, Choice, SearchSpace
from .family import Family

IMAGE_SIZES = (64, 96, 128, 160, 192, 224, 256, 320, 384, 448, 512, 640)  # drawn from, where none are asked for
MOST_CHANNELS, MOST_REPEATS = 4096, 32  # of a pruned network's layers
LARGEST_SEARCHED = 4096  # pixels of an edge
BLOCKS = ("C2f", "C3k2", "CSPPC")
DOWNSAMPLERS = ("Conv", "ADown", "HWD")
DEPTHS = (1, 2, 3)
STEM_WIDTHS = (8, 16, 24, 32)
WIDTHS = {  # channels at each level, from 1/16 of YOLOv8's widths to those of YOLOv8s (1/2)
    "p2": (8, 16, 24, 32, 48, 64),
    "p3": (16, 32, 48, 64, 96, 128),
    "p4": (32, 64, 96, 128, 192, 256),
    "p5": (64, 128, 192, 256, 384, 512),
}
LEVELS = tuple(WIDTHS)
# PAN's four blocks: top-down to P4 and P3, then bottom-up to N4 and N5 (the levels the head reads are P3, N4, N5)
PAN_BLOCKS = {"pan_p4": "p4", "pan_p3": "p3", "pan_n4": "p4", "pan_n5": "p5"}


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


def _widths(stem: int, p2: int, p3: int, p4: int, p5: int) -> dict[str, Any]:
    widths = {"p2": p2, "p3": p3, "p4": p4, "p5": p5}
    return {
        "stem_width": stem,
        **{f"{level}_width": width for level, width in widths.items()},
        **{f"{name}_width": widths[level] for name, level in PAN_BLOCKS.items()},
    }


def _afpn(levels: str, width: int = 128, reduction: int = 8) -> dict[str, Any]:
    return {"neck": "AFPN", "afpn_levels": levels, "afpn_width": width, "afpn_reduction": reduction}


_CSPPC_NECK = {f"{name}_block": "CSPPC" for name in PAN_BLOCKS}
_ADOWN_NECK = {"pan_n4_down": "ADown", "pan_n5_down": "ADown"}

# What each preset changes of YOLOv8n. "yolov8-w*" are YOLOv8's widths times that factor, at YOLOv8n's depths.
PRESETS: dict[str, dict[str, Any]] = {
    "yolov8n": {},
    "yolov8s": _widths(32, 64, 128, 256, 512),
    "yolov8-w1/8": _widths(8, 16, 32, 64, 128),
    "yolov8-w1/16": _widths(8, 8, 16, 32, 64),
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


def _check_edge(pixels: object) -> None:
    if not isinstance(pixels, int) or not 0 < pixels <= LARGEST_SEARCHED or pixels % STRIDE:
        raise InputError(
            f"choice 'image_size' cannot be {pixels!r}; it can be any multiple of {STRIDE} up to {LARGEST_SEARCHED}"
        )


def _check_count(least: int, most: int) -> Callable[[object], None]:
    def check(number: object) -> None:
        if isinstance(number, bool) or not isinstance(number, int) or not least <= number <= most:
            raise InputError(f"a number of channels or bottlenecks cannot be {number!r}; it can be {least} to {most}")

    return check


class YoloSpace(SearchSpace):
    """Detectors in YOLOv8's frame: stem, four stages P2 to P5, SPPF, a PAN or AFPN neck, an anchor-free head."""

    family = "yolov8"
    topology_choices = ("neck", "afpn_levels")  # these decide which layers there are; the rest only what they are
    open_choices: ClassVar = {"image_size": _check_edge}

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
                hidden=_own(values, f"{prefix}_hidden", values[f"{prefix}_width"] // 2),
            )

        def down(prefix: str, source: int, usual: Number) -> int:
            width = _own(values, f"{prefix}_down_width", usual)
            return graph.add(values[f"{prefix}_down"], source, width, down=2, name=f"{prefix}.down")

        x = graph.add("Conv", IMAGE, values["stem_width"], down=2, name="stem")
        levels = {}
        for level in LEVELS:
            x = down(level, x, values[f"{level}_width"])
            levels[level] = x = block(level, x, shortcut=True)
        width = _own(values, "p5_pool_width", values["p5_width"])
        levels["p5"] = graph.add("SPPF", x, width, kernel=5, name="p5.pool")
        graph.end_backbone()

        if values["neck"] == "PAN":
            channels = {level: graph.shape(index).channels for level, index in levels.items()}
            x = graph.add("Upsample", levels["p5"], channels["p5"], up=2, name="pan_p4.up")
            x = graph.add("Concat", (x, levels["p4"]), channels["p5"] + channels["p4"], name="pan_p4.join")
            p4 = block("pan_p4", x, shortcut=False)
            p4_width = values["pan_p4_width"]
            x = graph.add("Upsample", p4, p4_width, up=2, name="pan_p3.up")
            x = graph.add("Concat", (x, levels["p3"]), p4_width + channels["p3"], name="pan_p3.join")
            p3 = block("pan_p3", x, shortcut=False)
            x = down("pan_n4", p3, values["pan_p3_width"])
            x = graph.add("Concat", (x, p4), graph.shape(x).channels + p4_width, name="pan_n4.join")
            n4 = block("pan_n4", x, shortcut=False)
            x = down("pan_n5", n4, values["pan_n4_width"])
            x = graph.add("Concat", (x, levels["p5"]), graph.shape(x).channels + channels["p5"], name="pan_n5.join")
            n5 = block("pan_n5", x, shortcut=False)
            module, neck = "Detect", {}
            sources: tuple[int, ...] = (p3, n4, n5)
        else:
            sources = tuple(levels[level] for level in LEVELS[1 if values["afpn_levels"] == "P3-P5" else 0 :])
            neck = {name: values[f"afpn_{name}"] for name in ("width", "reduction", "depth")}
            module = "AFPNDetect"

        # Ultralytics' rule for the widths inside the head, from the channels of the finest level
        finest, reg_max = graph.shape(sources[0]).channels, values["head_reg_max"]
        graph.add_head(
            module,
            sources,
            structure=("reg_max", "class_branch", "depth") if neck else ("reg_max", "class_branch"),
            reg_max=reg_max,
            class_branch=values["head_class_branch"],
            box_width=_own(values, "head_box_width", _largest(16, finest // 4, 4 * reg_max)),
            class_width=_own(values, "head_class_width", _largest(finest, min(num_classes, 100))),
            **neck,
        )
        return graph


def _own(values: Mapping[str, Any], name: str, usual: Number) -> Number:
    """A width of its own, which only pruned networks have; where there is none, or 0, it is the usual one."""
    own = values.get(name, 0)
    return np.where(own == 0, usual, own) if isinstance(own, np.ndarray) else own or usual


class PrunedYoloSpace(YoloSpace):
    """What is left of networks of the YOLO space when channels are taken out of them: each width is any number, and many more are a
    choice, 0 being what the YOLO space makes of the others; of bottlenecks a block may have none. It is not there to be drawn from, but so that a pruned network is an
    architecture like any other: its costs are exact, its latency predicted, its model file read back."""

    # name -> what the YOLO space gives in its place
    own_widths: ClassVar = (
        *(f"{prefix}_hidden" for prefix in (*LEVELS, *PAN_BLOCKS)),  # of a block, whose half of the width it is
        *(
            f"{prefix}_down_width" for prefix in (*LEVELS, "pan_n4", "pan_n5")
        ),  # of a downsampler, that of what follows or it reads
        "p5_pool_width",
        "head_box_width",
        "head_class_width",
    )
    widths: ClassVar = ("stem_width", *(f"{prefix}_width" for prefix in (*LEVELS, *PAN_BLOCKS)), *own_widths)
    depths: ClassVar = tuple(f"{prefix}_depth" for prefix in (*LEVELS, *PAN_BLOCKS))
    open_choices: ClassVar = {
        "image_size": _check_edge,
        **dict.fromkeys(widths, _check_count(1, MOST_CHANNELS)),
        **dict.fromkeys(depths, _check_count(0, MOST_REPEATS)),
    }

    def __init__(self) -> None:
        choices = _choices()
        of_pan = {choice.name for choice in choices if choice.when.get("neck") == ("PAN",)}
        for name in self.own_widths:
            when = {"neck": ("PAN",)} if f"{name.rpartition('_')[0].removesuffix('_down')}_block" in of_pan else None
            choices.append(Choice(name, (0,), when, default=0))
        SearchSpace.__init__(self, "yolo-pruned", choices)

    def of(self, values: Mapping[str, Any]) -> Architecture:
        """The architecture with these values, whatever numbers the widths are. Raises InputError where there can be none."""
        return self.holding({name: [values[name]] for name in self.open_choices if name in values}).architecture(
            **values
        )


def _largest(*numbers: Number) -> Number:
    """The largest, entry by entry: an integer for integers, an array where one of them is."""
    result = functools.reduce(np.maximum, numbers)
    return result if isinstance(result, np.ndarray) else int(result)


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
                **_widths(-(-p5 // 128) * 8, p2, p3, p4, p5),
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

    def make_space(self) -> YoloSpace:
        return YoloSpace()

    def spaces(self) -> list[SearchSpace]:
        return [YoloSpace(), PrunedYoloSpace()]

    def values(self, preset: str, changes: Mapping[str, Any]) -> Mapping[str, Any]:
        values = {**YOLOV8N, **PRESETS[preset], **changes}
        if values["neck"] == "AFPN":
            return {choice: value for choice, value in values.items() if not choice.startswith("pan_")}
        return values

    def scalings(self, space: SearchSpace) -> list[Architecture]:
        if "image_size" not in space:
            return []
        recipe = {choice.name: choice.values[0] for choice in space.choices if is_of_recipe(choice.name)}
        found = []
        for image_size in space["image_size"].values:
            for values in SCALINGS.values():
                with contextlib.suppress(InputError):  # the space lacks a value, or is another
                    found.append(space.architecture(**{**YOLOV8N, **values, "image_size": image_size, **recipe}))
        return found

    def scaling_name(self, architecture: Architecture) -> str | None:
        values = {name: value for name, value in architecture.items() if not is_of_recipe(name)}
        image_size = values.get("image_size")
        for name, scaled in SCALINGS.items():
            if values == {**YOLOV8N, **scaled, "image_size": image_size}:
                return f"{self.name} {name} at {image_size}"
        return None


FAMILY = YOLOv8()
