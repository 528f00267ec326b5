"""A trained model as folders to take away: one per format, with labels, a program that runs it, and a card of its figures.

checkpoint -> file of the format -> run beside PyTorch on the same images -> as it should be?
    -> judged and timed (where there is a dataset) -> OUTPUT/FORMAT/: model, labels.txt, run.py, card.md
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from evaluators.accuracy import coco_map
from evaluators.accuracy.detections import ModelPredictor, Predictor, open_predictor
from evaluators.data import Dataset, calibration_images
from evaluators.data.images import letterboxed, read_image
from evaluators.file_metrics import FileMetrics, evaluate_file
from evaluators.formats import FORMATS, export
from evaluators.formats.network import trained_at
from evaluators.formats.onnx import ImageSize
from evaluators.runtimes import RUNTIMES
from evaluators.training.checkpoint import load_checkpoint
from search_spaces import InputError
from search_spaces.errors import one_of
from search_spaces.graph import check_image_size
from search_spaces.text import printable
from search_spaces.writing import new_folder, write_text

from ..report.file_metrics import described
from .runner import RUNTIMES as PROGRAMS
from .runner import program

CLOSE = 1e-3  # that FP32 outputs may differ by: scores as they are, boxes as a share of the image's larger side
LOST = 0.002  # mAP that an FP32 file may lose or gain
COMPARED = 8  # images
QUANTISED = ("onnx", "openvino")  # formats that hold INT8
Say = Callable[[str], None]


@dataclass(frozen=True)
class Shipped:
    """One folder: its format and the model's file, how far its outputs are from PyTorch's, and what it is worth (None without a
    dataset)."""

    folder: Path
    kind: str
    file: Path
    difference: float
    found: FileMetrics | None


def ship(
    checkpoint: str | Path,
    kinds: Sequence[str],
    output: str | Path,
    *,
    image_size: ImageSize | None = None,
    precision: str = "FP32",
    dataset: Dataset | None = None,
    threads: int | None = None,
    with_latency: bool = True,
    trust: bool = False,
    say: Say = print,
    progress: Callable[[int, int], None] | None = None,
) -> list[Shipped]:
    """Write a checkpoint in some formats, each in a folder of its own under `output`, and compare each with PyTorch.

    Args:
        kinds: of `FORMATS`.
        image_size: pixels, an edge or (height, width); None is what the checkpoint was trained at.
        precision: FP32, or INT8, which is calibrated on training images of the dataset.
        dataset: that the files are judged on, compared with, and timed after; None compares on random images alone.
        threads: of the runtimes; None takes all cores that this process may use.
        trust: as that of `load_checkpoint`.
        progress: called with (images judged, images) for every file.

    Raises:
        InputError: a checkpoint, a format or an image size that will not do, a converter that is not installed, a folder that
            is there already, or a file that does not compute what the checkpoint does; folders that were done before stay.
    """
    output = Path(output)
    if "tensorrt" in kinds:
        raise InputError(
            "format 'tensorrt': an engine is built on the GPU that is to run it; ship onnx, of which trtexec, or ONNX Runtime with "
            "its tensorrt provider, builds one there"
        )
    unknown = [kind for kind in kinds if kind not in FORMATS]
    if unknown or not kinds:
        raise InputError(f"format {unknown[0] if unknown else ''!r}: must be {one_of(FORMATS)}")
    if precision == "INT8":
        if dataset is None:
            raise InputError("INT8 is calibrated on training images: give --data")
        if without := [kind for kind in kinds if kind not in QUANTISED]:
            raise InputError(f"format {without[0]!r}: holds no INT8 here; {one_of(QUANTISED)} does")
    for kind in kinds:
        if (output / kind).exists():
            raise InputError(f"{output / kind} exists; it is left as it is: name another folder")
    model = load_checkpoint(checkpoint, trust=trust)
    size = image_size if image_size is not None else trained_at(model)
    if size is None:
        raise InputError(f"{checkpoint}: does not say at which image size it was trained; give --image-size")
    shape = check_image_size(size)
    names = [printable(str(name)).replace("\n", " ") for name in model.names.values()]
    images = _compared(dataset, shape)
    judged = (
        None
        if dataset is None
        else coco_map(ModelPredictor(model, image_size=shape), dataset, progress=progress)["map50_95"]
    )
    done = []
    for kind in dict.fromkeys(kinds):
        folder = output / kind
        with new_folder(folder) as filled:
            calibration = calibration_images(dataset) if precision == "INT8" and dataset is not None else None
            file = filled / export(model, [kind], filled, "model", shape, precision, calibration)[kind]
            predictor = open_predictor(file, _runtime(kind), "cpu", precision, threads, shape)
            difference = _difference(model, predictor, images, shape)
            if precision == "FP32" and not difference <= CLOSE:
                raise InputError(
                    f"{kind}: its outputs differ from PyTorch's by {difference:.2g} (at most {CLOSE:g} would do), so it is not shipped"
                )
            found = None
            if dataset is not None:
                found = evaluate_file(
                    file,
                    dataset,
                    runtime=_runtime(kind),
                    precision=precision,
                    threads=threads,
                    image_size=shape,
                    with_latency=with_latency,
                    trust=True,  # it was written here
                    progress=progress,
                )
                if precision == "FP32" and judged is not None and abs(found.map50_95 - judged) > LOST:
                    raise InputError(
                        f"{kind}: comes to {found.map50_95:.4f} map50_95, and the checkpoint to {judged:.4f}, so it is not shipped"
                    )
            write_text(filled / "labels.txt", "\n".join(names))
            write_text(filled / "run.py", program(kind, file.name, *shape))
            write_text(
                filled / "card.md", _card(checkpoint, kind, file, names, precision, shape, difference, found, judged)
            )
        made = Shipped(folder, kind, folder / file.name, difference, found)
        say(f"{made.file}: {_compared_text(made.difference, precision, found, judged)}")
        done.append(made)
    return done


def _runtime(kind: str) -> str:
    """The runtime that a format is for."""
    if kind == "openvino":
        return "openvino"
    return next(name for name, each in RUNTIMES.items() if each.kind == kind)


def _compared(dataset: Dataset | None, shape: tuple[int, int]) -> np.ndarray:
    """(n, 3, height, width) images: of the validation split where there is one, and a random one, which the network never saw."""
    noise = np.random.default_rng(0).random((1, 3, *shape), np.float32)
    if dataset is None:
        return noise
    return np.concatenate([letterboxed([read_image(path) for path in dataset.val[:COMPARED]], shape), noise])


def _difference(model: nn.Module, predictor: Predictor, images: np.ndarray, shape: tuple[int, int]) -> float:
    """The largest one between outputs: of scores as they are, of boxes as a share of the image's larger side."""
    inputs = torch.from_numpy(images)
    expected, found = ModelPredictor(model)(inputs).numpy(), predictor(inputs).numpy()
    if expected.shape != found.shape:
        raise InputError(
            f"its output is {found.shape[1:]}, and PyTorch's {expected.shape[1:]}: it is another network's"
        )
    distance = np.abs(found - expected)
    distance[:, :4] /= max(shape)
    return float(distance.max())


def _compared_text(difference: float, precision: str, found: FileMetrics | None, judged: float | None) -> str:
    text = f"outputs within {difference:.1g} of PyTorch's"
    if found is None or judged is None:
        return text + (" on a random image" if precision == "FP32" else "")
    return f"{text}; map50_95 {found.map50_95:.4f}, of the checkpoint {judged:.4f}"


def _card(
    checkpoint: str | Path,
    kind: str,
    file: Path,
    names: Sequence[str],
    precision: str,
    shape: tuple[int, int],
    difference: float,
    found: FileMetrics | None,
    judged: float | None,
) -> str:
    """card.md: what the folder holds, and every figure with how it was measured. Text from outside stands in indented blocks, where
    Markdown takes it as it is."""
    version = RUNTIMES[_runtime(kind)].installed_version()
    lines = [
        f"# {file.name}",
        "",
        f"An object detector for images of {shape[0]} x {shape[1]} pixels (height x width), RGB from 0 to 1, in {precision}; made "
        f"{datetime.date.today().isoformat()} with {_runtime(kind)} {version} from",
        "",
        f"    {printable(str(checkpoint))}",
        "",
        f"Its {len(names)} classes, in the order of labels.txt:",
        "",
        *(f"    {number} {name}" for number, name in enumerate(names)),
        "",
        f"`python run.py IMAGE [DRAWN.png]` runs it, with numpy, pillow and {PROGRAMS[kind].packages} installed.",
        "",
        "## Figures",
        "",
        f"    {_compared_text(difference, precision, found, judged)}",
    ]
    if found is not None:
        told = described(found, "val")
        told[0] = told[0].replace(found.file, file.name)
        lines += [f"    {line.strip()}" for line in told]
    lines += [
        "",
        "Differences are the largest ones over all outputs: scores as they are, boxes as a share of the image's larger side."
        + (
            " map50_95 is COCO's, by pycocotools, of this very file."
            if found is not None
            else " It was not judged: no dataset was given."
        ),
    ]
    return "\n".join(lines) + "\n"
