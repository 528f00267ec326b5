"""A model family: a frame that detectors are built in, and all that must be known of it."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from ..architecture import is_of_recipe
from ..errors import InputError, one_of
from ..graph import LayerGraph
from ..space import Architecture, SearchSpace

if TYPE_CHECKING:
    import torch
    from torch import nn

    from .pruned import PrunedSpace


class Family:
    """One frame; each file of this package holds one in `FAMILY`. Its trainer is in `evaluators/training`, by its name.

    Networks of every family take images (B, 3, height, width), RGB from 0 to 1, and give in evaluation mode what
    `predictions` turns into boxes and class scores: an objectness, where a head has one, is part of the scores.

    Attributes:
        name: of the family.
        presets: name -> values of choices, or what they change of a base.
        reference: the preset, and its image size in pixels, that latencies are compared with.
        base: the values, but for the image size, that plain scalings are changes of.
        scaled: name of a plain scaling -> what it changes of the base.
    """

    name: ClassVar[str]
    presets: ClassVar[Mapping[str, Mapping[str, Any]]]
    reference: ClassVar[tuple[str, int]]
    base: ClassVar[Mapping[str, Any]] = {}
    scaled: ClassVar[Mapping[str, Mapping[str, Any]]] = {}

    def make_space(self) -> SearchSpace:
        """The family's whole space."""
        raise NotImplementedError

    def spaces(self) -> list[SearchSpace]:
        """The spaces whose architectures are of the family: the whole one first, then those that are searched by nobody."""
        return [self.make_space()]

    def pruned_space(self) -> PrunedSpace | None:
        """The space of what pruning leaves of the family's networks, one of `spaces`; None where none can be pruned."""
        return None

    def values(self, preset: str, changes: Mapping[str, Any]) -> Mapping[str, Any]:
        """Values of the choices of a preset with some `changes`."""
        return {**self.presets[preset], **changes}

    def preset(self, name: str, space: SearchSpace | None = None, **changes: Any) -> Architecture:
        """A named architecture, with `changes` to its values, of `space` or of the whole one.

        Raises:
            InputError: an unknown name, or an architecture that the space does not hold.
        """
        if name not in self.presets:
            raise InputError(f"no preset {name!r}; there are {one_of(self.presets)}")
        try:
            return (space or self.make_space()).architecture(**self.values(name, changes))
        except InputError as error:
            raise InputError(f"preset {name!r}: {error}") from None

    def scalings(self, space: SearchSpace) -> list[Architecture]:
        """The plain scalings: the family as it is, at other widths, depths and image sizes, which is what one would try by hand.

        Those that `space` holds, of choices of a recipe the first values; none in a space that is not the family's own.
        """
        if "image_size" not in space:
            return []
        recipe = {choice.name: choice.values[0] for choice in space.choices if is_of_recipe(choice.name)}
        found = []
        for image_size in space["image_size"].values:
            for values in self.scaled.values():
                with contextlib.suppress(InputError):  # the space lacks a value, or is another
                    found.append(space.architecture(**{**self.base, **values, "image_size": image_size, **recipe}))
        return found

    def scaling_name(self, architecture: Architecture) -> str | None:
        """What a plain scaling is called; None of an architecture that is none."""
        values = {name: value for name, value in architecture.items() if not is_of_recipe(name)}
        image_size = values.get("image_size")
        for name, scaled in self.scaled.items():
            if values == {**self.base, **scaled, "image_size": image_size}:
                return f"{self.name} {name} at {image_size}"
        return None

    def reference_architecture(self) -> Architecture:
        """The architecture that latencies are compared with."""
        name, image_size = self.reference
        return self.preset(name, image_size=image_size)

    def build(self, graph: LayerGraph, content: Mapping[str, Any]) -> nn.Module:
        """The network of a graph with fresh weights.

        Args:
            content: of its model file.
        """
        from ..build import assemble

        return assemble(graph, content)

    def is_network(self, model: object) -> bool:
        """Whether what a checkpoint holds is a network of this family."""
        from ultralytics.nn.tasks import DetectionModel

        return isinstance(model, DetectionModel)

    def predictions(self, output: torch.Tensor | Sequence[torch.Tensor]) -> torch.Tensor:
        """(B, 4 + classes, anchors) of a network's output: boxes as centre and size in pixels, then class scores."""
        return output[0] if isinstance(output, (tuple, list)) else output
