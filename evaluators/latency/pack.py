"""A folder of models and one small runner, to be measured on any device: the manifest, the files, run.py."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from search_spaces import Architecture, build_model
from search_spaces.json_text import short_digest
from search_spaces.writing import write_text

from ..formats import export
from ..runtimes import RUNTIMES
from . import agent
from .agent.work import MANIFEST
from .archive import write_archive
from .measurement import check_runtime, reference_architecture

RUNNER = "run.py"  # what is started on the device


def pack(
    architectures: Sequence[Architecture],
    folder: str | Path,
    *,
    runtimes: Sequence[str] = ("onnxruntime",),
    device: str = "cpu",
    precision: str = "FP32",
    threads: int | None = None,
    num_classes: int = 80,
    images: np.ndarray | None = None,
    activations: str | None = None,
    progress: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Write the models of `architectures` with fresh weights, a reference model, manifest.json and run.py.

    Args:
        runtimes: whose file formats are written; the first is the one that run.py takes by default.
        threads: None leaves it to the device (all the cores that run.py may use there).
        images: (n, 3, height, width) float32 from 0 to 1, to calibrate INT8 with.
        activations: the form of INT8, which is the device's to choose; None is what suits this machine's.

    Returns:
        The manifest.

    Raises:
        InputError: a runtime without that device or precision, or a model that cannot be converted.
    """
    for runtime in runtimes:
        check_runtime(runtime, device, precision)
    folder = Path(folder)
    quantised = {}
    if precision == "INT8":
        quantised["activations"] = activations or agent.suiting_activations(device)
    kinds = list(dict.fromkeys(RUNTIMES[name].kind for name in runtimes))
    space = architectures[0].space
    began, entries = time.monotonic(), []
    for index, architecture in enumerate([reference_architecture(), *architectures]):
        size = architecture["image_size"]
        files = export(
            build_model(architecture, num_classes),
            kinds,
            folder / "models",
            "reference" if not index else architecture.key,
            size,
            precision if index else agent.reference_precision(precision),
            images=images,
            **quantised,
        )
        entries.append(
            {
                "name": architecture.key,
                "architecture": architecture.to_dict(),
                "image_size": [size, size],
                "files": {kind: f"models/{name}" for kind, name in files.items()},
            }
        )
        left = (time.monotonic() - began) / (index + 1) * (len(architectures) - index)
        progress(f"exported {index + 1}/{len(architectures) + 1} models, {left:.0f} s left")
    manifest = {
        "evoyolo_pack": agent.VERSION,
        "space": space.name,
        "num_classes": num_classes,
        "formats": kinds,
        "settings": {"runtime": runtimes[0], "device": device, "precision": precision, "threads": threads},
        **quantised,
        "reference": entries[0],
        "models": entries[1:],
    }
    manifest["id"] = short_digest(manifest)
    write_text(folder / MANIFEST, json.dumps(manifest, indent=1))
    write_archive(folder / RUNNER)
    return manifest
