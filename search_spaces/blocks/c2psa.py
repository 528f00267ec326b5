"""C2PSA: YOLO11's block of attention, over all places of its coarsest level.

Source: partial self-attention, A. Wang et al., "YOLOv10: Real-time end-to-end object detection", arXiv 2405.14458, in C2f's frame.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from ultralytics.nn.modules.block import C2PSA

from ..errors import InputError
from ..graph import Layer, Number, Shape
from ..tape import Tape, Tensor
from .axes import Axes
from .cross_stage import CrossStage

PER_HEAD = 64  # hidden channels, of which there is a head each


def heads(hidden: Number) -> tuple[Number, Number, Number]:
    """(heads, channels of a head, of its queries and of its keys) of so many hidden channels, as Ultralytics takes them.

    Raises:
        InputError: the heads would not have the same number of channels.
    """
    count = np.maximum(hidden // PER_HEAD, 1)
    count = count if isinstance(hidden, np.ndarray) else int(count)
    if np.any(hidden % count):
        raise InputError(f"attention of {hidden} channels: must be the same number for each of {count} heads")
    return count, hidden // count, hidden // count // 2


class C2PSABlock(CrossStage):
    """Split, attention and a feed-forward network on the second half, both halves joined. Shape in and out: (B, C, H, W).

    What is inside never becomes narrower: the number of heads is a matter of the hidden channels, and the scale of the attention one
    of those of a head, so that channels which do nothing could not go without changing what the others do. The channels in and out
    may, each for themselves, and stay as many of the one as of the other.
    """

    name = "C2PSA"
    module = C2PSA

    def arguments(self, arguments: Mapping[str, Any]) -> tuple[Any, ...]:
        usual = arguments["channels"], arguments["repeats"]
        return usual if self.share(arguments) == 0.5 else (*usual, self.share(arguments))

    def trace(self, tape: Tape, *inputs: Tensor, **arguments: Any) -> Tensor:
        hidden = self.hidden(arguments)
        split = tape.conv(inputs[0], 2 * hidden)
        first, x = tape.view(split, hidden), tape.view(split, hidden)
        for _ in range(arguments["repeats"]):
            x = tape.elementwise("add", x, self._attention(tape, x, hidden))
            x = tape.elementwise("add", x, tape.conv(tape.conv(x, 2 * hidden), hidden, activation=None))
        return tape.conv(tape.concat([first, x]), arguments["channels"])

    @staticmethod
    def _attention(tape: Tape, x: Tensor, hidden: Number) -> Tensor:
        """Every place reads the values of all places, by how its queries fit their keys; the scale of the fit is folded away."""
        count, _, keys = heads(hidden)
        _, height, width = x.shape
        places = height * width
        made = tape.conv(x, hidden + 2 * count * keys, activation=None)
        queries = Tensor(Shape(keys, 1, count * places), view_of=made)
        fits = tape.elementwise("softmax", tape.product(queries, made, places))
        read = tape.product(Tensor(Shape(places, 1, hidden), view_of=made), fits, places)
        values = Tensor(Shape(hidden, height, width), view_of=made)
        position = tape.conv(values, hidden, 3, groups=hidden, activation=None)
        read = Tensor(Shape(hidden, height, width), view_of=read)
        return tape.conv(tape.elementwise("add", read, position), hidden, activation=None)

    def axes(self, layer: Layer) -> Axes:
        hidden = self.hidden(layer.arguments)
        axes = Axes()
        axes.add("in0", layer.in_shapes[0].channels)
        axes.add("out", layer.arguments["channels"])
        axes.add("passed", hidden)
        axes.add("hidden", hidden)  # shortcuts add them up
        axes.unit_reads("cv1", "in0")
        for half, name in enumerate(("passed", "hidden")):
            axes.unit_writes("cv1", name, start=half * hidden)
            axes.unit_reads("cv2", name, start=half * hidden)
        axes.unit_writes("cv2", "out")
        for i in range(layer.arguments["repeats"]):
            self._attention_axes(axes, f"m.{i}", hidden)
        return axes

    @staticmethod
    def _attention_axes(axes: Axes, path: str, hidden: int) -> None:
        count, channels, keys = heads(hidden)
        made, values, fits = f"{path}.attn.qkv", f"{path}.values", f"{path}.keys"
        axes.add(values, *[channels] * count)
        axes.add(fits, *[keys] * count)  # a key's channel is multiplied with the same one of the query
        axes.unit_reads(made, "hidden")
        for head in range(count):
            start = head * (2 * keys + channels)
            for each in range(2):
                axes.unit_writes(made, fits, start=start + each * keys, first=head * keys, count=keys)
            axes.unit_writes(made, values, start=start + 2 * keys, first=head * channels, count=channels)
        axes.unit_writes(f"{path}.attn.pe", values)
        axes.unit(f"{path}.attn.proj", values, "hidden")
        axes.add(f"{path}.inner", 2 * hidden)
        axes.unit(f"{path}.ffn.0", "hidden", f"{path}.inner")
        axes.unit(f"{path}.ffn.1", f"{path}.inner", "hidden")


BLOCK = C2PSABlock()
