"""Recipes: what is done to a network, step by step; and candidates, an architecture with its recipe.

recipe: [train, export, quantise]  +  choices of the space named STEP.OPTION  ->  the steps of one candidate
step -> artefacts and metrics in the trial's folder, steps.json -> next step; what steps.json has is not done again
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from search_spaces import Architecture, Choice, InputError
from search_spaces.architecture import is_of_recipe
from search_spaces.errors import one_of
from search_spaces.files import read_json
from search_spaces.json_text import short_digest
from search_spaces.validation import first_problem
from search_spaces.writing import check_tree, synchronise, write_text

from .steps import Step, Workpiece, steps

RECORD = "steps.json"  # in a trial's folder: the steps that are done, with their artefacts and metrics


@dataclass(frozen=True)
class Recipe:
    """An ordered list of steps; what one reads, another before it writes."""

    steps: tuple[Step, ...]

    @classmethod
    def read(cls, entries: Sequence[str | Mapping[str, Any]], values: Mapping[str, Any] | None = None) -> Recipe:
        """The recipe of entries as settings have them: a step's name, or {name: {option: value}}.

        Args:
            values: STEP.OPTION -> value, which replaces that of the entry.

        Raises:
            InputError: an unknown step or option, a wrong value, or a step that reads what none before it writes.
        """
        if not isinstance(entries, (list, tuple)):
            raise InputError(f"recipe: must be a list of steps, not {entries!r}")
        known, made = steps(), []
        options_of: dict[str, dict[str, Any]] = {}
        for target, value in (values or {}).items():
            step_name, _, option = target.partition(".")
            options_of.setdefault(step_name, {})[option] = value
        for entry in entries:
            name: Any  # what a file says, until it is found to name a step
            name, options = next(iter(entry.items())) if isinstance(entry, Mapping) and len(entry) == 1 else (entry, {})
            if not isinstance(name, str) or name not in known:
                raise InputError(f"recipe: no step {name!r}; there are {one_of(known)}")
            if not isinstance(options, Mapping):
                raise InputError(f"recipe: the options of {name} must be a mapping, not {options!r}")
            try:
                made.append(known[name](**{**options, **options_of.pop(name, {})}))
            except ValidationError as error:
                raise InputError(f"recipe: {name}: {first_problem(error)}") from None
        if options_of:
            raise InputError(
                f"recipe: {next(iter(options_of))!r} is none of its steps, {one_of([s.name for s in made]) if made else '-'}"
            )
        written: set[str] = set()
        for step in made:
            for artefact in step.reads:
                if artefact not in written:
                    raise InputError(f"recipe: {step.name} reads {artefact}, which no step before it writes")
            written |= set(step.writes)
        if not made:
            raise InputError("recipe: has no steps")
        return cls(tuple(made))

    def to_list(self) -> list[str | dict[str, Any]]:
        """The entries that `read` takes: names, and the options that were given."""
        given = ((step.name, step.model_dump(exclude_unset=True)) for step in self.steps)
        return [{name: options} if options else name for name, options in given]

    def with_values(self, values: Mapping[str, Any]) -> Recipe:
        """The recipe with some options replaced, STEP.OPTION -> value."""
        return Recipe.read(self.to_list(), values) if values else self

    @property
    def precision(self) -> str:
        """The precision of the network that it makes: FP32, FP16, INT8 or INT8-dynamic."""
        found = [step.precision for step in self.steps if hasattr(step, "precision")]
        return found[-1] if found else "FP32"

    @property
    def int8(self) -> str | None:
        """The form of INT8, where it makes that; None where no step could."""
        found = [step.activations for step in self.steps if hasattr(step, "activations")]
        return found[-1] if found else None

    def with_int8(self, activations: str) -> Recipe:
        """The recipe with this form of INT8 where it was given none."""
        free = [s.name for s in self.steps if hasattr(s, "activations") and "activations" not in s.model_fields_set]
        return self.with_values({f"{name}.activations": activations for name in free})


def training_only() -> Recipe:
    """The recipe that is there if none is given: train."""
    return Recipe.read(["train"])


def recipe_choices(recipe: Recipe, choices: Mapping[str, Sequence[Any]]) -> list[Choice]:
    """Choices for a space of architectures, so that options of the recipe are searched with it.

    Args:
        choices: STEP.OPTION -> values.

    Raises:
        InputError: a step or an option that the recipe does not have, or a value that it cannot take.
    """
    for name, values in choices.items():
        for value in values:
            recipe.with_values({name: value})
    return [Choice(name, values) for name, values in choices.items()]


@dataclass(frozen=True)
class Candidate:
    """An architecture and what is done to it.

    Attributes:
        recipe: with the options that the architecture's own choices give it.
    """

    architecture: Architecture
    recipe: Recipe = field(default_factory=training_only)

    @classmethod
    def of(cls, architecture: Architecture, recipe: Recipe) -> Candidate:
        """The candidate whose recipe takes the architecture's choices named STEP.OPTION."""
        values = {name: value for name, value in architecture.items() if is_of_recipe(name)}
        return cls(architecture, recipe.with_values(values))


def run_steps(
    candidate: Candidate, piece: Workpiece, after: Callable[[int, Mapping[str, Any]], None] | None = None
) -> dict[str, float]:
    """Do what the candidate's recipe says, and return all metrics of the steps, later ones over earlier ones.

    A step whose record in the folder's steps.json has the same options, the same steps before it and its files as they
    were is not done again.

    Args:
        after: called with the position and the record of every step once it is done, or found to be, before the next one.

    Raises:
        EvaluationError: a step cannot be done to this network.
        InputError: there is a link in the folder, through which a step would write elsewhere.
    """
    check_tree(piece.directory)
    path = piece.directory / RECORD
    done = _read_record(path)
    metrics: dict[str, float] = {}
    so_far: Any = candidate.architecture.key
    kept: list[dict[str, Any]] = []
    for position, step in enumerate(candidate.recipe.steps):
        so_far = short_digest([so_far, step.name, step.options(), step.digest(piece)])
        before = done[position] if position < len(done) else {}
        if before.get("digest") == so_far and _is_there(before, piece.directory):
            for name, file in before["artefacts"].items():
                piece.wrote(name, piece.directory / file["name"])
        else:
            done = []  # what followed was made of something else
            before = _do(step, piece, so_far)
        metrics |= before["metrics"]
        kept.append(before)
        write_text(path, json.dumps([*kept, *done[position + 1 :]], indent=1))  # those after it may be done as well
        if after is not None:
            after(position, before)
    return metrics


def artefacts_of(directory: Path) -> dict[str, Path]:
    """Name -> file, as the steps that were done in a trial's folder have left them; empty where none left a record."""
    found: dict[str, Path] = {}
    for entry in _read_record(directory / RECORD):
        for name, file in entry["artefacts"].items() if _is_there(entry, directory) else ():
            found.pop(name, None)  # the one that was written last stands last
            found[name] = directory / file["name"]
    return found


def _do(step: Step, piece: Workpiece, digest: str) -> dict[str, Any]:
    started = time.perf_counter()
    metrics = step.run(piece)
    for name in step.writes:  # the record that names them must not outlive them when the power goes
        synchronise(piece.artefacts[name])
    artefacts = {
        name: {
            "name": str(piece.artefacts[name].relative_to(piece.directory)),
            "bytes": piece.artefacts[name].stat().st_size,
        }
        for name in step.writes
    }
    return {
        "step": step.name,
        "options": step.options(),
        "digest": digest,
        "artefacts": artefacts,
        "metrics": metrics,
        "seconds": time.perf_counter() - started,
    }


def _read_record(path: Path) -> list[dict[str, Any]]:
    """The record, or nothing where there is none that can be used: a step that is done again costs only time."""
    try:
        content = read_json(path) if path.exists() else []
    except InputError:
        return []
    return [entry for entry in content if isinstance(entry, dict)] if isinstance(content, list) else []


def _is_there(entry: Mapping[str, Any], directory: Path) -> bool:
    try:
        files: Iterator[tuple[Path, int]] = ((directory / f["name"], f["bytes"]) for f in entry["artefacts"].values())
        if not all(isinstance(value, (int, float)) for value in entry["metrics"].values()):
            return False
        return all(
            path.parent == directory and not path.is_symlink() and path.is_file() and path.stat().st_size == size
            for path, size in files  # a record may come from anywhere, and names nothing outside of its folder
        )
    # it may hold anything, such as a name that is too long
    except (KeyError, TypeError, AttributeError, ValueError, OSError):
        return False
