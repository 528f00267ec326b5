"""When a search gives up: too much is rejected, everything fails alike, or no worker comes up."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..objectives import Constraint
from ..storage.records import Evaluation

REJECTIONS_PER_EVALUATION = 5  # so many architectures may be rejected for every evaluation that may be spent
FAILURES = 5  # evaluations that fail alike, from the first on: then it is not the architectures
# Workers in a row that do not come up: before anything has run, where others may still be coming up for some seconds, and later.
STARTS, LATER_STARTS = 4, 100
START_SECONDS = 30.0


class Rejections:
    """Counts architectures that were rejected, `count` of them before, against the evaluations that may be spent."""

    def __init__(self, max_evaluations: float, count: int = 0):
        self.max_evaluations, self.count = max_evaluations, count

    def add(self) -> None:
        """One more was rejected."""
        self.count += 1

    @property
    def are_too_many(self) -> bool:
        """Whether hard constraints leave too little to go on."""
        return self.count > REJECTIONS_PER_EVALUATION * self.max_evaluations


def nothing_fits(rejected: Sequence[Evaluation], constraints: Sequence[Constraint]) -> str:
    """What is to be said where every architecture was rejected: the nearest to each constraint that none met."""
    parts = []
    for constraint in constraints:
        values = [e.metrics[constraint.metric] for e in rejected if constraint.metric in e.metrics]
        if values and min(map(constraint.violation, values)) > 0:
            nearest = min(values, key=constraint.violation)
            parts.append(f"none met {constraint}; the nearest of {len(values)} tried has {nearest:g}")
    why = ", ".join(parts) or f"the last because: {rejected[-1].reason}"
    return f"{len(rejected)} architectures were rejected, and nothing that meets the constraints was found: {why}"


class Failures:
    """Tells when all evaluations of a session fail alike: a wrong setting would spend the budget and blame every architecture."""

    def __init__(self) -> None:
        self._reasons: list[str | None] | None = []  # until anything else has happened

    def otherwise(self) -> None:
        """An evaluation did not fail."""
        self._reasons = None

    def add(self, reason: str | None) -> bool:
        """One more failed; whether it is time to give up."""
        if self._reasons is None:
            return False
        self._reasons.append(reason)
        return len(self._reasons) >= FAILURES and len(set(self._reasons)) == 1


class Starts:
    """Tells when workers that do not come up are not the fault of a node.

    Args:
        clock: what tells the time, in seconds.
    """

    def __init__(self, clock: Callable[[], float]):
        self._clock = clock
        self._any = False  # something ran in this session
        self._failed, self._since = 0, 0.0  # how many in a row did not come up, and when the first did not

    def succeeded(self) -> None:
        """A worker came up."""
        self._any, self._failed = True, 0

    def failed(self) -> bool:
        """One did not come up; whether it is time to give up."""
        if not self._failed:
            self._since = self._clock()
        self._failed += 1
        return self._failed >= (LATER_STARTS if self._any else STARTS) and self._clock() >= self._since + START_SECONDS
