"""The frame of C2f and its relatives: split, a chain of bottlenecks on the second half, everything concatenated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..graph import Layer, Number
from ..tape import Tape, Tensor
from .axes import Axes
from .base import Block

if TYPE_CHECKING:
    from torch import nn


class CrossStage(Block):
    """A block of C2f's frame; a subclass says what its bottlenecks are. Shapes: (B, c1, H, W) -> (B, c2, H, W)."""

    is_repeated = True

    def arguments(self, arguments: Mapping[str, Any]) -> tuple[Any, ...]:
        usual = arguments["channels"], arguments["repeats"], arguments["shortcut"]
        return usual if self.share(arguments) == 0.5 else (*usual, 1, self.share(arguments))

    @staticmethod
    def hidden(arguments: Mapping[str, Any]) -> Number:
        """Channels of each half of the split, which are half of the block's where a graph does not say it."""
        return arguments.get("hidden", arguments["channels"] // 2)

    @classmethod
    def share(cls, arguments: Mapping[str, Any]) -> float:
        """The hidden channels as Ultralytics takes them, a share of the block's that it rounds down."""
        hidden, channels = cls.hidden(arguments), arguments["channels"]
        return 0.5 if hidden == channels // 2 else (hidden + 0.25) / channels

    def bottleneck(self, tape: Tape, x: Tensor, hidden: Number, arguments: Mapping[str, Any]) -> Tensor:
        """Trace one bottleneck of `hidden` channels in and out, of a layer of these arguments."""
        raise NotImplementedError

    def bottleneck_axes(self, axes: Axes, path: str, hidden: int, arguments: Mapping[str, Any]) -> None:
        """Add the places of one bottleneck, whose inputs and outputs are the axis `hidden`."""
        raise NotImplementedError

    def passes_on(self, bottleneck: nn.Module) -> bool:
        """Whether a built bottleneck gives what it reads, and more."""
        return getattr(bottleneck, "add", True)

    def segments(self, hidden: int) -> tuple[int, ...]:
        """The segments of the axis `hidden`."""
        return (hidden,)

    def trace(self, tape: Tape, *inputs: Tensor, **arguments: Any) -> Tensor:
        hidden = self.hidden(arguments)
        split = tape.conv(inputs[0], 2 * hidden)
        parts = [tape.view(split, hidden), tape.view(split, hidden)]
        for _ in range(arguments["repeats"]):
            parts.append(self.bottleneck(tape, parts[-1], hidden, arguments))
        return tape.conv(tape.concat(parts), arguments["channels"])

    def axes(self, layer: Layer) -> Axes:
        hidden, repeats = self.hidden(layer.arguments), layer.arguments["repeats"]
        axes = Axes()
        axes.add("in0", layer.in_shapes[0].channels)
        axes.add("out", layer.arguments["channels"])
        # both halves of the split and every bottleneck have the same channels: shortcuts add them up
        axes.add("hidden", *self.segments(hidden))
        axes.unit_reads("cv1", "in0")
        for half in range(2):
            axes.unit_writes("cv1", "hidden", start=half * hidden)
        for i in range(repeats):
            self.bottleneck_axes(axes, f"m.{i}", hidden, layer.arguments)
        for part in range(2 + repeats):
            axes.unit_reads("cv2", "hidden", start=part * hidden)
        axes.unit_writes("cv2", "out")
        return axes
