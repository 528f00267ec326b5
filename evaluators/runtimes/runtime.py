"""The two roles that every runtime plays: the runtime itself, and a network that it has opened."""

from __future__ import annotations

import importlib.metadata
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import numpy as np


class Unavailable(Exception):
    """A runtime, a device or a precision that is not there; the message says how to get it."""


class Session(ABC):
    """A network that a runtime has opened: `run`, which is timed, and `infer` execute the same compiled network.

    Attributes:
        version: of the runtime.
        timer: runs the network once and returns the milliseconds by the device's own clock, where it has one.
    """

    version: str
    timer: Callable[[], float] | None = None

    @abstractmethod
    def run(self) -> None:
        """Run once on the image that the session holds: nothing is copied or allocated that need not be."""

    @abstractmethod
    def infer(self, image: np.ndarray) -> np.ndarray:
        """Detections of one image.

        Args:
            image: (1, 3, height, width) float32, RGB from 0 to 1, of the size that the file was written for.

        Returns:
            (1, 4 + classes, anchors) float32: boxes as centre and size in pixels, then class scores; the caller's own.
        """


class Runtime(ABC):
    """What reads one kind of file and runs the network in it.

    Attributes:
        name: as users write it.
        kind: the file format it reads ("onnx", "ncnn", "torchscript").
        suffix: of such a file; `others` are of further kinds that it reads.
        packages: of PyPI that bring it, of which one is installed.
        devices, precisions: what it runs on and in; it need not have every combination.
        executes_files: whether its files are programs, so that none of someone else's is opened, and not data.
    """

    name: str
    kind: str
    suffix: str
    packages: tuple[str, ...]
    devices: tuple[str, ...]
    precisions: tuple[str, ...]
    executes_files: bool = False
    others: tuple[str, ...] = ()

    @property
    def suffixes(self) -> tuple[str, ...]:
        """Of all kinds of files that it reads."""
        return (self.suffix, *self.others)

    def check(self, device: str, precision: str) -> None:
        """Raise Unavailable unless it has the device and the precision; whether it is installed is not looked at."""
        if device not in self.devices:
            raise Unavailable(f"{self.name} runs on {', '.join(self.devices)}, not on {device!r}")
        if precision not in self.precisions:
            raise Unavailable(f"{self.name} is measured in {', '.join(self.precisions)}, not in {precision}")

    def installed_version(self) -> str | None:
        """The version that is installed, as sessions give it, found without starting the runtime; None without one."""
        for package in self.packages:
            try:
                return importlib.metadata.version(package)
            except importlib.metadata.PackageNotFoundError:
                pass
        return None

    @abstractmethod
    def open(self, path: str, shape: Sequence[int], threads: int, device: str, precision: str) -> Session:
        """Open a file; the arguments are those of `open_session`, already checked."""


def fixed_image(shape: Sequence[int]) -> np.ndarray:
    """The image that is timed on: (1, 3, height, width) float32 random values from 0 to 1, always the same."""
    return np.random.default_rng(0).random(tuple(shape), dtype=np.float32)
