"""Detections of anything that runs: a network in PyTorch, or a file in the runtime that measures its latency."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn

from search_spaces import InputError
from search_spaces.errors import one_of
from search_spaces.graph import check_image_size
from search_spaces.models import family_of_network

from ..data.images import letterboxed, read_image
from ..formats.onnx import ImageSize, onnx_facts
from ..latency.agent import default_threads
from ..runtimes import RUNTIMES, Runtime, Session, Unavailable, open_session
from ..runtimes import runtime as runtime_of
from ..training.checkpoint import load_checkpoint

CHECKPOINT = ".pt"
DEFAULT = "onnxruntime"  # of the runtimes that read the same files


class Predictor(Protocol):
    """What turns images into raw detections.

    Attributes:
        names: of the classes, where they are known.
        image_size: (height, width) in pixels that it was made for, where it was made for one.
    """

    @property
    def names(self) -> tuple[str, ...] | None: ...

    @property
    def image_size(self) -> tuple[int, int] | None: ...

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Raw detections of a batch.

        Args:
            images: (n, 3, height, width) float32, RGB from 0 to 1.

        Returns:
            (n, 4 + classes, anchors) float32, on any device: boxes as centre and size in pixels, then class scores.
        """


class ModelPredictor:
    """A detection model in PyTorch, in FP32 and a batch at a time; the model is moved to `device` ("cpu", "0")."""

    def __init__(self, model: nn.Module, device: str = "cpu", image_size: ImageSize | None = None) -> None:
        self.device = torch.device(f"cuda:{device}" if str(device).isdigit() else device)
        self.model = model.to(self.device).float().eval()
        self.family = family_of_network(model)
        names: Any = getattr(model, "names", None)
        self.names = tuple(map(str, names.values())) if names else None
        self.image_size = check_image_size(image_size) if image_size is not None else None

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            output = self.model(images.to(self.device))
        return self.family.predictions(output)


class SessionPredictor:
    """A network that a runtime has opened, image by image: the files hold a network for one image."""

    def __init__(self, session: Session, image_size: ImageSize, names: Sequence[str] | None = None) -> None:
        self.session = session
        self.image_size = check_image_size(image_size)
        self.names = tuple(names) if names else None

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        found = [self.session.infer(image[None]) for image in images.cpu().numpy()]
        return torch.from_numpy(np.concatenate(found))


def open_predictor(
    path: str | Path,
    runtime: str | None = None,
    device: str = "cpu",
    precision: str = "FP32",
    threads: int | None = None,
    image_size: ImageSize | None = None,
    *,
    trust: bool = False,
) -> Predictor:
    """The predictor for a file, by its suffix: a checkpoint in PyTorch, everything else in a runtime that reads it.

    Args:
        runtime: None takes the one that reads such files, ONNX Runtime for ONNX.
        threads: of the runtime, on a CPU; None takes all cores that this process may use.
        image_size: pixels that the file was written for, an edge or (height, width); an ONNX file says it itself.
        trust: as that of `load_checkpoint`.

    Raises:
        InputError: no such file, a suffix that nothing reads, a runtime, device or precision that is not there or does
            not read the file, an image size that is missing or another than the file's, or a file that is broken.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    if path.suffix == CHECKPOINT:
        if runtime is not None or precision != "FP32":
            raise InputError(
                f"{path}: a checkpoint runs in PyTorch in FP32, not in {runtime or 'PyTorch'} in {precision}; export it"
            )
        return ModelPredictor(load_checkpoint(path, trust=trust), device, image_size)
    reader = reader_of(path, runtime)
    facts = onnx_facts(path) if path.suffix == ".onnx" else None
    size = check_image_size(image_size) if image_size is not None else None
    if facts and facts.image_size and size and facts.image_size != size:
        height, width = facts.image_size
        raise InputError(f"{path}: was written for images of {height} x {width} pixels, not of {size[0]} x {size[1]}")
    size = size or (facts.image_size if facts else None)
    if size is None:
        raise InputError(f"{path}: does not say which image size it was written for; give it")
    try:
        session = open_session(reader.name, str(path), (1, 3, *size), threads or default_threads(), device, precision)
    except Unavailable as error:
        raise InputError(str(error)) from None
    except Exception as error:  # each runtime has its own way of refusing a file
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise InputError(f"{path}: {reader.name} cannot open it ({reason})") from None
    return SessionPredictor(session, size, facts.names if facts else None)


def reader_of(path: Path, name: str | None = None) -> Runtime:
    """The runtime called `name`, or the usual one for the file; InputError when it does not read such files."""
    readers = [each for each in RUNTIMES.values() if path.suffix in each.suffixes]
    if not readers:
        suffixes = sorted({CHECKPOINT, *(suffix for each in RUNTIMES.values() for suffix in each.suffixes)})
        raise InputError(f"{path}: nothing runs such a file; it must end in {one_of(suffixes)}")
    if name is None:
        return next((each for each in readers if each.name == DEFAULT), readers[0])
    try:
        chosen = runtime_of(name)
    except Unavailable as error:
        raise InputError(str(error)) from None
    if chosen not in readers:
        raise InputError(
            f"{path}: {name} reads {one_of(chosen.suffixes)} files; this one is for {one_of(r.name for r in readers)}"
        )
    return chosen


def detect(
    predictor: Predictor,
    images: Sequence[Path],
    image_size: ImageSize | None = None,
    *,
    batch: int = 16,
    confidence: float = 0.001,
    iou: float = 0.7,
    max_detections: int = 300,
    progress: Callable[[int, int], None] | None = None,
) -> list[dict[str, Any]]:
    """Detections in COCO's form; image ids count from 0 in the order given.

    The images are letterboxed to `image_size` pixels (None is the predictor's own) and the boxes suppressed per class,
    as Ultralytics' validation does it; boxes are in pixels of the original image.

    Args:
        progress: called with (images done, images) after every batch.

    Raises:
        InputError: an image size that is missing, or another than the predictor's.
        DatasetError: an image that cannot be read.
    """
    import torchvision  # noqa: F401 - by which Ultralytics suppresses boxes, several times as fast, where it is imported
    from ultralytics.utils.nms import non_max_suppression
    from ultralytics.utils.ops import scale_boxes

    shape = _image_size(predictor, image_size)
    detections: list[dict[str, Any]] = []
    for start in range(0, len(images), batch):
        originals = [read_image(path) for path in images[start : start + batch]]
        raw = predictor(torch.from_numpy(letterboxed(originals, shape)))
        # Its time limit would leave out boxes on a busy machine: accuracy must not depend on the load.
        results = non_max_suppression(
            raw, confidence, iou, multi_label=True, max_det=max_detections, nc=raw.shape[1] - 4, max_time_img=1e9
        )
        for offset, (image, boxes) in enumerate(zip(originals, results)):
            scaled: Any = scale_boxes(shape, boxes[:, :4], image.shape[:2])
            corners = scaled.cpu().numpy().astype(float)
            for (x1, y1, x2, y2), score, label in zip(corners, boxes[:, 4].tolist(), boxes[:, 5].tolist()):
                box = [x1, y1, x2 - x1, y2 - y1]
                detections.append({"image_id": start + offset, "category_id": int(label), "bbox": box, "score": score})
        if progress is not None:
            progress(min(start + batch, len(images)), len(images))
    return detections


def _image_size(predictor: Predictor, image_size: ImageSize | None) -> tuple[int, int]:
    own = predictor.image_size
    if image_size is None:
        if own is None:
            raise InputError("image_size is missing: this network takes images of any size")
        return own
    shape = check_image_size(image_size)
    if own is not None and own != shape:
        raise InputError(f"image_size {image_size}: the network was made for {own[0]} x {own[1]} pixels")
    return shape
