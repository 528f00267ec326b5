"""Which channels of a block belong together: the entries of its parameters that stay or go with each of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

NORMALISATION = ("weight", "bias", "running_mean", "running_var")


@dataclass(frozen=True)
class Place:
    """Where a stretch of an axis stands in a tensor.

    Attributes:
        tensor: the name of a parameter or buffer of the module.
        dim: the dimension along which the channels stand.
        start: the entry of the first of them.
        first, count: the stretch of the axis, channels `first` to `first + count`.
    """

    tensor: str
    dim: int
    start: int
    first: int
    count: int


class Axes:
    """Axes of channels of one module: their sizes and every place where they stand.

    An axis is made of segments. When a module is narrowed each segment is, so that a channel never changes its role: the
    two halves of a split, or the quarter of the channels that a partial convolution takes.
    """

    def __init__(self) -> None:
        self.segments: dict[str, tuple[int, ...]] = {}
        self.places: dict[str, list[Place]] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(self.segments)

    def add(self, name: str, *segments: int) -> None:
        """An axis of so many channels in each of its segments."""
        self.segments[name] = segments
        self.places[name] = []

    def size(self, name: str) -> int:
        """The number of channels of an axis."""
        return sum(self.segments[name])

    def _place(self, tensor: str, dim: int, name: str, start: int, first: int, count: int | None) -> None:
        count = self.size(name) - first if count is None else count
        self.places[name].append(Place(tensor, dim, start, first, count))

    def reads(self, conv: str, name: str, start: int = 0, first: int = 0, count: int | None = None) -> None:
        """The convolution at `conv` reads a stretch of the axis (all of it by default) at its inputs from `start` on."""
        self._place(f"{conv}.weight", 1, name, start, first, count)

    def writes(self, conv: str, name: str, start: int = 0, first: int = 0, count: int | None = None) -> None:
        """The convolution at `conv` gives a stretch of the axis at its outputs from `start` on."""
        for tensor in ("weight", "bias"):
            self._place(f"{conv}.{tensor}", 0, name, start, first, count)

    def unit_reads(self, unit: str, name: str, start: int = 0, first: int = 0, count: int | None = None) -> None:
        """As `reads`, of the convolution with normalisation (Ultralytics' Conv) at `unit`; "" is the module itself."""
        self.reads(_inside(unit, "conv"), name, start, first, count)

    def unit_writes(self, unit: str, name: str, start: int = 0, first: int = 0, count: int | None = None) -> None:
        """As `writes`, of the convolution with normalisation (Ultralytics' Conv) at `unit`; a depthwise one has this only."""
        self.writes(_inside(unit, "conv"), name, start, first, count)
        for tensor in NORMALISATION:
            self._place(_inside(unit, f"bn.{tensor}"), 0, name, start, first, count)

    def unit(self, unit: str, source: str, target: str) -> None:
        """The unit at `unit` leads from all of one axis to all of another."""
        self.unit_reads(unit, source)
        self.unit_writes(unit, target)

    def by_tensor(self) -> dict[tuple[str, int], list[tuple[str, Place]]]:
        """(tensor, dimension) -> the (axis, place) pairs along it, in the order of their entries."""
        found: dict[tuple[str, int], list[tuple[str, Place]]] = {}
        for name, places in self.places.items():
            for place in places:
                found.setdefault((place.tensor, place.dim), []).append((name, place))
        return {key: sorted(entries, key=lambda entry: entry[1].start) for key, entries in found.items()}


def _inside(module: str, name: str) -> str:
    return f"{module}.{name}" if module else name
