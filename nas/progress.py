"""Progress of a search: a live table on a terminal, plain lines anywhere else."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from .objectives import Objective, default_reference, front, hypervolume
from .store import Evaluation


def duration(seconds: float) -> str:
    """12 s, 3 min 20 s, 2 h 05 min."""
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60:02d} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60:02d} min"


def number(name: str, value: float) -> str:
    """A metric's value as tables print it."""
    if name.partition("@")[0].endswith("_percent"):
        return f"{value:+.0f}"
    if "_ms" in name or name.endswith("_seconds"):
        return f"{value:.2f}"
    if isinstance(value, int) or float(value).is_integer() and abs(value) >= 1000:
        return f"{int(value):,}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3f}"


class Progress:
    """Shows how far a search is. Everything it says was counted or measured at that moment."""

    def __init__(self, objectives: Sequence[Objective], max_evaluations: int, console: Console | None = None):
        self.objectives = list(objectives)
        self.max_evaluations = max_evaluations
        self.console = console or Console(file=sys.stdout)
        self.finished: list[Evaluation] = []
        self.counts = {"finished": 0, "failed": 0, "rejected": 0, "paused": 0}
        self.open = self.costed = 0
        self.spent = self.spent_before = 0  # whole evaluations; before this process, which say nothing about its speed
        self._paused: set[str] = set()
        self.drained = False
        self._said: set[str] = set()
        self.started_at = self.ended_at = None
        self._live: Live | None = None

    def __enter__(self) -> Progress:
        self.started_at = time.monotonic()
        if self.console.is_terminal:
            self._live = Live(console=self.console, refresh_per_second=2, get_renderable=self._table)
            self._live.start()
        return self

    def __exit__(self, *exception) -> None:
        self.ended_at = time.monotonic()
        if self._live:
            self._live.stop()
            self._live = None

    def say(self, text: str) -> None:
        self.console.print(text, highlight=False, soft_wrap=True)

    def once(self, text: str) -> None:
        """Say something that need not be repeated."""
        if text not in self._said:
            self._said.add(text)
            self.say(text)

    def restore(self, evaluations: Sequence[Evaluation], spent: float) -> None:
        for evaluation in evaluations:
            if evaluation.status in self.counts:
                self.counts[evaluation.status] += 1
        self.finished = [e for e in evaluations if e.status == "finished"]
        self._paused = {e.key for e in evaluations if e.status == "paused"}
        self.spent = self.spent_before = spent
        if evaluations:
            self.say(f"resumed with {self._counted()}")

    def started(self, costed: int, open: int) -> None:
        self.costed, self.open = costed, open

    def retried(self, key: str, why: str, open: int) -> None:
        self.open = open
        self.say(f"{key}  {why}")

    def drain(self, open: int) -> None:
        self.drained = True
        wait = f"waiting for what runs ({open}); Ctrl-C again stops at once" if open else "nothing runs"
        self.say(f"stopping: nothing more is started, {wait}")

    def concluded(self, evaluation: Evaluation, spent: float, open: int) -> None:
        self.open, self.spent = open, spent
        if evaluation.status == "paused":
            self._paused.add(evaluation.key)
        else:
            self._paused.discard(evaluation.key)
            self.counts[evaluation.status] += 1
        self.counts["paused"] = len(self._paused)
        if evaluation.status == "finished":
            self.finished.append(evaluation)
        if evaluation.status in ("finished", "paused"):
            what = ", ".join(f"{o.metric} {number(o.metric, evaluation.metrics[o.metric])}" for o in self.objectives)
            what += f" at {evaluation.fidelity:g}" if evaluation.fidelity is not None else ""
        else:
            what = f"{evaluation.status}: {evaluation.reason}"
        # A terminal has the table for the state; a log has to say it on every line.
        state = "" if self._live else f" | {self._counted()}, {self.open} running, {self._ends()}"
        self.say(f"{evaluation.key}  {what}  ({duration(evaluation.seconds or 0)}){state}")

    @property
    def elapsed(self) -> float:
        """Seconds that the search has taken, or took, in this process; 0 if nothing was left to search."""
        if self.started_at is None:
            return 0.0
        return (self.ended_at or time.monotonic()) - self.started_at

    # -- what is said --------------------------------------------------------------------------------------------

    def _counted(self) -> str:
        """Of the budget; with several fidelities it is spent in parts."""
        spent = f"{self.spent:.1f}" if isinstance(self.spent, float) else f"{self.spent}"
        text = f"{spent}/{self.max_evaluations} evaluated, {self.counts['failed']} failed"
        for state in ("paused", "rejected"):
            text += f", {self.counts[state]} {state}" if self.counts[state] else ""
        return text

    def _left(self) -> float | None:
        done = self.spent - self.spent_before
        if done <= 0:
            return None
        return self.elapsed / done * max(0, self.max_evaluations - self.spent)

    def _best(self) -> list[str]:
        best = []
        for objective in self.objectives:
            values = [e.metrics[objective.metric] for e in self.finished]
            if values:
                best.append(
                    f"{objective.metric} {number(objective.metric, (max if objective.direction == 'max' else min)(values))}"
                )
        return best

    def _hypervolume(self) -> float | None:
        metrics = [e.metrics for e in self.finished]
        if len(metrics) < 2:
            return None
        return hypervolume(metrics, self.objectives, default_reference(metrics, self.objectives))

    def _ends(self) -> str:
        volume, left = self._hypervolume(), self._left()
        parts = [f"best {', '.join(self._best())}"] if self.finished else []
        parts += [f"hypervolume {volume:.4g}"] if volume is not None else []
        parts += [f"about {duration(left)} left"] if left is not None else []
        return ", ".join(parts) or "no result yet"

    def _table(self):
        table = Table.grid(padding=(0, 2))
        volume, left = self._hypervolume(), self._left()
        on_front = len(front([e.metrics for e in self.finished], self.objectives)) if self.finished else 0
        table.add_row("", ProgressBar(total=self.max_evaluations, completed=self.spent, width=50))
        table.add_row("evaluated", self._counted())
        table.add_row("running", f"{self.open}" + (f", {self.costed:,} candidates costed" if self.costed else ""))
        table.add_row("best", ", ".join(self._best()) or "-")
        table.add_row("front", f"{on_front} models" + (f", hypervolume {volume:.4g}" if volume is not None else ""))
        table.add_row(
            "time", f"{duration(self.elapsed)}" + (f", about {duration(left)} left" if left is not None else "")
        )
        return table
