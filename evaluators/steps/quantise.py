"""Quantise: an ONNX file in eight bits, calibrated on training images, or in halves."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from search_spaces.validation import Real, Whole

from ..latency.agent import Activations, suiting_activations
from .step import Step, Workpiece

TABLE = "sensitivity.csv"


class Quantise(Step):
    """Post-training quantisation; `precision` FP32 leaves the file as it is, so that a space may choose.

    Attributes:
        precision: of the file. INT8 is static, with the ranges of all activations beforehand; INT8-dynamic takes those that a
            convolution reads from every image anew. FP16 holds halves.
        images: from the training split, that the ranges of activations are taken from. Of INT8, as is what follows.
        activations: the form of INT8; by default what suits this machine's processor.
        max_drop: mAP50-95, 0 to 1, that the file may lose against the FP32 one, on up to 200 training images that do not calibrate:
            the validation split, which results are reported on, has no part in it. As few layers as will do stay FP32, the most
            sensitive ones (`evaluators.compression.sensitivity`; sensitivity.csv lists them all). None quantises every layer.

    Metrics: `fp32_layers` is how many layers, a convolution and what follows it, stayed FP32.
    """

    name = "quantise"
    reads = ("onnx",)
    writes = ("onnx",)
    metrics = ("file_bytes", "fp32_layers")

    precision: Literal["FP32", "FP16", "INT8", "INT8-dynamic"] = "INT8"
    images: Annotated[Whole, Field(gt=0)] = 32
    activations: Activations = Field(default_factory=suiting_activations, validate_default=True)
    max_drop: Annotated[Real, Field(ge=0, le=1)] | None = None

    def run(self, piece: Workpiece) -> dict[str, float]:
        import onnx

        from ..formats.fp16 import halve_onnx
        from ..formats.int8 import quantise_dynamically
        from ..formats.onnx_layers import layers

        source = piece.artefact("onnx")
        if self.precision == "FP32":
            return {"file_bytes": source.stat().st_size, "fp32_layers": len(layers(onnx.load(source).graph))}
        path, fp32 = piece.directory / f"model-{self.precision.lower()}.onnx", 0
        if self.precision == "INT8":
            fp32 = self._quantise(piece, source, path)
        else:
            shutil.copyfile(source, path)
            {"FP16": halve_onnx, "INT8-dynamic": quantise_dynamically}[self.precision](path)
        piece.wrote("onnx", path)
        return {"file_bytes": path.stat().st_size, "fp32_layers": fp32}

    def _quantise(self, piece: Workpiece, source: Path, path: Path) -> int:
        """Write the static form; how many layers stayed FP32."""
        import onnx

        from ..compression.sensitivity import MEASURED, choose, judge_on_training, sensitivities, write_table
        from ..data import calibration_images
        from ..formats.int8 import calibrate, resized

        bench, size = piece.bench, piece.architecture["image_size"]
        images = resized(calibration_images(bench.dataset, self.images, size), size)
        network = calibrate(source, images, self.activations)
        if self.max_drop is None:
            onnx.save(network.mixed(), path)
            return 0
        judge = judge_on_training(bench.dataset, self.images, size, bench.threads)
        ranked = sensitivities(network, images[:MEASURED], bench.threads)
        chosen = choose(network, ranked, judge, self.max_drop)
        write_table(piece.directory / TABLE, ranked, chosen.fp32)
        chosen.document.metadata_props.add(key="fp32_layers", value=str(list(chosen.fp32)))
        onnx.save(chosen.document, path)
        return len(chosen.fp32)


STEP = Quantise
