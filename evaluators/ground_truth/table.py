"""Ground truth: a table of architectures that were trained, some with several seeds, read strictly; and as an evaluator.

NAME.csv    a row for every training: key, name, seed, architecture (its values, as JSON), map50_95, map50,
            map50_95@E for every epoch E at which it was judged, train_seconds, params, macs, peak_activation_bytes
NAME.json   of all of them: data, num_classes, epochs, rungs and, for the record, whatever else was the same
"""

from __future__ import annotations

import copy
import csv
import io
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from search_spaces import Architecture, InputError, SearchSpace
from search_spaces.definition import space_named
from search_spaces.errors import one_of
from search_spaces.files import MOST_MB, read_json, read_text
from search_spaces.json_text import parse_json
from search_spaces.validation import Whole, first_problem

from ..complexity import complexity
from ..evaluator import EvaluationError, Evaluator
from ..latency.profile import DeviceProfile
from .table_space import TableSpace

ACCURACIES = ("map50_95", "map50")
COSTS = ("params", "macs", "peak_activation_bytes")
COLUMNS = ("key", "name", "seed", "architecture", *ACCURACIES, "train_seconds", *COSTS)
JUDGED = re.compile(r"map50_95@[1-9][0-9]{0,8}")
LATENCIES = ("latency_ms", "latency_low_ms", "latency_high_ms")


class About(BaseModel):
    """What all trainings of a table have in common; what else the file says is kept as it is."""

    model_config = ConfigDict(extra="allow", frozen=True)

    data: Annotated[str, Field(min_length=1)]
    num_classes: Annotated[Whole, Field(gt=0)]
    epochs: Annotated[Whole, Field(gt=0)]
    rungs: list[Annotated[Whole, Field(gt=0)]] = []
    space: str = "yolo"


@dataclass(frozen=True)
class Table:
    """Trainings of n architectures, r rows in all.

    Attributes:
        path: of the CSV.
        architectures: n, in the order of their first rows; names: of those that have one, else their keys.
        owner: (r,) position of the architecture that a row is of.
        seeds: (r,) of the trainings.
        values: column -> (r,) numbers: accuracies (0 to 1), those at earlier epochs ("map50_95@4"), seconds and costs.
    """

    path: Path
    about: About
    space: SearchSpace
    architectures: list[Architecture]
    names: list[str]
    owner: np.ndarray
    seeds: np.ndarray
    values: dict[str, np.ndarray]

    @property
    def epochs(self) -> tuple[int, ...]:
        """Ascending epochs after which the trainings were judged, the last one all of them."""
        judged = {int(name.partition("@")[2]) for name in self.values if "@" in name}
        return (*sorted(judged - {self.about.epochs}), self.about.epochs)

    def column(self, metric: str, epoch: int | None = None) -> np.ndarray:
        """(r,) a metric of every row, an accuracy of the end or of an earlier epoch."""
        return self.values[metric if epoch in (None, self.about.epochs) else f"{metric}@{epoch}"]

    def mean(self, metric: str, epoch: int | None = None) -> np.ndarray:
        """(n,) a metric of every architecture, the mean over its seeds."""
        sums = np.bincount(self.owner, self.column(metric, epoch), len(self.architectures))
        return sums / self.counts

    @cached_property
    def counts(self) -> np.ndarray:
        """(n,) seeds of every architecture."""
        return np.bincount(self.owner, minlength=len(self.architectures))

    @cached_property
    def positions(self) -> dict[str, int]:
        """Key -> position of its architecture."""
        return {architecture.key: i for i, architecture in enumerate(self.architectures)}

    def rows_of(self, key: str) -> np.ndarray:
        """Positions of the rows of an architecture, by ascending seed."""
        rows = np.flatnonzero(self.owner == self.positions[key])
        return rows[np.argsort(self.seeds[rows])]


def read_table(path: str | Path) -> Table:
    """The table in a CSV file and the JSON file of the same name beside it.

    Raises:
        InputError: names the file, the line and the column, and what would be right.
    """
    path = Path(path)
    if path.suffix != ".csv":
        raise InputError(f"{path}: a ground-truth table is a .csv file, with a .json file of the same name beside it")
    about = _about(path.with_suffix(".json"))
    lines = _lines(path)
    given = [_architecture(line) for line in lines]
    try:
        space = space_named(about.space, given)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    architectures: dict[str, Architecture] = {}
    names: dict[str, str] = {}
    owner, seeds = [], []
    met: dict[tuple[str, int], _Line] = {}
    position: dict[str, int] = {}
    for line, values in zip(lines, given):
        try:
            architecture = space.architecture(**values)
        except InputError as error:
            raise line.wrong("architecture", str(error)) from None
        key, seed = architecture.key, line.whole("seed", least=0)
        if line["key"] != key:
            raise line.wrong("key", f"{line['key']!r} is not that of the architecture, which is {key!r}")
        if (key, seed) in met:
            raise line.wrong("seed", f"{seed} of architecture {key} is in line {met[key, seed].number} already")
        met[key, seed] = line
        architectures.setdefault(key, architecture)
        names.setdefault(key, line["name"] or key)
        owner.append(position.setdefault(key, len(position)))
        seeds.append(seed)
    judged = [name for name in lines[0].cells if name not in COLUMNS]
    values = {
        **{name: np.array([line.share(name) for line in lines]) for name in (*ACCURACIES, *judged)},
        "train_seconds": np.array([line.above_zero("train_seconds") for line in lines]),
        **{name: np.array([line.whole(name, least=1) for line in lines], float) for name in COSTS},
    }
    late = [name for name in judged if int(name.partition("@")[2]) > about.epochs]
    if late:
        raise InputError(f"{path}: column {late[0]!r}: the trainings have {about.epochs} epochs")
    return Table(
        path,
        about,
        space,
        list(architectures.values()),
        list(names.values()),
        np.array(owner),
        np.array(seeds),
        values,
    )


def _about(path: Path) -> About:
    content = read_json(path)
    if not isinstance(content, dict):
        raise InputError(f"{path}: must say what all rows of its table have in common, as field: value")
    try:
        return About(**content)
    except ValidationError as error:
        raise InputError(f"{path}: {first_problem(error)}") from None
    except TypeError:  # a field that cannot be an argument's name
        raise InputError(f"{path}: a field has no name") from None


@dataclass(frozen=True)
class _Line:
    """A row of the file, and where it is."""

    path: Path
    number: int
    cells: Mapping[str, str]

    def __getitem__(self, column: str) -> str:
        return self.cells[column]

    def wrong(self, column: str, problem: str) -> InputError:
        return InputError(f"{self.path}, line {self.number}, column {column}: {problem}")

    def _number(self, column: str, least: float, most: float, what: str) -> float:
        try:
            value = float(self[column])
        except ValueError:
            value = math.nan
        if not least <= value <= most:
            raise self.wrong(column, f"must be {what}, not {self[column]!r}")
        return value

    def share(self, column: str) -> float:
        return self._number(column, 0, 1, "a number from 0 to 1")

    def above_zero(self, column: str) -> float:
        return self._number(column, 1e-9, 1e12, "a number above 0")

    def whole(self, column: str, least: int) -> int:
        value = self._number(column, least, 2**53, f"a whole number of at least {least}")
        if value != int(value):
            raise self.wrong(column, f"must be a whole number of at least {least}, not {self[column]!r}")
        return int(value)


def _lines(path: Path) -> list[_Line]:
    reader = csv.reader(io.StringIO(read_text(path, most_mb=MOST_MB), newline=""), strict=True)
    try:
        header = next(reader, [])
        lacking = [name for name in COLUMNS if name not in header]
        if lacking:
            raise InputError(f"{path}: has no column {lacking[0]!r}; a ground-truth table has {one_of(COLUMNS)}")
        for name in header:
            if header.count(name) > 1 or not (name in COLUMNS or JUDGED.fullmatch(name)):
                known = f"{', '.join(COLUMNS)} and map50_95@EPOCH, each once"
                raise InputError(f"{path}: column {name!r} is not known; there can be {known}")
        lines = []
        for cells in reader:
            if len(cells) != len(header):
                raise InputError(
                    f"{path}, line {reader.line_num}: has {len(cells)} cells, and there are {len(header)} columns"
                )
            lines.append(_Line(path, reader.line_num, dict(zip(header, cells))))
    except csv.Error as error:
        raise InputError(f"{path}, line {reader.line_num}: {error}") from None
    if not lines:
        raise InputError(f"{path}: has no rows")
    return lines


def _architecture(line: _Line) -> dict[str, Any]:
    values = parse_json(line["architecture"], f"{line.path}, line {line.number}, column architecture")
    if not isinstance(values, dict):
        raise line.wrong("architecture", 'must be values of choices, such as {"image_size": 128, ...}')
    return values


def known_costs(
    architectures: Sequence[Architecture], num_classes: int, profile: DeviceProfile | None
) -> dict[str, np.ndarray]:
    """Costs of architectures by name, each (n,), and their latency where a device profile predicts it."""
    costs = complexity(architectures, num_classes)
    known = {name: getattr(costs, name) for name in COSTS}
    if profile is not None:
        known |= dict(zip(LATENCIES, profile.predict(architectures, num_classes)))
    return known


class TableEvaluator(Evaluator):
    """Answers what a table says of its architectures, in `space`, and of no others.

    Args:
        table: or the path of its CSV file.
        repeat: which training of an architecture is looked up, in the order of their seeds; None gives the mean over all.
        fidelities: epochs at which trainings can be judged, ascending, the last one all of them; None takes all epochs of
            the table, an empty sequence only asks for whole trainings.
        profile: of the device whose latency `estimate` predicts.

    Raises:
        InputError: by `read_table`; epochs that the table does not have.
    """

    metrics = (*ACCURACIES, "train_seconds")

    def __init__(
        self,
        table: str | Path | Table,
        *,
        repeat: int | None = None,
        fidelities: Sequence[int] | None = None,
        profile: DeviceProfile | None = None,
    ) -> None:
        self.table = table if isinstance(table, Table) else read_table(table)
        self.repeat, self.profile = repeat, profile
        self.fidelities = judged_at(self.table, fidelities)
        self.space = TableSpace(self.table.space, self.table.architectures)

    def subject(self) -> dict[str, Any]:
        return {"table": self.table.path.name, "about": self.table.about.model_dump()}

    def repeated(self, repeat: int) -> TableEvaluator | None:
        """The same table, looked up at another training of every architecture; 0 is the first. None where some have not so many."""
        if any(repeat >= len(self.table.rows_of(key)) for key in self.table.positions):
            return None
        made = copy.copy(self)
        made.repeat = repeat
        return made

    def estimate(self, architectures: Sequence[Architecture]) -> dict[str, np.ndarray]:
        return known_costs(architectures, self.table.about.num_classes, self.profile)

    def evaluate(
        self, architecture: Architecture, directory: Path | None = None, fidelity: float | None = None
    ) -> dict[str, float]:
        """`map50_95` after `fidelity` epochs with the seconds of so many; after all of them `map50` as well.

        Raises:
            EvaluationError: the table lacks the architecture, or so many trainings of it.
        """
        if architecture.key not in self.table.positions:
            raise EvaluationError(f"{self.table.path} has no architecture {architecture.key}")
        rows = self.table.rows_of(architecture.key)
        if self.repeat is not None:
            if self.repeat >= len(rows):
                raise EvaluationError(
                    f"{self.table.path} has {len(rows)} training(s) of architecture {architecture.key}, not {self.repeat + 1}"
                )
            rows = rows[[self.repeat]]
        last = self.table.about.epochs
        epoch = last if fidelity is None else int(fidelity)
        columns = {"map50_95": self.table.column("map50_95", epoch)}
        if epoch == last:
            columns["map50"] = self.table.column("map50")
        seconds = float(self.table.column("train_seconds")[rows].mean()) * epoch / last
        return {**{name: float(column[rows].mean()) for name, column in columns.items()}, "train_seconds": seconds}


def judged_at(table: Table, fidelities: Sequence[int] | None) -> tuple[int, ...]:
    """The epochs of a table that are asked for, all where none are named. Raises InputError where it lacks one."""
    if fidelities is None:
        return table.epochs if len(table.epochs) > 1 else ()
    chosen = tuple(fidelities)
    if chosen and (chosen != tuple(sorted(set(chosen) & set(table.epochs))) or chosen[-1] != table.about.epochs):
        raise InputError(
            f"{table.path}: fidelities must be ascending epochs of {one_of(table.epochs)} that end with the last, not {list(chosen)}"
        )
    return chosen
