"""A run: the folder of one search, read back."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from search_spaces import InputError, SearchSpace

from ..noise import Noise
from ..objectives import Constraint, Objective, check_metrics, ranks
from .folder import RunFolder
from .judged import Judged, Judgement
from .states import State
from .store import Evaluation, Store

if TYPE_CHECKING:
    from evaluators.latency.profile import DeviceProfile


class Run:
    """The evaluations of one search and their front, as the store has them now.

    Args:
        space: what was searched; without it, architectures are of a space with the recorded choices, which lacks what is code
            in the user's own.

    Attributes:
        all_evaluations, repeats: in any state; the repeats of evaluations with other random numbers are none of the former, and
            leave them as they were.
        spent: whole evaluations that were paid for, failures included.
        noise: of the objectives and accuracies, how much trainings of the same architecture differ; empty where they cannot.

    Raises:
        InputError: the folder holds no run, or one that this version cannot read.
    """

    def __init__(self, directory: str | Path, space: SearchSpace | None = None):
        self.folder = RunFolder(directory)
        self.directory = self.folder.path
        self.folder.check_exists()
        with Store.open(self.folder.store, space, read_only=True) as store:
            self.space = store.space
            self.settings = store.get_meta("settings") or {}
            self.costed = store.get_meta("costed") or 0
            self.measured = store.get_meta("measured") or {}  # device, or "", -> how its latency was measured
            self.max_evaluations = store.get_meta("max_evaluations")
            self.complete = bool(store.get_meta("complete"))  # the search came to its end
            self.all_evaluations, self.repeats = store.evaluations(), store.repeats()
            self.events = store.events()
            self.spent = store.spent
        self.objectives = [Objective(*pair) for pair in self.settings.get("objectives", [])]
        self.constraints = [Constraint(*fields) for fields in self.settings.get("constraints", [])]
        self._check_judged()

    def _check_judged(self) -> None:
        """Raise InputError where something has finished and lacks what it is judged by."""
        for e in [*self.evaluations, *(e for e in self.repeats if e.status == State.FINISHED)]:
            try:
                if not self.objectives:
                    raise InputError("nothing says what is optimised")
                check_metrics(e.metrics, [*self.objectives, *self.constraints])
            except InputError as error:
                raise InputError(f"{self.folder.store}: evaluation {e.trial}: {error}") from None

    @property
    def evaluations(self) -> list[Evaluation]:
        """The finished evaluations, in the order they were asked."""
        return [e for e in self.all_evaluations if e.status == State.FINISHED]

    @property
    def protocol(self) -> str:
        """How the front's latency was measured, in a line."""
        devices = self.settings.get("devices") or {}
        parts = [f"predicted for {name} ({protocol})" for name, protocol in devices.items()]
        parts += [f"measured{f' for {name}' if name else ''}: {text}" for name, text in self.measured.items()]
        return "; ".join(parts) or "measured during the search"

    @cached_property
    def profiles(self) -> list[DeviceProfile]:
        """The profiles that the run predicts with, as it keeps them."""
        from evaluators.latency.profile import DeviceProfile  # their checks take time to load, and few look here

        names = self.settings.get("devices") or {}
        return [DeviceProfile.load(self.folder.device(name)) for name in names]

    @cached_property
    def judgement(self) -> Judgement:
        """What all trainings together say."""
        is_random = self.settings.get(
            "random", "config" in self.settings
        )  # what a run of an earlier version does not say
        return Judgement(self.evaluations, self.repeats, self.objectives, self.constraints, is_random)

    @property
    def noise(self) -> dict[str, Noise]:
        return self.judgement.noise

    def judged(self, evaluation: Evaluation) -> Judged:
        """A finished evaluation with the means over all its trainings, their number, and the standard errors."""
        return self.judgement.judged[evaluation.key]

    def mean(self, evaluation: Evaluation) -> dict[str, float]:
        """The metrics of a finished evaluation, each the mean over all its trainings."""
        return self.judged(evaluation).metrics

    @property
    def eligible(self) -> list[Evaluation]:
        """The finished evaluations whose means meet the constraints."""
        return [each.evaluation for each in self.judgement.eligible]

    def ranked(self) -> list[tuple[Evaluation, int]]:
        """The finished evaluations within the constraints with the non-dominated rank of their means; the front's is 0."""
        eligible = self.eligible
        return list(zip(eligible, ranks([self.mean(e) for e in eligible], self.objectives).tolist()))

    @cached_property
    def front(self) -> list[Evaluation]:
        """The evaluations within the constraints whose means are not dominated, best in the first objective first."""
        return [each.evaluation for each in self.judgement.front]


def load_run(directory: str | Path, space: SearchSpace | None = None) -> Run:
    """The run in a folder; it may still be running. Arguments and errors are those of `Run`."""
    return Run(directory, space)
