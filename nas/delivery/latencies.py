"""Latencies of one model file after another: on several runtimes, at several image sizes, all beside one reference model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from evaluators.evaluator import EvaluationError
from evaluators.file_metrics import runtime_setting
from evaluators.formats.onnx import onnx_facts
from evaluators.latency import LatencyMeter
from evaluators.latency.measurement import check_runtime
from evaluators.runtimes import runtime as runtime_named
from evaluators.training.checkpoint import load_checkpoint
from search_spaces.graph import check_image_size

FIGURES = ("runtime", "image_size", "latency_ms", "latency_q25_ms", "latency_q75_ms", "protocol")


class Latencies:
    """What files are timed with; a reference model is measured when a runtime is needed for the first time.

    Args:
        runtimes: names; of a checkpoint it is the latency of its export for each.
        image_sizes: pixels, beside each model's own.

    Raises:
        InputError: an unknown runtime, or an image size that there cannot be.
    """

    def __init__(self, runtimes: Sequence[str], image_sizes: Sequence[int], threads: int, num_classes: int) -> None:
        for name in runtimes:
            check_runtime(name, "cpu", "FP32")
        for size in image_sizes:
            check_image_size(size)
        self.runtimes, self.image_sizes = tuple(dict.fromkeys(runtimes)), tuple(image_sizes)
        self.threads, self.num_classes = threads, num_classes
        self._meters: dict[tuple[str, str, str | None], LatencyMeter] = {}

    def of(
        self, file: Path, precision: str, image_size: int, known: Iterable[Mapping[str, Any]] = ()
    ) -> list[dict[str, Any]]:
        """`FIGURES` of a file for every runtime, at its own image size first, and those that are known beside; without a latency where
        `protocol` says why.

        Args:
            precision: of the file.
            image_size: its own.
            known: figures that need not be measured again.
        """
        found = {(each["runtime"], each["image_size"]): dict(each) for each in known if each["latency_ms"] is not None}
        wanted = [(name, size) for name in self.runtimes for size in dict.fromkeys((image_size, *self.image_sizes))]
        others = [figures for pair, figures in found.items() if pair not in wanted]
        return [found.get(pair) or self._measured(file, precision, image_size, *pair) for pair in wanted] + others

    def _measured(self, file: Path, precision: str, own: int, runtime: str, size: int) -> dict[str, Any]:
        nothing = {**dict.fromkeys(FIGURES), "runtime": runtime, "image_size": size}
        is_checkpoint = file.suffix == ".pt"
        if not is_checkpoint and file.suffix not in runtime_named(runtime).suffixes:
            return {**nothing, "protocol": f"{runtime} does not read {file.suffix} files"}
        if not is_checkpoint and size != own:
            return {**nothing, "protocol": f"the file is of {own} px"}
        try:
            if is_checkpoint:
                found = self._meter(runtime, "FP32").measure(load_checkpoint(file), size)
            else:
                setting = runtime_setting(file, runtime, "cpu", precision)
                form = onnx_facts(file).activations if (setting, file.suffix) == ("INT8", ".onnx") else None
                found = self._meter(runtime, setting, form).measure_file(file, size, precision)
        except (
            EvaluationError
        ) as error:  # a busy machine, or an operator that the runtime does not know, costs this figure only
            return {**nothing, "protocol": str(error)}
        figures = (runtime, size, found.median_ms, found.q25_ms, found.q75_ms, found.protocol)
        return dict(zip(FIGURES, figures))

    def _meter(self, runtime: str, precision: str, activations: str | None = None) -> LatencyMeter:
        key = (runtime, precision, activations)
        if key not in self._meters:
            self._meters[key] = LatencyMeter(
                runtime, "cpu", precision, self.threads, self.num_classes, activations=activations
            )
        return self._meters[key]
