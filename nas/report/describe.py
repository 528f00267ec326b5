"""One architecture explained layer by layer."""

from __future__ import annotations

import numpy as np
from rich.console import Console

from evaluators import complexity
from evaluators.training.checkpoint import load_checkpoint
from search_spaces import Architecture, InputError, lower
from search_spaces.families import families
from search_spaces.graph import IMAGE
from search_spaces.models import architecture_of, load_yaml
from search_spaces.trace import trace

from ..storage.folder import RunFolder
from ..storage.run import load_run
from .terminal import Column, print_table, say


def find_architecture(text: str, trust: bool = False) -> tuple[Architecture, int | None]:
    """An architecture from what a user writes, and the number of classes where it says one.

    `text` is a preset's name, RUN:KEY (the start of a key will do), a model file (.yaml) or a checkpoint (.pt).

    Args:
        trust: load a checkpoint with others' classes, which may run any code.

    Raises:
        InputError: it is none of them.
    """
    presets = {name: family for family in families().values() for name in family.presets}
    if text in presets:
        return presets[text].preset(text), None
    if text.endswith((".yaml", ".yml")):
        architecture, content = load_yaml(text)
        return architecture, content.get("nc")
    if text.endswith(".pt"):
        model = load_checkpoint(text, trust=trust)
        return architecture_of(model, what=f"{text}: this model"), len(model.names)
    directory, _, key = text.rpartition(":")
    if directory and RunFolder(directory).exists:
        run = load_run(directory)
        found = [e for e in run.all_evaluations if key and e.key.startswith(key)]
        if len(found) == 1:
            return found[0].architecture, run.settings.get("num_classes")
        raise InputError(f"{directory} has {len(found) or 'no'} architectures whose key starts with {key!r}")
    raise InputError(
        f"{text!r} is no architecture: give a preset ({', '.join(presets)}), RUN:KEY, a model.yaml or a best.pt"
    )


def print_architecture(architecture: Architecture, num_classes: int, image_size: int | None, console: Console) -> None:
    """A table of the layers with their shapes, parameters and MACs; then the totals."""
    graph = lower(architecture, num_classes, image_size)
    _, height, width = graph.image
    total = complexity([architecture], num_classes, (height, width))
    params, macs, peak = (int(values[0]) for values in (total.params, total.macs, total.peak_activation_bytes))
    rows = []
    for index, layer in enumerate(graph.layers):
        steps, _, _ = trace(layer)
        layer_params = sum(step.cost[0] for step in steps)
        layer_macs = sum(step.cost[1] for step in steps)
        what = [f"{name}={value}" for name, value in layer.arguments.items() if name not in ("channels", "num_classes")]
        rows.append(
            [
                str(index),
                ", ".join("image" if source == IMAGE else str(source) for source in layer.inputs),
                layer.module,
                ", ".join(what),
                " + ".join("x".join(str(np.asarray(n)) for n in shape) for shape in layer.out_shapes),
                f"{layer_params:,}",
                f"{layer_macs / 1e6:,.1f}",
                f"{100 * layer_macs / macs:.1f}",
            ]
        )
    columns = [
        Column("layer", True),
        Column("from", rank=2),
        Column("module"),
        Column("what", rank=5),
        Column("out (C x H x W)", rank=1),
        Column("parameters", True, 3),
        Column("MMACs", True, 4),
        Column("% of MACs", True, 6),
    ]
    title = f"{architecture.space.name}:{architecture.key} at {height} x {width} px, {num_classes} classes"
    print_table(console, title, columns, rows)
    say(
        console,
        f"{params:,} parameters, {macs:,} MACs ({2 * macs / 1e9:.2f} GFLOPs), "
        f"{peak / 2**20:.2f} MiB of FP32 activations at the peak",
    )
