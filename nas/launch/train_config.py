"""What `evoyolo train` can be told: one validated set of fields, the same on the command line and in the run's train.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from evaluators.latency.agent import default_threads
from evaluators.precision import Precision
from evaluators.recipe import Recipe
from evaluators.steps.taught import Method, Taught
from search_spaces import InputError
from search_spaces.errors import one_of
from search_spaces.validation import PathText, Real, Whole, first_problem
from search_spaces.yaml_text import to_yaml

from .config import Above0, DataText, Positive, SearchConfig


def _as_searched(name: str, **changes: Any) -> Any:
    """A field with the default and the description that it has in a search, but for `changes`."""
    field = SearchConfig.model_fields[name]
    default = field.get_default(call_default_factory=True)
    return Field(**{"default": default, "description": field.description, **changes})


class TrainConfig(BaseModel):
    """How models are trained out; which ones is said apart."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    output: PathText = Field(
        "results/trained", description="the folder that is made, which is a run's as a search's is"
    )
    data: DataText | None = _as_searched(
        "data",
        default=None,
        description="dataset, as `evoyolo search --data` takes it; none is that of the run that the models are of",
    )
    epochs: Positive = Field(100, description="epochs of every training")
    image_size: Whole | None = Field(
        None,
        description="pixels of all models, a multiple of 32; none is each model's own, and a preset's the largest of the others",
    )
    fraction: Annotated[Real, Field(gt=0, le=1)] = _as_searched("fraction")
    batch: Positive | None = Field(
        None, description="images per training step; none is 16, or 8 or 4 where that leaves fewer than 5,000 steps"
    )
    training: dict[str, Any] = Field(
        default_factory=dict,
        description="Ultralytics training settings that replace ours for long training, such as {lr0: 0.002, mosaic: 0.5}",
    )
    mirrored: bool | None = Field(
        None,
        description="whether a mirrored object is one of its class, so that half of the images are mirrored; none is true, "
        "but for the built-in digits",
    )
    teacher: PathText | None = Field(
        None, description="a checkpoint, or RUN:KEY, that all models learn from beside the labels (docs/compression.md)"
    )
    distill: Annotated[list[Method], Field(min_length=1)] = Field(
        default_factory=lambda: list(Taught.model_fields["distill"].default),
        description="what they learn from it: response (its scores), boxes, its maps by cwd or pkd",
    )
    temperature: Above0 = Field(
        Taught.model_fields["temperature"].default, description="that the teacher's answers are softened with"
    )
    patience: Annotated[Whole, Field(ge=0)] = Field(
        0, description="epochs without a better mAP50-95 on the validation split after which a training ends; 0 never"
    )
    validate_every: Positive | None = Field(
        None,
        description="epochs from one validation to the next; none makes about fifty, and one after each of the last",
    )
    seed: Annotated[Whole, Field(ge=0, lt=2**32)] = Field(0, description="seed of the first training of every model")
    seeds: Positive = Field(1, description="trainings of every model, each with a seed of its own")
    training_device: str = _as_searched("training_device")
    amp: Precision = _as_searched("amp")

    device: list[PathText] = Field(
        default_factory=list,
        description="device profiles whose latency is predicted; none are those of the run that the models are of, else some "
        "models are measured on this machine first",
    )
    latency_threads: Positive = _as_searched("latency_threads")
    profile_models: Annotated[Whole, Field(ge=5)] = _as_searched("profile_models")

    max_minutes: Above0 | None = Field(None, description="start no training after this many minutes")
    trial_minutes: Above0 | None = _as_searched(
        "trial_minutes", description="stop a training that takes longer than so many minutes, as failed"
    )
    executor: Literal["ray", "here"] | None = Field(
        None, description="ray, or here: one at a time in this process; none is ray for several trainings, here for one"
    )
    address: str | None = _as_searched("address")
    cpus_per_trial: Above0 | None = Field(
        None,
        description="CPU cores for each training; none is 1 with Ray, and all that this process may use where it trains here",
    )
    gpus_per_trial: Annotated[Real, Field(ge=0)] = _as_searched("gpus_per_trial")
    max_concurrent: Positive | None = _as_searched("max_concurrent")

    objectives: ClassVar[list[str]] = ["map50_95:max", "latency_ms:min"]

    @model_validator(mode="after")
    def _as_a_search(self) -> TrainConfig:
        self.shared()  # what a search checks of the fields that they have in common; InputError is a ValueError
        return self

    def shared(self) -> SearchConfig:
        """A search with the same data, training, devices and executor."""
        names = self.model_fields.keys() & SearchConfig.model_fields.keys() - {"image_size", "device"}
        fields = {name: value for name in names if (value := getattr(self, name)) is not None}
        seeds = {"train_out.seed": self.all_seeds} if self.seeds > 1 else {}
        common = {"restrict": {}, "references": [], "max_macs": None, "recipe": self.recipe, "recipe_choices": seeds}
        return SearchConfig(**{**common, **fields, "directory": self.output})

    @property
    def all_seeds(self) -> list[int]:
        """Of the trainings of a model."""
        return [(self.seed + i) % 2**32 for i in range(self.seeds)]

    @property
    def recipe(self) -> list[str | dict[str, Any]]:
        """What is done to every model."""
        options: dict[str, Any] = {"mirrored": self.mirrored is not False, "patience": self.patience}
        if self.teacher is not None:
            options |= {"teacher": self.teacher, "distill": self.distill, "temperature": self.temperature}
        if self.validate_every is not None:
            options["validate_every"] = self.validate_every
        return [{"train_out": options}]

    def settled(self, trainings: int, data: str, images: int) -> TrainConfig:
        """With everything that was left open decided: where so many trainings run, and on what, of so many training images."""
        from evaluators.training import long_batch  # loads frameworks, which the options of a command do without

        executor = self.executor or ("here" if trainings == 1 else "ray")
        cpus = self.cpus_per_trial or (default_threads() if executor == "here" else 1)
        mirrored = data != "digits" if self.mirrored is None else self.mirrored
        batch = self.batch or long_batch(max(1, round(images * self.fraction)), self.epochs)
        changes = {"executor": executor, "cpus_per_trial": cpus, "mirrored": mirrored, "data": data, "batch": batch}
        return self.model_copy(update=changes)

    def make_recipe(self) -> Recipe:
        """What is done to every model."""
        return Recipe.read(self.recipe)

    def to_dict(self) -> dict[str, Any]:
        return self.model_dump()

    def to_text(self, models: list[str]) -> str:
        """For people: the settings, and which models are trained."""
        head = "# What `evoyolo train` was told. Changing it has no effect: the record of the run is in store.sqlite.\n"
        return head + to_yaml({"models": models, **self.to_dict()}, default_flow_style=False)


def make_train_config(values: Mapping[str, Any], source: str) -> TrainConfig:
    """The settings from field values; `source` names where they are from in messages.

    Raises:
        InputError: an unknown field or a wrong value; names the source, the field and the value.
    """
    try:
        return TrainConfig(**values)
    except ValidationError as error:
        if error.errors()[0]["type"] == "extra_forbidden":
            field = error.errors()[0]["loc"][0]
            raise InputError(f"{source}: no field {field!r}; there are {one_of(TrainConfig.model_fields)}") from None
        raise InputError(f"{source}: {first_problem(error)}") from None
