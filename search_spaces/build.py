"""From a layer graph to an Ultralytics DetectionModel, and an architecture's way through YAML."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path

import torch
import yaml
from torch import nn
from ultralytics.nn.modules.block import SPPF, ADown, C2f, C3k2
from ultralytics.nn.modules.conv import Concat, Conv
from ultralytics.nn.modules.head import Detect
from ultralytics.nn.tasks import DetectionModel
from ultralytics.utils.torch_utils import initialize_weights

from .blocks import CSPPC, HWD, AFPNDetect
from .errors import InputError
from .files import read_yaml
from .graph import Layer, LayerGraph, lower
from .space import Architecture, SearchSpace

# module name -> (class, the arguments after the input channels; those of Ultralytics' YAML, in its order)
BUILDERS = {
    "Conv": (Conv, lambda a: (a["channels"], 3, 2)),
    "C2f": (C2f, lambda a: (a["channels"], a["repeats"], a["shortcut"])),
    "C3k2": (C3k2, lambda a: (a["channels"], a["repeats"], False, 0.5, False, 1, a["shortcut"])),
    "CSPPC": (CSPPC, lambda a: (a["channels"], a["repeats"])),
    "ADown": (ADown, lambda a: (a["channels"],)),
    "HWD": (HWD, lambda a: (a["channels"],)),
    "SPPF": (SPPF, lambda a: (a["channels"], a["kernel"])),
}
REPEATED = ("C2f", "C3k2", "CSPPC")  # in YAML their second argument is the `repeats` column
OURS = ("CSPPC", "HWD", "AFPNDetect")


@contextlib.contextmanager
def _class_branch(kind: str):
    """Detect picks its class branch by a class attribute, which Ultralytics' own parser leaves behind as it was last."""
    before = Detect.legacy
    Detect.legacy = kind == "full"
    try:
        yield
    finally:
        Detect.legacy = before


def _module(layer: Layer) -> nn.Module:
    arguments = layer.arguments
    channels = [shape.channels for shape in layer.in_shapes]
    if layer.module == "Upsample":
        return nn.Upsample(scale_factor=2, mode="nearest")
    if layer.module == "Concat":
        return Concat(1)
    if layer.module in ("Detect", "AFPNDetect"):
        with _class_branch(arguments["class_branch"]):
            if layer.module == "Detect":
                return Detect(arguments["num_classes"], arguments["reg_max"], ch=channels)
            return AFPNDetect(
                arguments["num_classes"], arguments["reg_max"], arguments["width"], arguments["reduction"], channels
            )
    kind, rest = BUILDERS[layer.module]
    return kind(channels[0], *rest(arguments))


def _sources(layer: Layer, index: int) -> int | list[int]:
    """Ultralytics' "from": -1 is the layer before, except that its heads name their levels by index."""
    is_head = layer.module in ("Detect", "AFPNDetect")
    sources = [-1 if source == index - 1 and not is_head else source for source in layer.inputs]
    return sources[0] if len(sources) == 1 else sources


def _yaml_row(layer: Layer, index: int) -> list:
    """[from, repeats, module, arguments] as in Ultralytics' model files."""
    arguments = layer.arguments
    source = _sources(layer, index)
    if layer.module == "Upsample":
        return [source, 1, "nn.Upsample", [None, 2, "nearest"]]
    if layer.module == "Concat":
        return [source, 1, "Concat", [1]]
    if layer.module == "Detect":
        return [source, 1, "Detect", ["nc"]]  # reg_max is read from the top of the file
    if layer.module == "AFPNDetect":
        return [source, 1, "AFPNDetect", ["nc", arguments["reg_max"], arguments["width"], arguments["reduction"]]]
    rest = list(BUILDERS[layer.module][1](arguments))
    repeats = rest.pop(1) if layer.module in REPEATED else 1
    return [source, repeats, layer.module, rest]


def model_yaml(architecture: Architecture, num_classes: int, names: Mapping[int, str] | None = None) -> dict:
    """The model file's content: the architecture, and its layers in Ultralytics' form.

    `architecture` is what our loader reads; `backbone` and `head` are the same network as Ultralytics writes it.
    """
    graph = lower(architecture, num_classes)
    rows = [_yaml_row(layer, index) for index, layer in enumerate(graph.layers)]
    end = 1 + next(index for index, layer in enumerate(graph.layers) if layer.module == "SPPF")
    content = {
        "space": architecture.space.name,
        "key": architecture.key,
        "architecture": architecture.to_dict(),
        "nc": num_classes,
        "reg_max": graph.layers[-1].arguments["reg_max"],
        "channels": 3,
        "backbone": rows[:end],
        "head": rows[end:],
    }
    if names:
        content["names"] = dict(names)
    return content


class SearchedModel(DetectionModel):
    """A DetectionModel with blocks of this package in it."""

    def fuse(self, verbose: bool = True, imgsz: int = 640):
        """Fold batch normalisation into convolutions, in our blocks as well."""
        for module in self.modules():
            if isinstance(module, HWD) and hasattr(module, "bn"):
                module.to_spatial()
        return super().fuse(verbose=verbose, imgsz=imgsz)


def _assemble(graph: LayerGraph, content: dict) -> DetectionModel:
    """What DetectionModel's own constructor does, with layers from a graph instead of from its parser."""
    # Where every block is Ultralytics' own the class is too: such checkpoints load without this package.
    kind = SearchedModel if any(layer.module in OURS for layer in graph.layers) else DetectionModel
    model = kind.__new__(kind)
    nn.Module.__init__(model)
    model.yaml = content
    model.model = nn.Sequential(*(_module(layer) for layer in graph.layers))
    for index, (module, layer) in enumerate(zip(model.model, graph.layers)):
        module.i, module.f = index, _sources(layer, index)
        module.type = f"{type(module).__module__}.{type(module).__name__}"
        module.np = sum(parameter.numel() for parameter in module.parameters())
    sources = [module.f if isinstance(module.f, list) else [module.f] for module in model.model]
    model.save = sorted({index for indices in sources for index in indices if index != -1})
    names = content.get("names") or {i: str(i) for i in range(graph.num_classes)}
    model.names = {int(i): str(name) for i, name in names.items()}
    model.inplace = True
    head = model.model[-1]
    head.inplace = True
    height = graph.image.height
    head.stride = torch.tensor([height / shape.height for shape in graph.layers[-1].in_shapes])
    model.stride = head.stride
    head.bias_init()
    initialize_weights(model)
    return model


def build_model(
    architecture: Architecture, num_classes: int = 80, names: Mapping[int, str] | None = None
) -> DetectionModel:
    """The architecture as an Ultralytics DetectionModel with fresh weights, in training mode.

    Args:
        num_classes: classes of the detection head.
        names: class names by index.

    Raises:
        InputError: fewer than one class, or a space without layer graphs.
    """
    if not isinstance(num_classes, int) or num_classes < 1:
        raise InputError(f"num_classes must be a positive integer, not {num_classes!r}")
    return _assemble(lower(architecture, num_classes), model_yaml(architecture, num_classes, names))


def architecture_of(model: nn.Module, space: SearchSpace) -> Architecture:
    """The architecture that a model (from a checkpoint) was built from.

    Raises:
        InputError: the model was not built by this package, or from another space.
    """
    return _architecture_from(getattr(model, "yaml", None), space, "this model")


def save_yaml(path: str | Path, architecture: Architecture, num_classes: int, names=None) -> None:
    """Write the model file of `architecture`; `load_yaml` is the way back."""
    text = yaml.safe_dump(model_yaml(architecture, num_classes, names), sort_keys=False, default_flow_style=None)
    Path(path).write_text(text, encoding="utf-8")


def load_yaml(path: str | Path, space: SearchSpace) -> tuple[Architecture, dict]:
    """The architecture in a model file, and the file's whole content.

    Raises:
        InputError: no such file, not YAML, or not a model file of this space.
    """
    content = read_yaml(path)
    return _architecture_from(content, space, str(path)), content


def _architecture_from(content, space: SearchSpace, what: str) -> Architecture:
    values = content.get("architecture") if isinstance(content, Mapping) else None
    if not isinstance(values, Mapping):
        raise InputError(f"{what} was not made by evoyolo: it names no architecture")
    if content.get("space") != space.name:
        raise InputError(f"{what} is of the space {content.get('space')!r}, not of {space.name!r}")
    try:
        return space.architecture(**{str(name): value for name, value in values.items()})
    except InputError as error:
        raise InputError(f"{what}: architecture: {error}") from None
