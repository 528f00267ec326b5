"""Progress of a search: a live table on a terminal, plain lines anywhere else."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from ..formatting import best, budget, duration, number
from ..objectives import Constraint, Objective, front, meets, own_hypervolume
from ..session.listener import Listener
from ..storage.records import Evaluation
from ..storage.states import UNFINISHED, State
from .terminal import as_text, make_console, say


class Progress(Listener):
    """Shows on a terminal, or says in a log, how far a search is. Everything it says was counted or measured at that moment."""

    def __init__(
        self,
        objectives: Sequence[Objective],
        max_evaluations: int | None,
        console: Console | None = None,
        constraints: Sequence[Constraint] = (),
    ):
        self.objectives, self.constraints = list(objectives), list(constraints)
        self.max_evaluations = max_evaluations
        self.console = console or make_console()
        self.evaluations: dict[str, Evaluation] = {}  # by key, those that have ended or paused
        self.pending = self.costed = self.repeats = 0
        self.spent: float = 0  # whole evaluations
        self.ends_at: float | None = None  # by this process's clock, as far as can be told
        self.drained = False
        self._said: set[str] = set()
        self.started_at: float | None = None
        self.ended_at: float | None = None
        self._live: Live | None = None

    def __enter__(self) -> Progress:
        self.started_at = time.monotonic()
        if self.console.is_terminal:
            self._live = Live(console=self.console, refresh_per_second=2, get_renderable=self._table)
            self._live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.ended_at = time.monotonic()
        if self._live:
            self._live.stop()
            self._live = None

    def say(self, text: str) -> None:
        say(self.console, text)

    def once(self, text: str, about: str | None = None) -> None:
        """Say something that need not be repeated, nor anything else about the same."""
        if (about or text) not in self._said:
            self._said.add(about or text)
            self.say(text)

    def restore(self, evaluations: Sequence[Evaluation], spent: float) -> None:
        self.evaluations = {e.key: e for e in evaluations if e.status not in UNFINISHED}
        self.spent = spent
        if evaluations:
            self.say(f"resumed with {self._counted()}")

    def started(self, costed: int, pending: int) -> None:
        self.costed, self.pending = costed, pending

    def lasts(self, seconds: float | None) -> None:
        self.ends_at = None if seconds is None else time.monotonic() + seconds

    def retried(self, key: str, why: str, pending: int) -> None:
        self.pending = pending
        self.say(f"{key}  {why}")

    def drain(self, pending: int) -> None:
        self.drained = True
        wait = f"waiting for what runs ({pending}); Ctrl-C again stops at once" if pending else "nothing runs"
        self.say(f"stopping: nothing more is started, {wait}")

    def concluded(self, evaluation: Evaluation, spent: float, pending: int) -> None:
        self.pending, self.spent = pending, spent
        if evaluation.repeat:
            self.repeats += 1
        else:
            self.evaluations[evaluation.key] = evaluation
        if evaluation.status in (State.FINISHED, State.PAUSED):
            what = ", ".join(f"{o.metric} {number(o.metric, evaluation.metrics[o.metric])}" for o in self.objectives)
            what += f" at {evaluation.fidelity:g}" if evaluation.fidelity is not None else ""
            what += f", trained again{' to confirm' if evaluation.confirms else ''}" if evaluation.repeat else ""
        else:
            what = f"{evaluation.status}: {evaluation.reason}"
        # A terminal has the table for the state; a log has to say it on every line.
        state = "" if self._live else f" | {self._counted()}, {self.pending} running, {self._ends()}"
        self.say(
            f"{self._called(evaluation.key, evaluation.trial)}  {what}  ({duration(evaluation.seconds or 0)}){state}"
        )

    @property
    def elapsed(self) -> float:
        """Seconds that the search has taken, or took, in this process; 0 if nothing was left to search."""
        if self.started_at is None:
            return 0.0
        return (self.ended_at or time.monotonic()) - self.started_at

    # -- what is said --------------------------------------------------------------------------------------------

    def _called(self, key: str, trial: str) -> str:
        """What an evaluation of an architecture is called in lines."""
        return trial

    def _counted(self) -> str:
        """Of the budget; with several fidelities it is spent in parts."""
        counts = Counter(e.status for e in self.evaluations.values())
        most = f"/{self.max_evaluations}" if self.max_evaluations else ""
        text = f"{budget(self.spent)}{most} evaluated, {counts[State.FAILED]} failed"
        text += f", {self.repeats} again" if self.repeats else ""
        return text + "".join(f", {counts[state]} {state}" for state in (State.PAUSED, State.REJECTED) if counts[state])

    def _left(self) -> float | None:
        return None if self.ends_at is None else max(0.0, self.ends_at - time.monotonic())

    @property
    def eligible(self) -> list[Evaluation]:
        """What has finished and meets the constraints."""
        return [
            e for e in self.evaluations.values() if e.status == State.FINISHED and meets(e.metrics, self.constraints)
        ]

    def _ends(self) -> str:
        results, left = [e.metrics for e in self.eligible], self._left()
        added = own_hypervolume(results, self.objectives)
        parts = [f"best {best(results, self.objectives)}"] if results else []
        parts += [f"hypervolume {added:.4g}"] if added is not None else []
        parts += [f"about {duration(left)} left"] if left is not None else []
        return ", ".join(parts) or "no result yet"

    def _table(self) -> Table:
        results, left = [e.metrics for e in self.eligible], self._left()
        added = own_hypervolume(results, self.objectives)
        rows = {
            "evaluated": self._counted(),
            "running": f"{self.pending}" + (f", {self.costed:,} candidates costed" if self.costed else ""),
            "best": best(results, self.objectives) or "-",
            "front": f"{len(front(results, self.objectives))} models"
            + (f", hypervolume {added:.4g}" if added is not None else ""),
            "time": duration(self.elapsed) + (f", about {duration(left)} left" if left is not None else ""),
        }
        table = Table.grid(padding=(0, 2))
        width = max(10, min(50, self.console.width - 15))
        done, total = self.spent, float(self.max_evaluations or 0)
        if not total:  # time is what is spent
            done, total = self.elapsed, self.elapsed + (left or 0)
        table.add_row("", ProgressBar(total=total, completed=done, width=width))
        for name, text in rows.items():
            table.add_row(name, as_text(self.console, text))
        return table
