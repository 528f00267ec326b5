"""What every block says of itself: how it is built, traced, written, fused and narrowed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from ..graph import Layer
from ..tape import Tape, Tensor
from .axes import Axes

if TYPE_CHECKING:
    from torch import nn


class Block:
    """One kind of layer; each file of this package holds one in `BLOCK`, and that file is all that a block needs.

    Attributes:
        name: of the block in layer graphs, choices and model files.
        module: the class of the network's module.
        is_repeated: in model files, the second of the arguments is the `repeats` column.
        is_head: reads several levels and ends the network.
    """

    name: ClassVar[str]
    module: ClassVar[type[nn.Module]]
    is_repeated: ClassVar[bool] = False
    is_head: ClassVar[bool] = False

    @property
    def ships_with_ultralytics(self) -> bool:
        """Whether a checkpoint with this block loads where this package is not installed."""
        return self.module.__module__.partition(".")[0] in ("ultralytics", "torch")

    def is_ultralytics(self, layer: Layer) -> bool:
        """Whether Ultralytics makes the layer from its row, so that a network of such layers needs nothing of this package."""
        return self.ships_with_ultralytics

    def arguments(self, arguments: Mapping[str, Any]) -> tuple[Any, ...]:
        """What the module's constructor takes after the input channels, in the order of Ultralytics' model files.

        Args:
            arguments: those of the layer.
        """
        return (arguments["channels"],)

    def build(self, layer: Layer) -> nn.Module:
        """The module of one layer (of one architecture), with fresh weights."""
        return self.module(layer.in_shapes[0].channels, *self.arguments(layer.arguments))

    def row(self, layer: Layer) -> list[Any]:
        """[repeats, module, arguments] of the layer in Ultralytics' model files."""
        rest = list(self.arguments(layer.arguments))
        repeats = rest.pop(1) if self.is_repeated else 1
        return [repeats, self.name, rest]

    def trace(self, tape: Tape, *inputs: Tensor, **arguments: Any) -> Tensor | Sequence[Tensor]:
        """Put the operators of the module's forward pass on the tape, step for step; returns what the layer gives.

        Args:
            inputs: the feature maps that the layer reads.
            arguments: of the layer; numbers, or arrays with one entry per architecture.
        """
        raise NotImplementedError

    def fuse(self, module: nn.Module) -> None:
        """Bring a built module into the form in which normalisation folds into its convolutions, in place."""

    def axes(self, layer: Layer) -> Axes:
        """Which entries of which parameters belong to a channel: `in0`, `in1` ... for the inputs, `out` for the output.

        Axes beside those are inside the block. Pruning and weight sharing read this and nothing else of a block.
        """
        return Axes()
