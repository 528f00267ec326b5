"""The search configuration: one validated set of fields, the same in the YAML file and on the command line."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from evaluators.evaluator import metric_and_device, metric_on
from evaluators.latency.profile import DeviceProfile
from evaluators.precision import Precision, check_precision
from evaluators.recipe import Recipe, recipe_choices
from search_spaces import Architecture, InputError, SearchSpace
from search_spaces.definition import searched_names, space_named
from search_spaces.errors import one_of
from search_spaces.families import family_of
from search_spaces.files import read_yaml
from search_spaces.validation import PathText, Real, Whole, first_problem
from search_spaces.yaml_text import to_yaml

from ..algorithms import ALGORITHMS
from ..objectives import Constraint, Objective
from ..schedulers import SCHEDULERS
from .fields import (
    Above0,
    AlgorithmName,
    DataText,
    ObjectiveTexts,
    PlainName,
    Positive,
    SchedulerName,
    SpaceName,
    TextOrNone,
    TrainingDevice,
)
from .region import FEWEST, MOST

# Small detectors that train in well under a minute on one core, at the size of the built-in scenes.
SMALL = {
    "image_size": [96, 128],
    "p5_width": [64, 128, 192, 256],
    "p4_width": [32, 64, 96, 128],
    "pan_n5_width": [64, 128, 192, 256],
    "pan_p4_width": [32, 64, 96, 128],
    "pan_n4_width": [32, 64, 96, 128],
}


EVALUATIONS = 14  # where neither they nor hours are given
ENOUGH = 8  # evaluations of which one may go into learning how noisy they are
RAY_ONLY = ("address", "gpus_per_trial", "max_concurrent", "batch_evaluations")


class SearchConfig(BaseModel):
    """Everything that `evoyolo search` can be told. Defaults are the built-in demonstration."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True, frozen=True)

    name: PlainName = Field(
        "search", description="names the run; its folder is results/NAME unless `directory` is given"
    )
    directory: PathText | None = Field(None, description="the run's folder")

    space: SpaceName = Field("yolo", description=f"what is searched: {one_of(searched_names())}")
    restrict: dict[str, list] = Field(
        default_factory=lambda: dict(SMALL), description="choices of the space with the values they are restricted to"
    )
    references: list[str] = Field(
        ["yolov8n", "light-recipe"],
        description="presets that are evaluated at the smallest image size left in the space, and drawn in the picture; those "
        "within the bounds first, the others after the plain scalings",
    )
    scalings: Annotated[Whole, Field(ge=0)] | None = Field(
        None,
        description="plain scalings, YOLOv8 at other widths, depths and image sizes, that are evaluated first, spread over what the "
        f"bounds leave; none is about a third of the evaluations, {FEWEST} to {MOST}, and 0 begins without any",
    )
    within: TextOrNone = Field(
        "yolov8n",
        description="where no max_latency_ms, max_params or max_macs is given, nothing slower than this preset at the smallest image "
        "size is asked (where latency is no objective, nothing that costs more); none asks anything",
    )

    data: DataText = Field(
        "digits",
        description="digits (built in), an Ultralytics data.yaml or the folder that holds it, COCO json (train.json:val.json), or a "
        "folder of Pascal VOC XML",
    )
    epochs: Positive = Field(6, description="epochs of training per architecture")
    image_size: Whole | None = Field(
        None,
        description="pixels of all models, in training, accuracy, latency and files, a multiple of 32; none searches those of "
        "the space",
    )
    fraction: Annotated[Real, Field(gt=0, le=1)] = Field(1.0, description="share of the training images to use")
    rungs: list[Positive] = Field(
        default_factory=list,
        description="epochs at which trainings are judged, ascending to `epochs`, such as [2, 6, 18]; of those at f the best f/g "
        "go on to the next rung g, from their checkpoint, and max_evaluations counts whole trainings; none trains each to the end",
    )
    batch: Positive = Field(4, description="images per training step; small ones make more steps of a short training")
    training: dict[str, Any] = Field(
        default_factory=dict,
        description="Ultralytics training settings that replace ours, such as {lr0: 0.002, mosaic: 1.0}",
    )
    recipe: list[str | dict[str, dict[str, Any]]] = Field(
        ["train"],
        min_length=1,
        description="steps that are carried out on every architecture, each a name or {name: {option: value}}, such as "
        "[train, export, {quantise: {precision: INT8}}]; accuracy is of the file that the last one leaves",
    )
    recipe_choices: dict[str, list[Any]] = Field(
        default_factory=dict,
        description="options of the recipe that are searched with the architecture, such as {quantise.precision: [FP32, INT8]}",
    )
    training_device: TrainingDevice = Field("cpu", description="what trains: cpu, or one CUDA device such as 0")
    amp: Precision = Field(
        "auto", description="precision of training; auto is bf16, or fp16 where a GPU has no bf16, and fp32 on a CPU"
    )

    device: list[PathText] = Field(
        default_factory=list,
        description="device profiles (files, or names that `evoyolo device list` shows) whose latency is predicted; "
        "without one, some models are measured on this machine first, in a minute or two, and kept for the next search",
    )

    objectives: ObjectiveTexts = Field(
        ["map50_95:max", "latency_ms:min"],
        min_length=1,
        description="metric:direction, the first one leads; with several devices latency_ms stands for that of each, "
        "and latency_ms@NAME for one",
    )
    max_latency_ms: Above0 | dict[str, Above0] | None = Field(
        None, description="hard limit on the latency, of every device or, as {NAME: 8.0}, of some"
    )
    max_params: Positive | None = Field(None, description="hard limit on parameters")
    max_macs: Positive | None = Field(None, description="hard limit on multiply-accumulates per image")
    latency_threads: Positive = Field(1, description="threads of the runtime, where this machine is measured")
    profile_models: Annotated[Whole, Field(ge=5)] = Field(
        18, description="models that are measured where no device profile is given"
    )

    start_from: PathText | None = Field(
        None, description="folder of another run whose front is evaluated first, on whatever data and device that was"
    )

    algorithm: AlgorithmName = Field("surrogate", description=f"search algorithm: {one_of(ALGORITHMS)}")
    algorithm_options: dict[str, Any] = Field(
        default_factory=dict, description="what the algorithm may be told, such as {initial: 12}"
    )
    prior: PathText = Field(
        "auto",
        description="which models are believed to learn well before any is trained: auto, as trainings on other data told of the "
        "model family, none, or a file of benchmarks/accuracy_prior.py",
    )
    scheduler: SchedulerName | None = Field(
        None,
        description=f"how far every evaluation goes: {one_of(SCHEDULERS)}; none is halving where there are rungs",
    )
    scheduler_options: dict[str, Any] = Field(default_factory=dict, description="what the scheduler may be told")
    seed: Annotated[Whole, Field(ge=0, lt=2**32)] = Field(0, description="seed of the search and of every training")
    max_evaluations: Positive | None = Field(
        None,
        description=f"architectures to evaluate; none is {EVALUATIONS}, or with `hours` as many as there is time for",
    )
    hours: Above0 | None = Field(
        None,
        description="hours that the search may take, those of an interrupted run counted in: nothing is started that is not expected "
        "to end within them; the export of the front comes after",
    )
    max_minutes: Above0 | None = Field(
        None,
        description="start no evaluation after this many minutes of this command, however long the last ones take; `hours` looks ahead",
    )

    trial_minutes: Above0 | None = Field(
        None, description="stop an evaluation that takes longer than so many minutes, as failed"
    )

    repeats: Annotated[Whole, Field(ge=0)] | None = Field(
        None,
        description="how often the first reference is trained again with another seed, as part of max_evaluations, so that it is "
        f"known how noisy accuracies are; none is once, where there are {ENOUGH} evaluations or more",
    )
    confirm: Annotated[Whole, Field(ge=0)] = Field(
        0,
        description="trainings beyond max_evaluations, at the end, of models that may be wrongly on the front or off it, with "
        "other seeds; a finished run is confirmed by `evoyolo resume RUN --confirm 6`",
    )

    executor: Literal["ray", "here"] = Field("ray", description="ray, or here: one at a time in this process")
    address: str | None = Field(None, description="address of a Ray cluster to join; none starts a local one")
    cpus_per_trial: Above0 = Field(1, description="CPU cores reserved for each trial")
    gpus_per_trial: Annotated[Real, Field(ge=0)] = Field(0, description="GPUs, or a fraction of one, for each trial")
    max_concurrent: Positive | None = Field(None, description="most trials at once; none is what the resources hold")

    batch_evaluations: Positive | None = Field(
        None,
        description="evaluations handed at once to a long-lived Ray actor, for short ones; none makes each a trial of Ray Tune",
    )

    @model_validator(mode="before")
    @classmethod
    def _one_image_size(cls, values: Any) -> Any:
        size = values.get("image_size") if isinstance(values, dict) else None
        if size is None:
            return values
        restrict = values.get("restrict", SMALL)
        if not isinstance(restrict, dict):
            return values
        # the sizes among our own restrictions, which `init` writes out, are no wish of the user's
        ours = restrict.get("image_size", SMALL["image_size"]) == SMALL["image_size"]
        return {**values, "restrict": {**restrict, "image_size": [size] if ours else restrict["image_size"]}}

    @model_validator(mode="after")
    def _space_and_references(self) -> SearchConfig:
        if self.image_size is not None and (sizes := self.restrict["image_size"]) != [self.image_size]:
            raise ValueError(f"image_size {self.image_size}: restrict says image_size {sizes}; leave one of them out")
        # InputError is a ValueError: pydantic reports its message
        self.reference_architectures()
        try:
            self.region_architecture()
        except InputError as error:
            raise ValueError(f"within: {error}") from None
        return self

    @model_validator(mode="after")
    def _precision(self) -> SearchConfig:
        check_precision(self.training_device, self.amp)
        return self

    @model_validator(mode="after")
    def _recipe(self) -> SearchConfig:
        recipe = self.make_recipe()
        made = [recipe.with_values({name: value}) for name, values in self.recipe_choices.items() for value in values]
        kinds = {each.precision for each in made}
        if len(kinds) < 2:
            kinds = {f"INT8 with {each.int8} activations" for each in made if each.precision == "INT8"}
        wanted = [c.metric for c in self.make_constraints()] + [o.metric for o in self.make_objectives()]
        if len(kinds) > 1 and "latency_ms" in {metric_and_device(name)[0] for name in wanted}:
            raise ValueError(
                f"recipe_choices: makes models in {one_of(sorted(kinds))}, and a latency is predicted for one precision; "
                "search one of them, or leave latency_ms out of the objectives"
            )
        return self

    @model_validator(mode="after")
    def _rungs_end_at_the_epochs(self) -> SearchConfig:
        if self.rungs and (self.rungs != sorted(set(self.rungs)) or self.rungs[-1] != self.epochs):
            raise ValueError(f"rungs must ascend and end at epochs ({self.epochs}), not {self.rungs}")
        return self

    @model_validator(mode="after")
    def _devices(self) -> SearchConfig:
        for source in self.device:
            if source.isdigit() or source in ("cpu", "cuda"):
                raise ValueError(f"device: {source!r} is no device profile; what trains is `training_device`")
        names = [profile.name for profile in self.profiles]
        if len(set(names)) < len(names):
            raise ValueError(f"device: two profiles have the same name ({', '.join(names)})")
        for profile in self.profiles:
            profile.check_covers(self.make_space())
        named = [metric_and_device(text.partition(":")[0])[1] for text in self.objectives]
        if isinstance(self.max_latency_ms, dict):
            named += list(self.max_latency_ms)
        for name in named:
            if name is not None and (name not in names or len(names) < 2):
                raise ValueError(
                    f"{name!r} is none of several devices"
                    + (f"; they are {one_of(names)}" if len(names) > 1 else "; give two or more with `device`")
                )
        return self

    # -- what the fields mean -----------------------------------------------------------------------------------

    def make_space(self) -> SearchSpace:
        """The space, restricted."""
        space = space_named(self.space)
        space = space.restrict(self.restrict) if self.restrict else space
        extra = recipe_choices(self.make_recipe(), self.recipe_choices)
        return space.extended(extra) if extra else space

    def make_recipe(self) -> Recipe:
        """What is done to every architecture."""
        recipe = Recipe.read(self.recipe)
        for step in recipe.steps:
            if not step.is_searched:
                raise InputError(f"recipe: {step.name} is a step of `evoyolo compress`, not of a search")
        return recipe

    def reference_architectures(self) -> dict[str, Architecture]:
        """Preset name -> architecture, for the references; they need not lie in the restricted space."""
        return {name: self.smallest(name) for name in self.references}

    def region_architecture(self) -> Architecture | None:
        """What bounds the search, which need not lie in the restricted space; None where nothing does, or bounds are given."""
        given = {self.max_params, self.max_macs} != {None} or self.max_latency_ms not in (None, {})
        architecture = None if self.within is None else self.smallest(self.within)
        return None if given else architecture

    def smallest(self, preset: str) -> Architecture:
        """A preset at the smallest image size of the restricted space, of the whole one."""
        space = self.make_space()
        smallest = {"image_size": space["image_size"].values[0]}
        return family_of(space).preset(preset, space_named(self.space, [smallest]), **smallest)

    @property
    def evaluations(self) -> int | None:
        """Architectures to evaluate; None where hours alone end the search."""
        return EVALUATIONS if self.max_evaluations is None and self.hours is None else self.max_evaluations

    @property
    def repeats_of_reference(self) -> int:
        """How often the first reference is trained again: a few evaluations are better spent on other models."""
        return int((self.evaluations or ENOUGH) >= ENOUGH) if self.repeats is None else self.repeats

    def make_objectives(self) -> list[Objective]:
        objectives = []
        for text in self.objectives:
            metric, direction = text.split(":")
            several = metric == "latency_ms" and self.device_names
            objectives += [Objective(name, direction) for name in (self._on_devices(metric) if several else [metric])]
        return objectives

    def make_constraints(self) -> list[Constraint]:
        bounds: dict[str, float | None] = {"params": self.max_params, "macs": self.max_macs}
        if isinstance(self.max_latency_ms, dict):
            bounds |= {metric_on("latency_ms", name): bound for name, bound in self.max_latency_ms.items()}
        elif self.max_latency_ms is not None:
            bounds |= dict.fromkeys(self._on_devices("latency_ms"), self.max_latency_ms)
        return [Constraint(metric, upper=bound) for metric, bound in bounds.items() if bound is not None]

    @cached_property
    def profiles(self) -> list[DeviceProfile]:
        return [DeviceProfile.load(source) for source in self.device]

    @property
    def device_names(self) -> list[str]:
        """Names that tell several devices apart; none where there is one device or none."""
        return [profile.name for profile in self.profiles] if len(self.device) > 1 else []

    def _on_devices(self, metric: str) -> list[str]:
        return [metric_on(metric, name) for name in self.device_names] or [metric]

    @property
    def run_directory(self) -> Path:
        return Path(self.directory) if self.directory else Path("results") / self.name

    def to_dict(self) -> dict[str, Any]:
        return self.model_dump()


def make_config(values: Mapping[str, Any], source: str) -> SearchConfig:
    """A configuration from field values; `source` names where they are from in messages.

    Raises:
        InputError: an unknown field or a wrong value; names the source, the field and the value.
    """
    try:
        return SearchConfig(**values)
    except ValidationError as error:
        if error.errors()[0]["type"] == "extra_forbidden":
            field = error.errors()[0]["loc"][0]
            raise InputError(f"{source}: no field {field!r}; there are {one_of(SearchConfig.model_fields)}") from None
        raise InputError(f"{source}: {first_problem(error)}") from None


def read_settings(path: str | Path) -> dict:
    """The fields in a YAML file. Raises InputError that names the file and, where it can, the line."""
    values = read_yaml(path)
    if values is None:
        return {}
    if not isinstance(values, dict) or not all(isinstance(field, str) for field in values):
        raise InputError(f"{path}: must be a list of `field: value` lines")
    return values


def load_config(path: str | Path, **overrides: Any) -> SearchConfig:
    """The configuration in a YAML file, with some fields overridden."""
    return make_config({**read_settings(path), **overrides}, str(path))


def commented_yaml(config: SearchConfig | None = None) -> str:
    """A configuration file with every field, its default or value, and what it means."""
    values = (config or SearchConfig()).to_dict()
    lines = ["# Settings of `evoyolo search`; each is an option of the command line too (--max-latency-ms 8)."]
    for name, field in SearchConfig.model_fields.items():
        # None lets the dumper write lists in one line, but would do so to a mapping of plain values as well
        style = None if isinstance(values[name], (list, dict)) else False
        text = to_yaml({name: values[name]}, default_flow_style=style, width=110).strip()
        lines += ["", f"# {field.description}", text]
    return "\n".join(lines) + "\n"
