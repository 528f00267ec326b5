"""Device profiles: a device, a runtime, every measurement and the fitted predictor, in one JSON file."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import numpy as np
from pydantic import Field, model_validator

from search_spaces import Architecture, InputError, SearchSpace
from search_spaces.definition import space_named
from search_spaces.errors import one_of
from search_spaces.writing import unusable_name, write_text

from .. import runtimes
from . import agent
from .features import work_of
from .predictor import FEWEST, HeldOut, LatencyPredictor
from .results import Count, Evidence, Milliseconds, Results, Strict

if TYPE_CHECKING:
    from ..formats.onnx_operators import OnnxNetwork

VERSION: Final = 1
PROFILES = Path("devices")  # where the user's are written and looked for
SHIPPED = Path(__file__).parent / "profiles"
SUFFIX = ".json"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class Measurement(Evidence):
    """One architecture: its latency corrected for drift, or why there is none."""

    architecture: dict[str, Any]
    latency_ms: Milliseconds | None = None
    q25_ms: Milliseconds | None = None
    q75_ms: Milliseconds | None = None

    @model_validator(mode="after")
    def _figure_or_reason(self) -> Measurement:
        if self.failed is not None:
            return self
        figures = [figure for figure in (self.q25_ms, self.latency_ms, self.q75_ms) if figure is not None]
        if len(figures) < 3:
            raise ValueError("needs latency_ms, q25_ms and q75_ms, or failed")
        if figures != sorted(figures):
            raise ValueError(f"latency_ms {self.latency_ms:g} is not between q25_ms and q75_ms")
        return self


class DeviceProfile(Strict):
    """What was measured on one device with one runtime, and the predictor fitted to it."""

    evoyolo_profile: Literal[1] = VERSION
    name: Annotated[str, Field(pattern=rf"^{NAME.pattern}$")]
    date: str
    machine: str
    system: str
    runtime: str
    version: str
    device: str = "cpu"
    precision: str
    activations: agent.Activations | None = None  # of INT8; an earlier version does not say it
    threads: Count
    batch: Literal[1] = 1
    timed: str = agent.TIMED
    space: str
    num_classes: Count
    reference_ms: Milliseconds
    adapted_from: str | None = None
    measurements: list[Measurement]
    held_out: HeldOut
    predictor: dict[str, Any]

    @model_validator(mode="after")
    def _complete(self) -> DeviceProfile:
        count = len(self.measured)
        if not all(isinstance(m.architecture.get("image_size"), int) for m in self.measured):
            raise ValueError("measurements: one has no image_size")
        held = (self.held_out.value_ms, self.held_out.low_ms, self.held_out.high_ms)
        if count < FEWEST or any(len(values) != count for values in held):
            raise ValueError(f"held_out does not belong to the {count} measurements")
        return self

    # -- reading and writing ------------------------------------------------------------------------------------

    @classmethod
    def load(cls, source: str | Path) -> DeviceProfile:
        """The profile in a file, or by its name one in ./devices or one that ships. Nothing in it is executed.

        Raises:
            InputError: no such profile, not JSON, another version, or a field that is missing or absurd.
        """
        path = _find(source)
        profile = cls.read(path, "evoyolo_profile", VERSION, "a device profile")
        try:
            profile.fitted  # noqa: B018 - numbers that are missing or absurd are found out now
        except InputError as error:
            raise InputError(f"{path}: {error}") from None
        return profile

    def to_json(self) -> str:
        """The text of the profile's file."""
        return json.dumps(self.model_dump(exclude_none=True), indent=1) + "\n"

    def save(self, path: str | Path) -> None:
        """Write the profile's file."""
        write_text(Path(path), self.to_json())

    @classmethod
    def fit(cls, name: str, results: Results, *, adapt_from: DeviceProfile | None = None) -> DeviceProfile:
        """The profile that the results of a pack make.

        Args:
            adapt_from: a profile of another device, which the predictor corrects instead of starting from nothing.

        Raises:
            InputError: too few models were measured, or the other profile is of another space.
        """
        check_name(name)
        space = space_named(results.space, [model.architecture for model in results.models])
        if adapt_from:
            adapt_from.check_same_space(space)
        if not results.figures:
            reason = results.measurements[0].failed if results.measurements else "nothing was measured"
            raise InputError(f"none of the models could be measured: {reason}")
        nominal = float(np.median([m.reference_ms for m in results.figures]))
        by_name = {model.name: model.architecture for model in results.models}
        measurements: list[dict[str, Any]] = []
        for m in results.measurements:
            entry: dict[str, Any] = {"architecture": by_name[m.name]}
            if m.failed is not None:
                entry["failed"] = m.failed
            else:
                ratios = {"latency_ms": "ratio", "q25_ms": "ratio_q25", "q75_ms": "ratio_q75"}
                entry |= {field: getattr(m, ratio) * nominal for field, ratio in ratios.items()}
                entry |= {field: getattr(m, field) for field in Evidence.model_fields}
            measurements.append(entry)
        predictor = LatencyPredictor.fit(
            [space.architecture(**by_name[m.name]) for m in results.figures],
            [entry["latency_ms"] for entry in measurements if "latency_ms" in entry],
            num_classes=results.num_classes,
            adapt_from=[adapt_from.fitted] if adapt_from else [],
        )
        copied = (
            "machine",
            "system",
            "runtime",
            "version",
            "device",
            "precision",
            "activations",
            "threads",
            "space",
            "num_classes",
        )
        return cls(
            name=name,
            date=datetime.date.fromtimestamp(max(m.time for m in results.figures)).isoformat(),
            **{field: getattr(results, field) for field in copied},
            reference_ms=nominal,
            adapted_from=adapt_from.name if adapt_from else None,
            measurements=measurements,
            held_out=predictor.held_out,
            predictor=predictor.to_dict(),
        )

    # -- what it says -------------------------------------------------------------------------------------------

    @cached_property
    def fitted(self) -> LatencyPredictor:
        """The predictor; InputError when its numbers are missing or absurd."""
        return LatencyPredictor.from_dict(self.predictor)

    @property
    def measured(self) -> list[Measurement]:
        """The measurements that succeeded."""
        return [m for m in self.measurements if m.failed is None]

    def make_space(self) -> SearchSpace:
        """The whole space that was measured."""
        return space_named(self.space, [m.architecture for m in self.measurements])

    @property
    def protocol(self) -> str:
        """What a figure of this profile is, in a line."""
        where = f"{self.threads} thread(s)" if self.device == "cpu" else self.device
        precision = agent.precision_text(self.precision, self.int8)
        return f"{self.machine}, {self.runtime} {self.version}, {precision}, {where}, batch 1, {self.timed}"

    @property
    def int8(self) -> str | None:
        """The form of INT8 that was measured: signed activations, before there were others. None for another precision."""
        return (self.activations or agent.SIGNED) if self.precision == "INT8" else None

    @property
    def image_sizes(self) -> tuple[int, int]:
        """The smallest and the largest edge that was measured, in pixels."""
        sizes = [m.architecture["image_size"] for m in self.measured]
        return min(sizes), max(sizes)

    def predict(
        self, architectures: Sequence[Architecture], num_classes: int | None = None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(value, low, high) in ms, each (n,); low and high are the ends of a 90% interval.

        Raises:
            InputError: the numbers in the profile make no predictor.
        """
        with self._named():
            return self.fitted.predict(architectures, num_classes=num_classes or self.num_classes)

    def predict_network(self, network: OnnxNetwork) -> tuple[float, float, float]:
        """(value, low, high) in ms of a network of which only its operators are known; low and high as of `predict`.

        Raises:
            InputError: the image is smaller or larger than those measured, the numbers in the profile make no predictor, or
                it is of a space without layer graphs.
        """
        pixels = network.image.height * network.image.width
        low, high = self.image_sizes
        if not low**2 <= pixels <= high**2:
            raise InputError(
                f"device profile {self.name} was measured at image sizes from {low} to {high} px and says nothing of "
                f"{network.image.height} x {network.image.width} px; measure a profile there"
            )
        with self._named():
            value, least, most = self.fitted.predict_work(work_of(network.operators, pixels))
        return float(value[0]), float(least[0]), float(most[0])

    @contextlib.contextmanager
    def _named(self) -> Iterator[None]:
        """Errors of the predictor name the profile."""
        try:
            yield
        except InputError as error:
            raise InputError(f"device profile {self.name}: {error}") from None

    def check_covers(self, space: SearchSpace) -> None:
        """Refuse a space, or an architecture's image size, far from what was measured.

        Raises:
            InputError: another space, or an image size outside those measured.
        """
        self.check_same_space(space)
        low, high = self.image_sizes
        outside = [size for size in space["image_size"].values if not low <= size <= high]
        if outside:
            raise InputError(
                f"device profile {self.name} was measured at image sizes from {low} to {high} px and says nothing of "
                f"{one_of(outside)} px; restrict image_size, or measure a profile there"
            )

    def check_same_space(self, space: SearchSpace) -> None:
        """Raises InputError when `space` is not the one that was measured."""
        if space.name != self.space:
            raise InputError(f"device profile {self.name} is of the space {self.space!r}, not of {space.name!r}")

    def elsewhere(self) -> str | None:
        """Why figures of this profile are not those of this machine as it is now; None where they are.

        Looked at are the machine's name, the runtime's version and, on a CPU, the threads.
        """
        here = agent.accelerator_name(self.device)
        if here != self.machine:
            return f"it is of {self.machine}, and this machine is {here}"
        installed = runtimes.runtime(self.runtime).installed_version()
        if installed is None:
            return f"{self.runtime} is not installed here"
        # builds of one version ("2.9.1+cu128") are told apart by neither figure
        if self.version.partition("+")[0] != installed.partition("+")[0]:
            return f"it is of {self.runtime} {self.version}, and {installed} is installed"
        if self.device == "cpu" and self.threads > agent.default_threads():
            return f"it is of {self.threads} threads, and this process may use {agent.default_threads()}"
        return None

    def is_here(self) -> bool:
        """Whether this machine, with the runtime that is installed and its cores, is the one that was measured."""
        return self.elsewhere() is None

    def is_of_this_machine(self) -> bool:
        """Whether this machine is, by its name, the one that was measured, whatever is installed on it now."""
        return agent.accelerator_name(self.device) == self.machine


def check_name(name: str) -> None:
    """Raise InputError unless `name` can name a profile and its file."""
    if not NAME.fullmatch(name):
        raise InputError(
            f"profile name {name!r}: must be letters, digits, '.', '_' and '-', the first a letter or a digit"
        )
    if (why := unusable_name(name)) is not None:
        raise InputError(f"profile name {name!r}: {why}")


def profile_paths() -> list[Path]:
    """The files of the profiles in ./devices, then of those that ship with the package."""
    return sorted(PROFILES.glob(f"*{SUFFIX}")) + sorted(SHIPPED.glob(f"*{SUFFIX}"))


def _find(source: str | Path) -> Path:
    path = Path(source)
    if path.suffix == SUFFIX or os.path.isfile(path):  # of what is no path at all that is false, and no error
        return path
    for folder in (PROFILES, SHIPPED):
        if os.path.isfile(found := folder / f"{source}{SUFFIX}"):
            return found
    names = [path.stem for path in profile_paths()]
    raise InputError(
        f"no device profile {str(source)!r}: give a JSON file{f' or {one_of(names)}' if names else ''}; "
        "`evoyolo device profile NAME` measures this machine"
    )
