"""Architectures as networks, and their way through model files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn
from ultralytics.nn import tasks
from ultralytics.nn.tasks import DetectionModel

from .blocks import block
from .build import modules, sources
from .definition import space_named, space_names
from .errors import InputError
from .families import DEFAULT, Family, family, family_of
from .files import read_yaml
from .graph import check_num_classes, lower
from .space import Architecture, SearchSpace
from .writing import write_text
from .yaml_text import to_yaml


def model_yaml(architecture: Architecture, num_classes: int, names: Mapping[int, str] | None = None) -> dict[str, Any]:
    """The model file's content: the architecture, and its layers in Ultralytics' form.

    `architecture` is what our loader reads; `backbone` and `head` are the same network as Ultralytics writes it.
    """
    graph = lower(architecture, num_classes)
    rows = [[sources(layer, index), *block(layer.module).row(layer)] for index, layer in enumerate(graph.layers)]
    content = {
        "space": architecture.space.name,
        "key": architecture.key,
        "architecture": architecture.network_values(),
        "nc": num_classes,
        "reg_max": graph.layers[-1].arguments.get("reg_max", 1),
        "channels": 3,
        "backbone": rows[: graph.backbone],
        "head": rows[graph.backbone :],
    }
    if names:
        content["names"] = dict(names)
    return content


def build_model(
    architecture: Architecture, num_classes: int = 80, names: Mapping[int, str] | None = None
) -> DetectionModel:
    """The architecture as a network with fresh weights, in training mode: an Ultralytics DetectionModel.

    Args:
        num_classes: classes of the detection head.
        names: class names by index.

    Raises:
        InputError: no count of classes, or a space without layer graphs.
    """
    content = model_yaml(architecture, num_classes, names)
    return family_of(architecture.space).build(lower(architecture, num_classes), content)


def _parse_model(content: dict[str, Any], ch: int, verbose: bool = True) -> tuple[nn.Sequential, list[int]]:
    """Ultralytics' parser of model files, which knows those of this package: without, its trainers would build a network anew from
    rows that cannot say all of it, and give back the channels that were pruned."""
    if isinstance(content.get("architecture"), Mapping) and content.get("space") in space_names():
        architecture = _architecture_from(content, None, "the model file")
        return modules(lower(architecture, check_num_classes(content.get("nc"), "the model file: nc")))
    return _parse_others(content, ch, verbose)


_parse_others = tasks.parse_model
tasks.parse_model = _parse_model


def architecture_of(model: nn.Module, space: SearchSpace | None = None, what: str = "this model") -> Architecture:
    """The architecture that a model (from a checkpoint) was built from.

    Args:
        space: that it must be of; None takes the one that it names.
        what: what messages call the model.

    Raises:
        InputError: the model was not built by this package, or from another space.
    """
    return _architecture_from(getattr(model, "yaml", None), space, what)


def family_of_network(model: nn.Module) -> Family:
    """The model family of a network; of one that this package did not build, Ultralytics' own."""
    content = getattr(model, "yaml", None)
    named = content.get("space") if isinstance(content, Mapping) else None
    return family_of(space_named(named)) if named in space_names() else family(DEFAULT)


def save_yaml(
    path: str | Path, architecture: Architecture, num_classes: int, names: Mapping[int, str] | None = None
) -> None:
    """Write the model file of `architecture`; `load_yaml` is the way back."""
    text = to_yaml(model_yaml(architecture, num_classes, names), default_flow_style=None)
    write_text(Path(path), text)


def load_yaml(path: str | Path, space: SearchSpace | None = None) -> tuple[Architecture, dict[str, Any]]:
    """The architecture in a model file, and the file's whole content.

    Args:
        space: that it must be of; None takes the one that it names.

    Raises:
        InputError: no such file, not YAML, not a model file of this space, or no count of classes in its `nc`.
    """
    content = read_yaml(path)
    architecture = _architecture_from(content, space, str(path))
    if "nc" in content:
        check_num_classes(content["nc"], f"{path}: field nc")
    return architecture, content


def _architecture_from(content: Any, space: SearchSpace | None, what: str) -> Architecture:
    values = content.get("architecture") if isinstance(content, Mapping) else None
    if not isinstance(values, Mapping):
        raise InputError(f"{what} was not made by evoyolo: it names no architecture")
    try:
        space = space_named(str(content.get("space")), [values]) if space is None else space
    except InputError as error:
        raise InputError(f"{what}: {error}") from None
    if content.get("space") != space.name:
        raise InputError(f"{what} is of the space {content.get('space')!r}, not of {space.name!r}")
    try:
        return space.architecture(**{str(name): value for name, value in values.items()})
    except InputError as error:
        raise InputError(f"{what}: architecture: {error}") from None
