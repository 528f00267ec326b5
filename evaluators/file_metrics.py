"""One model file judged as it is: accuracy, size, work and latency, all of that very file.

file -> predictor (its runtime, its precision) -> COCO mAP on a split
     -> operators -> parameters, MACs
     -> session of the same runtime -> latency beside a reference model
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from search_spaces import InputError
from search_spaces.errors import all_of

from .accuracy import coco_map
from .accuracy.detections import CHECKPOINT, open_predictor, reader_of
from .data import Dataset
from .evaluator import EvaluationError
from .formats.network import network_in, trained_at
from .formats.onnx import ImageSize, onnx_facts
from .latency import Latency, LatencyMeter, agent
from .runtimes import Unavailable
from .training.checkpoint import load_checkpoint

WEIGHTS = {".param": ".bin", ".xml": ".bin"}  # of formats whose weights are in a file of their own


@dataclass(frozen=True)
class FileMetrics:
    """What one file is worth.

    Attributes:
        runtime: that accuracy and latency are of.
        precision: of the file, or the one that the runtime computes an FP32 file in.
        image_size: (height, width) in pixels.
        images: that it was judged on.
        map50_95, map50: COCO's average precisions, 0 to 1.
        by_class: map50_95 of every class that the images hold.
        params, macs: None of a format whose work cannot be read.
        zeros: share of the weights that are zero; None likewise.
        bytes: of the file, and of its weights where these are in another one.
        latency: None where it was not measured.
        no_latency: why it could not be.
    """

    file: str
    runtime: str
    precision: str
    image_size: tuple[int, int]
    images: int
    map50_95: float
    map50: float
    by_class: dict[str, float]
    params: int | None
    macs: int | None
    zeros: float | None
    bytes: int
    latency: Latency | None
    no_latency: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain data."""
        return asdict(self)


def evaluate_file(
    path: str | Path,
    dataset: Dataset,
    *,
    split: str = "val",
    runtime: str | None = None,
    device: str = "cpu",
    precision: str | None = None,
    threads: int | None = None,
    image_size: ImageSize | None = None,
    with_latency: bool = True,
    trust: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> FileMetrics:
    """Judge a file as it is.

    Args:
        split: of the dataset, "val" or "train".
        runtime: None takes the one that reads such files, ONNX Runtime for ONNX, PyTorch for a checkpoint.
        device: of the runtime: "cpu", "cuda", "tensorrt" or "gpu", as it has them.
        precision: that the runtime computes in; None is what is in the file, where the runtime has that as a setting.
        threads: of the runtime, on a CPU; None takes all cores that this process may use.
        image_size: pixels, an edge or (height, width); None is what the file says.
        with_latency: measure it; wants a machine that has nothing else to do.
        trust: open a file that is a program (TorchScript), or a checkpoint that holds others' code.
        progress: called with (images done, images).

    Raises:
        InputError: a file, a runtime, a precision, an image size or a dataset that does not fit.
    """
    path = Path(path)
    is_checkpoint = path.suffix == CHECKPOINT
    if not is_checkpoint and path.is_file() and reader_of(path, runtime).executes_files and not trust:
        raise InputError(f"{path}: is a program, which may do anything; --trust opens it all the same")
    network = None
    if is_checkpoint:
        model = load_checkpoint(path, trust=trust)
        if image_size is None and (image_size := trained_at(model)) is None:
            raise InputError(f"{path}: does not say at which image size it was trained; give --image-size")
    if path.suffix in (CHECKPOINT, ".onnx"):
        network = network_in(path, image_size, trust=trust)
    held = "FP32" if network is None else network.precision
    setting = precision if precision not in (None, held) else runtime_setting(path, runtime, device, held)
    computed = setting if held == "FP32" else held
    predictor = open_predictor(path, runtime, device, setting, threads, image_size, trust=trust)
    _check_classes(path, predictor.names, dataset)
    scores = coco_map(predictor, dataset, split=split, progress=progress)
    size = predictor.image_size
    assert size is not None  # or the predictor would not have opened
    name = "pytorch" if is_checkpoint else reader_of(path, runtime).name
    latency, failed = None, None
    if with_latency:
        form = onnx_facts(path).activations if path.suffix == ".onnx" else None
        threads = threads or agent.default_threads()
        meter = LatencyMeter(name, device, setting, threads, dataset.num_classes, activations=form)
        try:
            latency = meter.measure(model, size) if is_checkpoint else meter.measure_file(path, size, computed)
        except EvaluationError as error:  # a busy machine does not cost what was judged
            failed = str(error)
    weights = path.with_suffix(WEIGHTS.get(path.suffix, path.suffix))
    params, zeros = (network.params, network.zeros) if network is not None else (None, None)
    if is_checkpoint:
        values = [parameter.detach().numpy() for parameter in model.parameters()]
        params = sum(v.size for v in values)
        zeros = 1 - sum(int(np.count_nonzero(v)) for v in values) / max(params, 1)
    return FileMetrics(
        file=str(path),
        runtime=name,
        precision=computed,
        image_size=size,
        images=len(getattr(dataset, split)),
        map50_95=scores["map50_95"],
        map50=scores["map50"],
        by_class={key.partition("/")[2]: value for key, value in scores.items() if key.startswith("ap/")},
        params=params,
        macs=None if network is None else network.macs,
        zeros=zeros,
        bytes=sum(each.stat().st_size for each in {path, weights}),
        latency=latency,
        no_latency=failed,
    )


def runtime_setting(path: Path, runtime: str | None, device: str, held: str) -> str:
    """The precision that a runtime is asked for, to run a file that holds this one: FP32 where it has no such setting, as ONNX Runtime
    on a CPU has none for FP16; it computes what is in the file all the same."""
    if held != "FP32":
        try:
            reader_of(path, runtime).check(device, held)
            return held
        except Unavailable:
            pass
    return "FP32"


def _check_classes(path: Path, names: Sequence[str] | None, dataset: Dataset) -> None:
    """Raise InputError where a file detects other classes than the dataset has, as far as it says which."""
    if names is None:
        return
    if len(names) != dataset.num_classes:
        raise InputError(
            f"{path}: detects {len(names)} classes, and the dataset {dataset.name} has {dataset.num_classes}"
        )
    theirs = list(dataset.names)
    if list(names) != theirs and sorted(names) == sorted(theirs):
        raise InputError(
            f"{path}: has its classes in another order ({all_of(names)}) than the dataset {dataset.name} ({all_of(theirs)})"
        )
