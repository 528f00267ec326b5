"""Quantise: an ONNX file in eight bits, calibrated on training images."""

from __future__ import annotations

import shutil
from typing import Annotated, Literal

from pydantic import Field

from search_spaces.validation import Whole

from ..latency.agent import Activations, suiting_activations
from .step import Step, Workpiece


class Quantise(Step):
    """Static post-training quantisation; `precision` FP32 leaves the file as it is, so that a space may choose.

    Attributes:
        precision: of the file.
        images: from the training split, that the ranges of activations are taken from.
        activations: the form of INT8; by default what suits this machine's processor.
    """

    name = "quantise"
    reads = ("onnx",)
    writes = ("onnx",)
    metrics = ("file_bytes",)

    precision: Literal["FP32", "INT8"] = "INT8"
    images: Annotated[Whole, Field(gt=0)] = 32
    activations: Activations = Field(default_factory=suiting_activations, validate_default=True)

    def run(self, piece: Workpiece) -> dict[str, float]:
        from ..data import calibration_images
        from ..formats.int8 import quantise_onnx, resized

        source = piece.artefact("onnx")
        if self.precision == "FP32":
            return {"file_bytes": source.stat().st_size}
        size = piece.architecture["image_size"]
        images = resized(calibration_images(piece.bench.dataset, self.images, size), size)
        path = shutil.copyfile(source, piece.directory / "model-int8.onnx")
        quantise_onnx(path, images, self.activations)
        piece.wrote("onnx", path)
        return {"file_bytes": path.stat().st_size}


STEP = Quantise
