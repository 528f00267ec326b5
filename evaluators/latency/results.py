"""The results file that run.py brings back from a device, checked before anything is made of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from search_spaces import InputError
from search_spaces.files import read_json
from search_spaces.validation import Real, Whole, first_problem

from ..runtimes import Unavailable, runtime
from . import agent

LEAST_MS, MOST_MS = 1e-3, 3.6e6  # outside of it a unit was mistaken
LATEST = 2**37  # seconds since 1970, which is in the year 6325: a greater figure is not of seconds, and of no date
Milliseconds = Annotated[Real, Field(ge=LEAST_MS, le=MOST_MS)]
Ratio = Annotated[Real, Field(gt=0, le=1e6)]
Count = Annotated[Whole, Field(gt=0)]
Document = TypeVar("Document", bound="Strict")


class Strict(BaseModel):
    """Fields as declared and no others; nothing changes afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @classmethod
    def read(cls: type[Document], path: str | Path, marker: str, version: int, what: str) -> Document:
        """The document in a JSON file whose field `marker` has its version.

        Raises:
            InputError: another document, another version, or a field that is missing or absurd.
        """
        content = read_json(path)
        if not isinstance(content, dict) or marker not in content:
            raise InputError(f"{path}: not {what} (it has no field {marker})")
        if content[marker] != version:
            raise InputError(
                f"{path}: field {marker}: version {content[marker]!r} is not known; this evoyolo reads version {version}"
            )
        try:
            return cls(**content)
        except ValidationError as error:
            raise InputError(f"{path}: {first_problem(error)}") from None


class Model(Strict):
    """A model of the pack."""

    name: str
    architecture: dict[str, Any]
    image_size: tuple[Count, Count]
    files: dict[str, str]


class Evidence(Strict):
    """What belongs to a figure wherever it is kept, or why there is none."""

    raw_ms: Milliseconds | None = None
    reference_ms: Milliseconds | None = None
    rounds: Count | None = None
    repeats: Count | None = None
    warmup: Count | None = None
    failed: str | None = None


class Figures(Evidence):
    """What `agent.measure` returned for one model, or why it returned nothing."""

    name: str
    time: Annotated[Whole, Field(ge=0, le=LATEST)]
    ratio: Ratio | None = None
    ratio_q25: Ratio | None = None
    ratio_q75: Ratio | None = None

    @model_validator(mode="after")
    def _figures_or_reason(self) -> Figures:
        if self.failed is not None:
            return self
        ratios = [value for value in (self.ratio_q25, self.ratio, self.ratio_q75) if value is not None]
        if len(ratios) < 3 or self.raw_ms is None or self.reference_ms is None:
            raise ValueError("has neither its figures nor a reason why there are none")
        if ratios != sorted(ratios):
            raise ValueError("its ratio is not between its quartiles")
        return self


def _known_runtime(name: str) -> str:
    try:
        return runtime(name).name
    except Unavailable as error:
        raise ValueError(str(error)) from None


class Results(Strict):
    """All that was measured of one pack on one device with one runtime."""

    evoyolo_results: Literal[1]
    manifest: str
    space: str
    num_classes: Count
    machine: str
    system: str
    runtime: Annotated[str, AfterValidator(_known_runtime)]
    version: str
    device: str
    precision: Literal["FP32", "FP16", "INT8"]
    activations: agent.Activations | None = None
    threads: Count
    batch: Literal[1]
    timed: str
    reference: Model
    models: list[Model]
    measurements: list[Figures]
    expected_ms: Milliseconds
    attempts: dict[str, Whole]
    repeated: list[str]
    checksum: str

    @model_validator(mode="before")
    @classmethod
    def _sealed(cls, content: Any) -> Any:
        if isinstance(content, dict) and agent.checksum(content) != content.get("checksum"):
            raise ValueError("its checksum does not match: it was changed after it was measured; measure again")
        return content

    @model_validator(mode="after")
    def _of_the_pack(self) -> Results:
        strange = {m.name for m in self.measurements} - {model.name for model in self.models}
        if strange:
            raise ValueError(f"field measurements: {min(strange)!r} is no model of the pack")
        return self

    @property
    def figures(self) -> list[Figures]:
        """The figures of the models that could be measured."""
        return [m for m in self.measurements if m.failed is None]


def read_results(path: str | Path) -> Results:
    """The content of a results file.

    Raises:
        InputError: not a results file, cut off, changed by hand, of another version, or with an absurd figure.
    """
    return Results.read(path, "evoyolo_results", agent.VERSION, "a results file of run.py")
