"""Measuring networks on this machine, by the protocol of the agent, with everything that a figure depends on."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import nn

from search_spaces import Architecture, InputError, build_model
from search_spaces.families import DEFAULT, family
from search_spaces.graph import check_image_size

from .. import runtimes
from ..evaluator import EvaluationError
from ..formats import export
from ..formats.onnx import ImageSize
from ..locks import machine_lock
from . import agent


@dataclass(frozen=True)
class Latency:
    """Milliseconds for one image, and everything that the figure depends on.

    Attributes:
        median_ms, q25_ms, q75_ms: corrected for the machine's drift: ratio to the reference model's latency
            meanwhile, times what the reference takes usually.
        raw_ms: the uncorrected median.
        reference_ms: the reference model's median meanwhile.
        disturbed: the reference was slower than usual all the while, so that the correction may be off.
        rounds, repeats, warmup: slices, timed runs and runs before them.
        device, runtime: names, the runtime's with its version.
        activations: the form of INT8; None for another precision.
        timed: what was timed.
    """

    median_ms: float
    q25_ms: float
    q75_ms: float
    raw_ms: float
    reference_ms: float
    rounds: int
    repeats: int
    warmup: int
    device: str
    runtime: str
    precision: str
    threads: int
    image_size: tuple[int, int]
    disturbed: bool
    activations: str | None = None
    batch: int = 1
    timed: str = agent.TIMED

    @property
    def iqr_ms(self) -> float:
        """The interquartile range in ms."""
        return self.q75_ms - self.q25_ms

    @property
    def protocol(self) -> str:
        """What the figure is, in a line."""
        return (
            f"{self.device}, {self.runtime}, {agent.precision_text(self.precision, self.activations)}, "
            f"{self.threads} thread(s), batch {self.batch}, median of "
            f"{self.rounds} rounds ({self.repeats} runs after {self.warmup}) relative to a reference model, {self.timed}"
        )


def reference_architecture() -> Architecture:
    """The architecture of the model that every measurement, of whatever family, is compared with."""
    return family(DEFAULT).reference_architecture()


def check_runtime(runtime: str, device: str, precision: str) -> None:
    """Raise InputError unless the runtime is one that has the device and the precision."""
    try:
        runtimes.check(runtime, device, precision)
    except runtimes.Unavailable as error:
        raise InputError(str(error)) from None


class LatencyMeter:
    """Measures networks with one runtime on one device; every figure is taken between slices of a reference model.

    Args:
        runtime, device, precision: of `evaluators.runtimes.RUNTIMES`.
        threads: of the runtime, on a CPU.
        num_classes: of the reference model.
        reference_ms: the reference model's latency that figures are corrected to; None measures it now, which is right
            when the machine has nothing else to do.
        activations: the form of INT8; None is what suits this machine.

    Raises:
        InputError: the runtime, the device or the precision is not there.
    """

    def __init__(
        self,
        runtime: str = "onnxruntime",
        device: str = "cpu",
        precision: str = "FP32",
        threads: int = 1,
        num_classes: int = 80,
        reference_ms: float | None = None,
        activations: str | None = None,
    ) -> None:
        check_runtime(runtime, device, precision)
        self.runtime, self.device, self.precision, self.threads = runtime, device, precision, threads
        self.activations = (activations or agent.suiting_activations(device)) if precision == "INT8" else None
        self._scratch = tempfile.TemporaryDirectory(prefix="evoyolo-latency-")
        reference = reference_architecture()
        model, image_size = build_model(reference, num_classes), reference["image_size"]
        plain = agent.reference_precision(precision)
        try:
            path = self._export("reference", model, image_size, plain)
            self._reference = self._open(path, image_size, plain)
            self.version = self._reference.version
            with machine_lock("latency"):
                self.reference_ms = reference_ms or agent.usual_ms(self._reference)
        except InputError:
            raise
        except Exception as error:  # each runtime has its own way of failing
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
            raise InputError(f"{runtime} cannot run the reference model on {device} in {precision}: {reason}") from None

    def _export(
        self, name: str, model: nn.Module, image_size: ImageSize, precision: str, images: np.ndarray | None = None
    ) -> Path:
        folder = Path(self._scratch.name)
        files = export(model, [self.kind], folder, name, image_size, precision, images, self.activations)
        return folder / files[self.kind]

    def _open(self, path: Path, image_size: ImageSize, precision: str) -> runtimes.Session:
        shape = (1, 3, *check_image_size(image_size))
        try:
            return runtimes.open_session(self.runtime, str(path), shape, self.threads, self.device, precision)
        except runtimes.Unavailable as error:
            raise InputError(str(error)) from None

    @property
    def kind(self) -> str:
        """The file format that the runtime reads."""
        return runtimes.runtime(self.runtime).kind

    def measure(self, model: nn.Module, image_size: ImageSize, images: np.ndarray | None = None) -> Latency:
        """Latency of a network for one image of `image_size` pixels, an edge or (height, width); the network is left as it is.

        Args:
            images: (n, 3, height, width) float32 from 0 to 1, to calibrate INT8 with, of any size.

        Raises:
            EvaluationError: the network cannot be exported or run, or the figures spread too widely.
        """
        try:
            path = self._export("model", model, image_size, self.precision, images)
        except InputError:
            raise
        except Exception as error:  # each format has its own way of refusing a network
            raise EvaluationError(f"latency: {type(error).__name__}: {error}".splitlines()[0]) from None
        return self.measure_file(path, image_size)

    def measure_file(self, path: Path, image_size: ImageSize, precision: str | None = None) -> Latency:
        """Latency of the network in a file, of the format that the runtime reads, as it is.

        Args:
            precision: that the figure is labelled with: that of the file, where it is another than the meter's.

        Raises:
            EvaluationError: the runtime cannot run the file, or the figures spread too widely.
        """
        try:
            session = self._open(path, image_size, self.precision)
            with machine_lock("latency"):
                figures = agent.measure(session, self._reference, self.reference_ms)
        except InputError:
            raise
        except Exception as error:  # each runtime has its own way of refusing a network
            raise EvaluationError(f"latency: {type(error).__name__}: {error}".splitlines()[0]) from None
        kept = ("raw_ms", "reference_ms", "rounds", "repeats", "warmup")
        return Latency(
            median_ms=figures["ratio"] * self.reference_ms,
            q25_ms=figures["ratio_q25"] * self.reference_ms,
            q75_ms=figures["ratio_q75"] * self.reference_ms,
            **{name: figures[name] for name in kept},
            device=agent.accelerator_name(self.device),
            runtime=f"{self.runtime} {self.version}",
            precision=precision or self.precision,
            activations=self.activations if precision in (None, self.precision) else None,
            threads=self.threads,
            image_size=check_image_size(image_size),
            disturbed=agent.is_slow(figures["reference_ms"], self.reference_ms),
        )
