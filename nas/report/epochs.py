"""Progress of long trainings: their epochs beside what a search shows, on a terminal and as lines of a log."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from evaluators.epochs import Epochs, epochs_of

from ..objectives import Objective
from ..storage.folder import RunFolder
from ..storage.records import Evaluation
from .how_far import in_words
from .progress import Progress
from .terminal import as_text

LOOKS = 2.0  # seconds between two looks at what the trainings have left in their folders, wherever they run
SAID = 10  # lines of a log for a training


class EpochProgress(Progress):
    """As `Progress`, of trainings that take hours: it reads how far each is from its trial's folder.

    Args:
        folder: of the run.
        names: key -> what the training is called.
    """

    def __init__(
        self,
        objectives: Sequence[Objective],
        max_evaluations: int,
        console: Console | None = None,
        *,
        folder: RunFolder,
        names: Mapping[str, str],
    ) -> None:
        super().__init__(objectives, max_evaluations, console)
        self.trainings = max_evaluations
        self.folder, self.names = folder, dict(names)
        self._told: dict[str, int] = {}  # key -> the part of its epochs that the log has
        self._over = threading.Event()
        self._looking: threading.Thread | None = None

    def __enter__(self) -> EpochProgress:
        super().__enter__()
        self._told = {key: _part(found) for key, found in self._running().items()}
        if not self._live:
            # the session speaks only when a training begins or ends
            self._looking = threading.Thread(target=self._look, daemon=True)
            self._looking.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._over.set()
        if self._looking:
            self._looking.join()
        super().__exit__(*exception)

    def restore(self, evaluations: Sequence[Evaluation], spent: float) -> None:
        super().restore(evaluations, spent)
        if len(self.evaluations) < self.trainings:
            for key, found in self._running().items():
                self.say(f"{self.names[key]}  goes on after {in_words(found)}")

    def _called(self, key: str, trial: str) -> str:
        return f"{self.names[key]}  {trial}" if key in self.names else trial

    def _running(self) -> dict[str, Epochs]:
        """Key -> how far it is, of the trainings that have begun and not ended."""
        begun = {key: epochs_of(self.folder.trial(key).path) for key in self.names if key not in self.evaluations}
        return {key: found for key, found in begun.items() if found is not None}

    def _look(self) -> None:
        while not self._over.wait(LOOKS):
            self.tell()

    def tell(self) -> None:
        """Say of every training that has come a part further since how far it is."""
        for key, found in self._running().items():
            if self._told.get(key, 0) < _part(found):
                self._told[key] = _part(found)
                self.say(f"{self.names[key]}  {in_words(found)}")

    def _left(self) -> float | None:
        """Until the last one ends: what is left of those that run, and as long as a whole one takes for each of the others."""
        running = list(self._running().values())
        whole = [e.seconds for e in self.evaluations.values() if e.seconds]
        whole += [found.epoch_seconds * found.epochs for found in running]
        if not whole:
            return None
        waiting = max(0, self.trainings - len(self.evaluations) - len(running))
        seconds = sum(found.seconds_left for found in running) + waiting * sum(whole) / len(whole)
        return seconds / max(1, self.pending)

    def _table(self) -> Table:
        table = super()._table()
        for key, found in self._running().items():
            table.add_row(self.names[key], as_text(self.console, in_words(found)))
        return table


def _part(training: Any) -> int:
    """Of its epochs, so that a log has a line for each part of them."""
    return SAID * training.epoch // max(1, training.epochs)
