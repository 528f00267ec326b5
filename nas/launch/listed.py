"""Which models are trained out: named by the user, found in runs and files, each with what is known of it from its search."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from evaluators.training.checkpoint import load_checkpoint
from search_spaces import Architecture, InputError, SearchSpace
from search_spaces.definition import space_named, space_names
from search_spaces.errors import all_of, one_of
from search_spaces.families import families
from search_spaces.models import architecture_of
from search_spaces.validation import Real, first_problem

from ..delivery.files import sources
from ..report.describe import find_architecture
from ..report.front import labels
from ..storage.folder import RunFolder
from ..storage.records import Evaluation
from ..storage.run import Run, load_run
from ..storage.written import digest

Subject = str | Path | Architecture | Run
OWN, NONE = ("search", "own"), "none"


class Listed(BaseModel):
    """A model to be trained, as its run keeps it.

    Attributes:
        name: in tables.
        values: of the choices of its network, in the space named `space`.
        run, key, data, metrics: of the search that it comes from, as it was evaluated there.
        weights: the checkpoint that it begins with, and the digest of that file; None begins from scratch.
        compared: whether it is there for comparison.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    space: str
    values: dict[str, Any]
    run: str | None = None
    key: str | None = None
    data: str | None = None
    metrics: dict[str, Real] = Field(default_factory=dict)
    weights: str | None = None
    weights_digest: str | None = None
    compared: bool = False

    def network(self) -> Architecture:
        """Its architecture, without a recipe."""
        return space_named(self.space, [self.values]).architecture(**self.values)


def kept_models(settings: Mapping[str, Any], what: str) -> list[Listed]:
    """The models that a run was made to train. Raises InputError, naming `what`, where it was not, or says so in another way."""
    try:
        models = [Listed(**entry) for entry in settings["trained_out"]]
        [model.network() for model in models]
    except ValidationError as error:
        raise InputError(f"{what}: trained_out: {first_problem(error)}") from None
    except (KeyError, TypeError):
        raise InputError(f"{what}: does not say which models it trains") from None
    return models


def is_trained_out(run: Run) -> bool:
    """Whether a run trains out models that were given, and searches nothing."""
    return "trained_out" in run.settings


def find_models(
    subjects: Sequence[Subject],
    *,
    front: bool = False,
    compare: Sequence[str] = (),
    image_size: int | None = None,
    weights: str | Path | None = None,
) -> tuple[list[Listed], list[Run]]:
    """The models that a user names, each network once, and the runs that they come from.

    Args:
        subjects: presets (NAME, or NAME@PIXELS), RUN:KEY, model files, checkpoints, architectures; with `front` also runs.
        front: take the front of every run that is named.
        compare: presets that are trained alike.
        image_size: pixels of all models; None is each model's own.
        weights: "search" is each model's own checkpoint, "none" is none, else a file or RUN:KEY; None is its own for a checkpoint.

    Raises:
        InputError: nothing is named, or something that is no model; or models of several spaces.
    """
    found: list[tuple[Listed, Path | None]] = []
    runs: dict[Path, Run] = {}
    for subject in subjects:
        found += _of(subject, front, runs)
    presets = families_presets()
    for name in compare:
        if name.partition("@")[0] not in presets:
            raise InputError(f"compare: {name!r} is no preset; there are {one_of(presets)}")
        found += [(model.model_copy(update={"compared": True}), None) for model, _ in _of(name, front, runs)]
    if not found:
        raise InputError(
            "name what is to be trained: RUN:KEY, a preset, a model.yaml, a model.pt, or a run with --front"
        )
    if front and not runs:
        raise InputError("front: none of what is named is a run")
    sized = _sized(found, image_size)
    begun = [(model, _weights(model, own, weights)) for model, own in sized]
    if weights in OWN and not any(path for _, path in begun):
        raise InputError(f"weights {weights}: none of the models comes with a checkpoint of its own")
    models = _once(
        model.model_copy(update={"weights": str(path.absolute()), "weights_digest": digest(path)}) if path else model
        for model, path in begun
    )
    if len(spaces := {model.space for model in models}) > 1:
        raise InputError(f"models of the spaces {all_of(sorted(spaces))} cannot be trained in one run")
    return [_known(model, runs.values()) for model in models], list(runs.values())


def families_presets() -> list[str]:
    """Names of the presets of all model families."""
    return [name for family in families().values() for name in family.presets]


def _of(subject: Subject, front: bool, runs: dict[Path, Run]) -> list[tuple[Listed, Path | None]]:
    """What a user names, with its own checkpoint, if that is what was named."""
    if isinstance(subject, Architecture):
        return [(_listed(subject.key[:6], subject), None)]
    if isinstance(subject, Run):
        runs[subject.directory] = subject
        return _front(subject, front)
    text = str(subject)
    if RunFolder(text).exists:
        run = runs.setdefault(Path(text), load_run(text))
        return _front(run, front)
    directory, _, key = text.rpartition(":")
    if directory and RunFolder(directory).exists:
        run = runs.setdefault(Path(directory), load_run(directory))
        return [(_evaluated(run, evaluation_named(run, key)), None)]
    name, _, pixels = text.partition("@")
    for family in families().values():
        if name in family.presets and (pixels.isdecimal() or not pixels):
            # without pixels its size is open, until those of the others are known
            values = {"image_size": int(pixels)} if pixels else {}
            space = space_named(family.make_space().name, [values] if values else [])
            return [(_listed(text, family.preset(name, space, **values)), None)]
    if text.endswith(".pt"):
        model = load_checkpoint(text)
        return [(_listed(Path(text).stem, architecture_of(model, what=f"{text}: this model")), Path(text))]
    architecture, _ = find_architecture(text)
    return [(_listed(Path(text).stem, architecture), None)]


def _front(run: Run, wanted: bool) -> list[tuple[Listed, Path | None]]:
    if not wanted:
        raise InputError(
            f"{run.directory} is a run: name one of its models ({run.directory}:KEY), or all of its front (--front)"
        )
    if not run.front:
        raise InputError(f"{run.directory}: no evaluation has finished within its constraints, so it has no front")
    return [(_evaluated(run, evaluation), None) for evaluation in run.front]


def evaluation_named(run: Run, key: str) -> Evaluation:
    """The evaluation whose key starts so. Raises InputError where there is none, or several."""
    found = [e for e in run.all_evaluations if key and e.key.startswith(key)]
    if len(found) != 1:
        raise InputError(f"{run.directory} has {len(found) or 'no'} architectures whose key starts with {key!r}")
    return found[0]


def _evaluated(run: Run, evaluation: Evaluation) -> Listed:
    if evaluation.architecture.space.name not in space_names():
        name = evaluation.architecture.space.name
        raise InputError(
            f"{run.directory}: its space {name!r} is of no model family, so that its architectures are no networks"
        )
    name = labels(run).get(evaluation.key) or f"{run.directory.resolve().name}:{evaluation.key[:6]}"
    return _listed(name, evaluation.architecture, **_origin(run, evaluation))


def _origin(run: Run, evaluation: Evaluation) -> dict[str, Any]:
    data = run.settings.get("config", {}).get("data")
    return {
        "run": str(run.directory.absolute()),
        "key": evaluation.key,
        "data": data if isinstance(data, str) else None,
        "metrics": dict(evaluation.metrics),
    }


def _listed(name: str, architecture: Architecture, **origin: Any) -> Listed:
    return Listed(name=name, space=architecture.space.name, values=architecture.network_values(), **origin)


def _sized(found: list[tuple[Listed, Path | None]], image_size: int | None) -> list[tuple[Listed, Path | None]]:
    """The models at the image size that is asked for; presets without one at the largest of the others."""
    presets = families_presets()
    known = [model for model, _ in found if model.name not in presets or model.run]  # those whose size is said
    others = [m.values["image_size"] for m in [m for m in known if not m.compared] or known]
    sized = []
    for model, own in found:
        is_open = model.name in presets and not model.run
        size = image_size or (max(others) if others and is_open else model.values["image_size"])
        if size != model.values["image_size"]:
            model = model.model_copy(update={"values": {**model.values, "image_size": size}})
        model.network()  # a size that the space cannot have is found out now
        sized.append((model, own))
    return sized


def _weights(model: Listed, own: Path | None, wanted: str | Path | None) -> Path | None:
    """The checkpoint that a model begins with."""
    if wanted is None:
        return own
    if wanted == NONE:
        return None
    if wanted in OWN:
        if own or model.run is None or model.key is None:
            return own
        run = load_run(model.run)
        return sources(run, evaluation_named(run, model.key)).checkpoint
    return weights_named(str(wanted))


def weights_named(text: str, field: str = "weights") -> Path:
    """The checkpoint that a user names: a file, or RUN:KEY. Raises InputError where it is neither."""
    directory, _, key = text.rpartition(":")
    if directory and RunFolder(directory).exists:
        run = load_run(directory)
        return sources(run, evaluation_named(run, key)).checkpoint
    if RunFolder(text).exists:
        also = ", or `search`" if field == "weights" else ""
        raise InputError(f"{field}: {text} is a run; name the model whose weights are meant ({text}:KEY){also}")
    load_checkpoint(text)
    return Path(text)


def _once(models: Iterable[Listed]) -> list[Listed]:
    """Every network once, by the first name that it was given, and no name twice."""
    kept: dict[str, Listed] = {}
    for model in models:
        kept.setdefault(model.network().key, model)
    named: list[Listed] = []
    for key, model in kept.items():
        taken = any(other.name == model.name for other in named)
        sizes = {other.values["image_size"] for other in kept.values() if other.name == model.name}
        name = f"{model.name}@{model.values['image_size']}" if len(sizes) > 1 else model.name
        name = f"{model.name} {key[:6]}" if taken and name in {other.name for other in named} else name
        named.append(model.model_copy(update={"name": name}))
    return named


def _known(model: Listed, runs: Iterable[Run]) -> Listed:
    """The model with what one of the runs knows of its network, where it does not come from one."""
    if model.run is not None:
        return model
    for run in runs:
        for evaluation in run.evaluations:
            if evaluation.architecture.network_values() == model.values:
                return model.model_copy(update=_origin(run, evaluation))
    return model


def make_space(models: Sequence[Listed], whole: SearchSpace) -> SearchSpace:
    """The space that the models span: of every choice the values that one of them has.

    Args:
        whole: the space of their family, with the choices of their recipe.
    """
    whole = whole.holding({name: [m.values[name] for m in models if name in m.values] for name in whole.open_choices})
    seen = {
        choice.name: [value for value in choice.values if any(m.values.get(choice.name) == value for m in models)]
        for choice in whole.choices
    }
    return whole.restrict({name: values for name, values in seen.items() if values})
