"""What is left of a family's networks when channels are taken out of them, as a space: its widths, and how a stranger's network is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from ..architecture import Architecture
from ..errors import InputError
from ..space import SearchSpace
from .frame import LEVELS, PAN_BLOCKS, check_edge

if TYPE_CHECKING:
    from torch import nn

MOST_CHANNELS, MOST_REPEATS = 4096, 32  # of a pruned network's layers
BLOCKS = (*LEVELS, *PAN_BLOCKS)  # prefixes of the choices of blocks with bottlenecks
DOWNS = (*LEVELS, "pan_n4", "pan_n5")  # of downsamplers
OWN_WIDTHS = (  # name -> what the whole space gives in its place
    *(f"{prefix}_hidden" for prefix in BLOCKS),  # of a block, whose share of the width it is
    *(f"{prefix}_down_width" for prefix in DOWNS),  # of a downsampler, that of what follows or it reads
    "p5_pool_width",
    "head_box_width",
    "head_class_width",
)
WIDTHS = ("stem_width", *(f"{prefix}_width" for prefix in BLOCKS), *OWN_WIDTHS)


def check_count(least: int, most: int) -> Callable[[object], None]:
    """What raises InputError unless it is given a whole number from `least` to `most`."""

    def check(number: object) -> None:
        if isinstance(number, bool) or not isinstance(number, int) or not least <= number <= most:
            raise InputError(f"a number of channels or bottlenecks cannot be {number!r}; it can be {least} to {most}")

    return check


class PrunedSpace(SearchSpace):
    """A family's space where each width is any number, and many more are a choice, 0 being what the whole space makes of the others;
    of bottlenecks a block may have none. It is not there to be drawn from, but so that a pruned network is an architecture like any
    other: its costs are exact, its latency predicted, its model file read back.

    Attributes:
        frame: what messages call the networks that it knows.
        rows: layer -> where Ultralytics' own model file has it, of those that are read.
        fixed: width -> (layer, argument) that it is, of those that are said and never become narrower.
    """

    own_widths: ClassVar[tuple[str, ...]] = OWN_WIDTHS
    widths: ClassVar[tuple[str, ...]] = WIDTHS
    depths: ClassVar[tuple[str, ...]] = tuple(f"{prefix}_depth" for prefix in BLOCKS)
    open_choices: ClassVar[Mapping[str, Callable[[Any], object]]] = {
        "image_size": check_edge,
        **dict.fromkeys(WIDTHS, check_count(1, MOST_CHANNELS)),
        **dict.fromkeys(depths, check_count(0, MOST_REPEATS)),
    }
    frame: ClassVar[str]
    rows: ClassVar[Mapping[str, int]]
    fixed: ClassVar[Mapping[str, tuple[str, str]]] = {}

    def of(self, values: Mapping[str, Any]) -> Architecture:
        """The architecture with these values, whatever numbers the widths are. Raises InputError where there can be none."""
        return self.holding({name: [values[name]] for name in self.open_choices if name in values}).architecture(
            **values
        )

    def axes(self, architecture: Architecture) -> dict[str, tuple[tuple[str, str], ...]]:
        """Width -> the (layer, axis) pairs that have as many channels, of the widths that may become narrower."""
        found: dict[str, tuple[tuple[str, str], ...]] = {
            "stem_width": (("stem", "out"),),
            "p5_pool_width": (("p5.pool", "out"),),
        }
        for prefix in BLOCKS:
            found[f"{prefix}_width"] = ((f"{prefix}.block", "out"),)
            found[f"{prefix}_hidden"] = ((f"{prefix}.block", "hidden"),)
        for prefix in DOWNS:
            found[f"{prefix}_down_width"] = ((f"{prefix}.down", "out"),)
        levels = range(3 if architecture.get("afpn_levels") != "P2-P5" else 4)
        for width, branch in (("head_box_width", "cv2"), ("head_class_width", "cv3")):
            found[width] = tuple(("head", f"{branch}.{level}.{step}") for level in levels for step in range(2))
        return {name: pairs for name, pairs in found.items() if name in architecture}

    def read(self, network: nn.Module) -> dict[str, Any]:
        """The values, but for the image size, of a network that Ultralytics built from its own model file, whatever its scale.

        Raises:
            AttributeError, IndexError, KeyError, TypeError: one that is built otherwise.
        """
        layers: Any = network.model
        at = {name: layers[row] for name, row in self.rows.items()}
        values: dict[str, Any] = {"stem_width": at["stem"].conv.out_channels}
        for name in BLOCKS:
            module = at[f"{name}.block"]
            values |= {f"{name}_block": type(module).__name__, f"{name}_width": module.cv2.conv.out_channels}
            values |= {f"{name}_depth": len(module.m), f"{name}_hidden": module.c}
        for name in DOWNS:
            module = at[f"{name}.down"]
            values |= {f"{name}_down": type(module).__name__, f"{name}_down_width": module.conv.out_channels}
        head, pool = at["head"], at["p5.pool"]
        steps = list(head.cv3[0][0].children())
        is_depthwise = not hasattr(head.cv3[0][0], "conv")
        return {
            **values,
            "p5_pool_width": pool.cv2.conv.out_channels,
            "head_reg_max": head.reg_max,
            "head_class_branch": "depthwise" if is_depthwise else "full",
            "head_box_width": head.cv2[0][0].conv.out_channels,
            "head_class_width": (steps[-1] if is_depthwise else head.cv3[0][0]).conv.out_channels,
        }


def is_activated(pool: Any) -> bool:
    """Whether the first convolution of an SPPF has an activation. Raises KeyError where it has another one than SiLU."""
    return {"SiLU": True, "Identity": False}[type(pool.cv1.act).__name__]
