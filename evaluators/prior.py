"""What is believed of architectures' accuracy before any was trained: a line in what their layer graphs tell.

    tables of several data sets -> z-scores of logit mAP, features -> ridge regression -> one score for every architecture

Fitted once (benchmarks/accuracy_prior.py) and shipped as numbers; which data sets it saw is in its file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal, NamedTuple

import numpy as np
from pydantic import Field, ValidationError, model_validator

from search_spaces import Architecture, InputError
from search_spaces.errors import one_of
from search_spaces.files import read_text
from search_spaces.json_text import parse_json
from search_spaces.validation import Real, Whole, first_problem

from .ground_truth.features import NAMES, graph_features
from .ground_truth.logits import logit
from .latency.results import Strict

if TYPE_CHECKING:
    from .ground_truth.table import Table

VERSION: Final = 1
SHIPPED = Path(__file__).parent / "priors"
STRENGTHS = np.geomspace(1, 1e4, 25)  # of the ridge regression, on standardised features
FOLDS = 10  # where the strength is found within one data set
MARGIN = 0.1  # of a feature's range over the tables, by which its slope is believed beyond it
FEWEST = 20  # architectures of a table

Positive = Annotated[Real, Field(gt=0)]
Correlation = Annotated[Real, Field(ge=-1, le=1)]


class Seen(Strict):
    """A data set that a prior was fitted on.

    Attributes:
        architectures, epochs, num_classes: of the trainings.
        kendall_tau, correlation: of the accuracies there (correlation: of their logits) with what a prior says that was fitted
            on the other data sets; None where there are none.
    """

    data: str
    architectures: Annotated[Whole, Field(gt=0)]
    epochs: Annotated[Whole, Field(gt=0)]
    num_classes: Annotated[Whole, Field(gt=0)]
    kendall_tau: Correlation | None = None
    correlation: Correlation | None = None


class AccuracyPrior(Strict):
    """Scores of architectures of a model family: more is better, mean 0 and deviation 1 over those that it was fitted on.

    Attributes:
        features: of `NAMES`; with their means, scales, and the ends of the ranges in which their slopes are believed.
        coefficients: of the standardised features.
        strength: of the ridge regression.
        deviation: of the error of a score, in deviations of the accuracies of a data set that it has not seen (of
            architectures, where it was fitted on one data set only).
        data_sets: name -> what it was fitted on.
    """

    evoyolo_prior: Literal[1] = VERSION
    family: str
    features: list[str]
    means: list[Real]
    scales: list[Positive]
    lows: list[Real]
    highs: list[Real]
    coefficients: list[Real]
    strength: Positive
    deviation: Positive
    data_sets: Annotated[dict[str, Seen], Field(min_length=1)]

    @model_validator(mode="after")
    def _fits_together(self) -> AccuracyPrior:
        unknown = [name for name in self.features if name not in NAMES]
        if unknown or not self.features or len(set(self.features)) < len(self.features):
            named = repr(unknown[0]) if unknown else "none, or one twice"
            raise ValueError(f"features: {named}; there can be {one_of(NAMES)}, each once")
        for name in ("means", "scales", "lows", "highs", "coefficients"):
            if len(getattr(self, name)) != len(self.features):
                raise ValueError(f"{name}: must be {len(self.features)} numbers, one for every feature")
        if any(low > high for low, high in zip(self.lows, self.highs)):
            raise ValueError("lows: one is above its high")
        return self

    # -- fitting ------------------------------------------------------------------------------------------------

    @classmethod
    def fit(cls, tables: Mapping[str, Table]) -> AccuracyPrior:
        """The prior that the trainings on some data sets make.

        How well it does on a data set is told by leaving that one out. The strength of the regression is chosen the same way
        among the data sets that it is fitted on, or, of one, by leaving out architectures.

        Args:
            tables: by the names of the data sets.

        Raises:
            InputError: no table, one of another family than the first or of too few architectures.
        """
        if not tables:
            raise InputError("a prior needs at least one ground-truth table")
        families = {name: table.space.family for name, table in tables.items()}
        family = next(iter(families.values()))
        for name, table in tables.items():
            if families[name] != family:
                raise InputError(
                    f"{table.path}: is of the family {families[name]!r}, and the first table of {family!r}"
                )
            if len(table.architectures) < FEWEST:
                raise InputError(
                    f"{table.path}: has {len(table.architectures)} architectures; a prior needs {FEWEST} or more"
                )
        points = {name: _points(table) for name, table in tables.items()}
        every = np.concatenate([p.raw for p in points.values()])
        strength = _strength(list(points.values()))
        line = _line(list(points.values()), strength)
        mean = every.mean(0)
        scores = (every - mean) / line.scales @ line.coefficients
        # the scores of architectures, not their accuracies, have deviation 1
        deviation, seen, errors = max(float(scores.std()), 1e-9), {}, []
        for name, table in tables.items():
            others = [p for other, p in points.items() if other != name]
            held_out: dict[str, float] = {}
            if others:
                said = _line(others, _strength(others))(points[name].x)
                errors.append(points[name].y - said)
                held_out = {
                    "kendall_tau": kendall_tau(said, points[name].y),
                    "correlation": _correlation(said, points[name].y),
                }
            about = table.about
            seen[name] = Seen(
                data=about.data,
                architectures=len(table.architectures),
                epochs=about.epochs,
                num_classes=about.num_classes,
                **held_out,
            )
        if not errors:
            errors = [_cross_validated(next(iter(points.values())), strength) - next(iter(points.values())).y]
        reach = MARGIN * np.ptp(every, axis=0)
        return cls(
            family=family,
            features=list(NAMES),
            means=mean.tolist(),
            scales=line.scales.tolist(),
            lows=(every.min(0) - reach).tolist(),
            highs=(every.max(0) + reach).tolist(),
            coefficients=(line.coefficients / deviation).tolist(),
            strength=strength,
            deviation=float(np.sqrt(np.mean(np.concatenate(errors) ** 2))),
            data_sets=seen,
        )

    # -- what it says -------------------------------------------------------------------------------------------

    def predict(self, architectures: Sequence[Architecture], num_classes: int = 80) -> np.ndarray:
        """(n,) scores of architectures, all of one space in the frame of the prior's family.

        Args:
            num_classes: classes of the networks.

        Raises:
            InputError: a space of another family, or without layer graphs.
        """
        if not architectures:
            return np.zeros(0)
        self.check_family(architectures[0].space.family)
        columns = [NAMES.index(name) for name in self.features]
        features = graph_features(architectures, num_classes)[:, columns].clip(self.lows, self.highs)
        return (features - self.means) / self.scales @ np.array(self.coefficients)

    def check_family(self, family: str, what: str = "the accuracy prior") -> None:
        """Raise InputError unless it is of the family; `what` names it."""
        if self.family != family:
            raise InputError(f"{what} is of the model family {self.family!r}, not of {family!r}")

    # -- reading and writing ------------------------------------------------------------------------------------

    def to_json(self) -> str:
        """The text of its file."""
        return json.dumps(self.model_dump(), indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str, what: str = "the accuracy prior") -> AccuracyPrior:
        """The prior that a text holds; `what` names it in messages.

        Raises:
            InputError: another document, another version, or a field that is missing or absurd.
        """
        return cls.from_content(parse_json(text, what), what)

    @classmethod
    def from_content(cls, content: object, what: str = "the accuracy prior") -> AccuracyPrior:
        """The same of plain data."""
        if not isinstance(content, dict) or "evoyolo_prior" not in content:
            raise InputError(f"{what}: not an accuracy prior (it has no field evoyolo_prior)")
        if content["evoyolo_prior"] != VERSION:
            raise InputError(
                f"{what}: field evoyolo_prior: version {content['evoyolo_prior']!r} is not known; this evoyolo reads {VERSION}"
            )
        try:
            return cls(**content)
        except ValidationError as error:
            raise InputError(f"{what}: {first_problem(error)}") from None

    @classmethod
    def load(cls, path: str | Path) -> AccuracyPrior:
        """The prior in a file. Raises InputError as `from_json`, and where it cannot be read."""
        return cls.from_json(read_text(path, most_mb=1), str(path))


def shipped_prior(family: str) -> AccuracyPrior | None:
    """The prior that ships for a model family; None where there is none."""
    path = SHIPPED / f"{family}.json"
    return AccuracyPrior.load(path) if path.is_file() else None


class _Points(NamedTuple):
    """Features (n, d) of the architectures of a table, around their means, raw, and the z-scores (n,) of their accuracies."""

    x: np.ndarray
    raw: np.ndarray
    y: np.ndarray


class _Line(NamedTuple):
    scales: np.ndarray
    coefficients: np.ndarray

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return x / self.scales @ self.coefficients


def _points(table: Table) -> _Points:
    raw = graph_features(table.architectures, table.about.num_classes)
    values = logit(table.mean("map50_95"))
    # around the means of each data set: what its images or its classes do to all accuracies is no architecture's doing
    return _Points(raw - raw.mean(0), raw, (values - values.mean()) / max(float(values.std()), 1e-9))


def _line(points: Sequence[_Points], strength: float) -> _Line:
    """Ridge regression through the mean of every data set."""
    x, y = np.concatenate([p.x for p in points]), np.concatenate([p.y for p in points])
    scales = np.where(x.std(0) > 1e-9, x.std(0), 1.0)
    x = x / scales
    return _Line(scales, np.linalg.solve(x.T @ x + strength * np.eye(x.shape[1]), x.T @ y))


def _strength(points: Sequence[_Points]) -> float:
    """The strength whose lines predict best what they have not seen: a data set or, of one, architectures."""

    def error(strength: float) -> float:
        if len(points) == 1:
            return float(((_cross_validated(points[0], strength) - points[0].y) ** 2).mean())
        rests = [[p for p in points if p is not out] for out in points]
        return float(
            np.mean([((_line(rest, strength)(out.x) - out.y) ** 2).mean() for rest, out in zip(rests, points)])
        )

    return float(min(STRENGTHS, key=error))


def _cross_validated(points: _Points, strength: float) -> np.ndarray:
    order = np.random.default_rng(0).permutation(len(points.y))
    result = np.empty(len(order))
    for part in np.array_split(order, FOLDS):
        rest = np.setdiff1d(order, part)
        x, y = points.x[rest], points.y[rest]
        line = _line([_Points(x - x.mean(0), x, y - y.mean())], strength)
        result[part] = y.mean() + line(points.x[part] - x.mean(0))
    return result


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(a, b)[0, 1]) if a.std() > 0 and b.std() > 0 else 0.0


def kendall_tau(a: np.ndarray, b: np.ndarray) -> float:
    """Rank correlation tau-b of two (n,) arrays; 0 where one of them is constant. M. G. Kendall, Biometrika 33, 1945."""
    upper = np.triu_indices(len(a), 1)
    first, second = (np.sign(values[:, None] - values)[upper] for values in (np.asarray(a), np.asarray(b)))
    norm = np.sqrt(np.abs(first).sum() * np.abs(second).sum())
    return float((first * second).sum() / norm) if norm else 0.0
