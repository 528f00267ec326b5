"""What a search begins with: the bounds that it asks within, what it asks first, and how long a training takes here."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from evaluators.detector import DetectorEvaluator
from evaluators.evaluator import metric_and_device
from search_spaces import Architecture, InputError, SearchSpace
from search_spaces.architecture import is_of_recipe
from search_spaces.errors import all_of
from search_spaces.families import family_of

from ..algorithms import make_algorithm
from ..algorithms.algorithm import Prior
from ..formatting import duration, number
from ..objectives import Constraint
from ..storage.run import Run
from .config import SearchConfig
from .region import first_scalings, region_of, usual_count, within_bounds

FEW = 3  # trainings that the hours hold which are suggested where those given hold none


@dataclass
class Beginning:
    """`first` are asked before the references; both are named. `lines` tell the user of it.

    Attributes:
        scalings: the plain scalings among `first`, by name.
        guess: an architecture and the seconds that its evaluation seems to take here; None where that cannot be measured.
    """

    constraints: list[Constraint]
    references: dict[str, Architecture]
    first: list[Architecture] = field(default_factory=list)
    scalings: dict[str, Architecture] = field(default_factory=dict)
    guess: tuple[Architecture, float] | None = None
    lines: list[str] = field(default_factory=list)


def beginning(
    config: SearchConfig,
    space: SearchSpace,
    evaluator: DetectorEvaluator,
    run: Run | None,
    guess: tuple[Architecture, float] | None = None,
    prior: Prior | None = None,
) -> Beginning:
    """What a search of `space` begins with.

    Args:
        run: that is resumed, which goes on with the bounds and first architectures that it has; None begins.
        guess: of `guessed_seconds`.
        prior: tells which plain scalings are best, see `Algorithm`.

    Raises:
        InputError: nothing in the space is within the region of interest.
    """
    references = {name: _with_recipe(a, space) for name, a in config.reference_architectures().items()}
    usual = family_of(space).reference[0]
    reference = _with_recipe(config.smallest(usual), space)
    bound = config.region_architecture()
    if run is not None:
        held = run.constraints if bound is not None else config.make_constraints()
        lines = [f"asked within {all_of(map(str, held))}"] if held else []
        return Beginning(held, references, guess=guess, lines=lines)
    constraints, lines = config.make_constraints(), []
    if bound is not None:
        bound = _with_recipe(bound, space)
        constraints = region_of(bound, config.make_objectives(), evaluator.estimate)
        _check_holds_something(config, space, evaluator, constraints)
        lines.append(_region_line(config, bound, constraints))
    if guess is not None:
        lines.append(
            f"an evaluation of {usual} at {reference['image_size']} px takes about {duration(guess[1])} on this machine"
        )
    inside = within_bounds(references, constraints, evaluator.estimate)
    family, estimate, objectives = family_of(space), evaluator.estimate, config.make_objectives()
    always = {reference, *(references[name] for name in inside)}
    chosen = first_scalings(
        family.scalings(space), _count(config, guess), objectives, constraints, estimate, prior=prior, always=always
    )
    named = {references[name]: name for name in inside}
    names = {a: usual if a == reference else family.scaling_name(a) or a.key for a in chosen if a not in named}
    first = [*named, *names]
    lines += _first_lines(list(names.values()), inside, [name for name in references if name not in inside])
    return Beginning(constraints, references, first, {name: a for a, name in names.items()}, guess, lines)


def _with_recipe(architecture: Architecture, space: SearchSpace) -> Architecture:
    """The architecture with the first value of every choice of the recipe that the space has beside those of architectures."""
    extra = {choice.name: choice.values[0] for choice in space.choices if is_of_recipe(choice.name)}
    return space.unrestricted.architecture(**{**architecture.to_dict(), **extra})


# -- bounds ---------------------------------------------------------------------------------------------------------


def _region_line(config: SearchConfig, bound: Architecture, constraints: Sequence[Constraint]) -> str:
    if not constraints:
        return "no cost that is known beforehand is an objective, so that nothing bounds what is asked"
    parts = []
    for constraint in constraints:
        metric, device = metric_and_device(constraint.metric)
        value = number(metric, constraint.upper or 0)
        what = f"{value} ms predicted" if metric == "latency_ms" else f"{value} {metric}"
        parts.append(f"{what} on {device}" if device else what)
    slower = metric_and_device(constraints[0].metric)[0] == "latency_ms"
    return (
        f"nothing {'slower' if slower else 'that costs more'} than {config.within} at {bound['image_size']} px ({all_of(parts)}) is "
        "asked; --within none, or a bound of your own, changes that"
    )


def _check_holds_something(
    config: SearchConfig, space: SearchSpace, evaluator: DetectorEvaluator, constraints: Sequence[Constraint]
) -> None:
    """Raise InputError, saying what the bound is, where nothing in the space meets it."""
    algorithm = make_algorithm(
        "random",
        space,
        config.make_objectives(),
        seed=config.seed,
        constraints=constraints,
        estimate=evaluator.estimate,
    )
    try:
        algorithm.check_feasible()
    except InputError as error:
        raise InputError(
            f"within: nothing in the space costs as little as {config.within}: {error}; --within none lifts the bound, as does one "
            "of your own, such as --max-latency-ms 8"
        ) from None


# -- time -----------------------------------------------------------------------------------------------------------


def guessed_seconds(
    config: SearchConfig, space: SearchSpace, evaluator: DetectorEvaluator
) -> tuple[Architecture, float] | None:
    """The family's reference and the seconds that its evaluation seems to take; None where something else than this machine
    trains, or where it does not fit into memory, of which the trainings will tell."""
    if config.address:
        return None
    reference = _with_recipe(config.smallest(family_of(space).reference[0]), space)
    try:
        return reference, evaluator.expected_seconds(reference)
    except (MemoryError, RuntimeError):
        return None


def check_hours(config: SearchConfig, space: SearchSpace, guess: tuple[Architecture, float] | None) -> None:
    """Raise InputError where the hours hold no training; says what would."""
    if config.hours is None or guess is None or config.hours * 3600 >= guess[1]:
        return
    name, seconds = family_of(space).reference[0], guess[1]
    enough = _two_digits_up(FEW * seconds / 3600)
    epochs = int(config.epochs * config.hours * 3600 / seconds)
    raise InputError(
        f"hours: {config.hours:g} h is shorter than one training of {name} (about {duration(seconds)} on this machine): "
        f"--hours {enough:g} holds about {int(enough * 3600 / seconds)}" + (f", or --epochs {epochs}" if epochs else "")
    )


def _two_digits_up(value: float) -> float:
    scale = 10.0 ** (1 - math.floor(math.log10(value)))
    return math.ceil(value * scale) / scale


# -- first asks -----------------------------------------------------------------------------------------------------


def _count(config: SearchConfig, guess: tuple[Architecture, float] | None) -> int:
    """How many plain scalings there are to be at most."""
    if config.scalings is not None:
        return config.scalings
    held = config.hours * 3600 / guess[1] if config.hours and guess else math.inf
    return usual_count(min(held, config.evaluations or math.inf))


def how_long(config: SearchConfig) -> str:
    """What ends a search, as its first lines say it."""
    text = f"evaluations of {config.epochs} epoch{'s' if config.epochs > 1 else ''}"
    text = f"to {config.evaluations} {text}" if config.evaluations else text
    text += f", judged at {', '.join(map(str, config.rungs))}" if config.rungs else ""
    text += f", as many as are expected to end within {config.hours:g} h" if config.hours else ""
    return text + (f", none started after {config.max_minutes:g} min" if config.max_minutes else "")


def _first_lines(scalings: Sequence[str], inside: Sequence[str], outside: Sequence[str]) -> list[str]:
    lines = []
    if scalings:
        lines.append(f"asked first, as one would by hand: {all_of([*inside, *scalings])}")
    elif inside:
        lines.append(f"asked first: {all_of(inside)}")
    if outside:
        when = "after them" if inside or scalings else "first"
        lines.append(f"evaluated {when}, to be drawn beside the front: {all_of(outside)}, outside of what is asked")
    return lines
