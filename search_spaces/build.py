"""From a layer graph to an Ultralytics DetectionModel."""

from __future__ import annotations

import math
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import torch
from torch import nn
from ultralytics.nn.tasks import DetectionModel
from ultralytics.utils.torch_utils import initialize_weights

from .blocks import block, blocks
from .graph import Layer, LayerGraph

OBJECTS = 5  # that an image is expected to hold before anything is learnt, as Ultralytics has it
MOST_PROBABLE = 0.5  # at a place, where there are few of them


class SearchedModel(DetectionModel):
    """A DetectionModel with layers of this package in it."""

    def __setstate__(self, state: dict[str, Any]) -> None:
        # Ultralytics' trainers are about to build such a network anew, which takes what knows spaces; that imports this module
        import_module(f"{__package__}.models")
        super().__setstate__(state)

    def fuse(self, verbose: bool = True, imgsz: int = 640) -> SearchedModel:
        """Fold batch normalisation into convolutions, in our blocks as well."""
        own = {each.module: each for each in blocks().values()}
        for module in self.model:
            if type(module) in own:
                own[type(module)].fuse(module)
        return super().fuse(verbose=verbose, imgsz=imgsz)


def sources(layer: Layer, index: int) -> int | list[int]:
    """Ultralytics' "from": -1 is the layer before, except that its heads name their levels by index."""
    is_head = block(layer.module).is_head
    found = [-1 if source == index - 1 and not is_head else source for source in layer.inputs]
    return found[0] if len(found) == 1 else found


def modules(graph: LayerGraph) -> tuple[nn.Sequential, list[int]]:
    """The modules of a graph (of one architecture) with fresh weights, and the layers whose outputs are kept, as Ultralytics has
    them."""
    made = nn.Sequential(*(block(layer.module).build(layer) for layer in graph.layers))
    for index, (module, layer) in enumerate(zip(made, graph.layers)):
        module.i, module.f = index, sources(layer, index)
        module.type = f"{type(module).__module__}.{type(module).__name__}"
        module.np = sum(parameter.numel() for parameter in module.parameters())
    read = [module.f if isinstance(module.f, list) else [module.f] for module in made]
    return made, sorted({index for indices in read for index in indices if index != -1})


def assemble(graph: LayerGraph, content: Mapping[str, Any]) -> DetectionModel:
    """The network of a graph (of one architecture) with fresh weights, in training mode.

    What DetectionModel's own constructor does, with layers from a graph instead of from its parser. Where every layer is one that
    Ultralytics makes, the class is too: such checkpoints load without this package.

    Args:
        content: of the model file, which the network keeps as its `yaml`.
    """
    ships = all(block(layer.module).is_ultralytics(layer) for layer in graph.layers)
    kind = DetectionModel if ships else SearchedModel
    model = kind.__new__(kind)
    nn.Module.__init__(model)
    model.yaml = dict(content)
    model.model, model.save = modules(graph)
    names = content.get("names") or {i: str(i) for i in range(graph.num_classes)}
    model.names = {int(i): str(name) for i, name in names.items()}
    model.inplace = True
    head = model.model[-1]
    head.inplace = True
    height = graph.image.height
    head.stride = torch.tensor([height / shape.height for shape in graph.layers[-1].in_shapes])
    model.stride = head.stride
    head.bias_init()
    _expect_objects(head, graph)
    initialize_weights(model)
    return model


def _expect_objects(head: nn.Module, graph: LayerGraph) -> None:
    """Class scores begin at `OBJECTS` per image, at every level's own number of places.

    Ultralytics begins at as many per image of 640 pixels; in one of 96 that is forty times too few, and the first epochs of a short
    training go into finding that out.
    """
    for branch, shape in zip(head.cv3, graph.layers[-1].in_shapes):
        probability = OBJECTS / graph.num_classes / (shape.height * shape.width)
        nn.init.constant_(branch[-1].bias, math.log(min(probability, MOST_PROBABLE)))
