"""A run's folder: where everything in it is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from search_spaces import InputError
from search_spaces.writing import own

from ..formatting import command


@dataclass(frozen=True)
class TrialFolder:
    """The folder of one architecture, in which its evaluator works and its outcomes are left.

    As of a run's folder, its paths lead nowhere else, or it is an InputError to ask for them.
    """

    path: Path

    def outcome(self, fidelity: float | None) -> Path:
        """How the evaluation at a fidelity ended."""
        return own(self.path / ("outcome.json" if fidelity is None else f"outcome-{fidelity:g}.json"), self.path)

    def hung(self, time_limit: float) -> Path:
        """Where an evaluation was when its time, in seconds, was up."""
        return own(self.path / f"hung-{time_limit:g}.txt", self.path)

    @property
    def error(self) -> Path:
        """The traceback of what its evaluator raised."""
        return own(self.path / "error.txt", self.path)


class RunFolder:
    """The folder of one search. Nothing is made or read until it is used.

    A run may be a stranger's, so a path is only given where it is no link: what is written there cannot land anywhere else.
    The folder itself may be one; that is the user's choice.

    Raises:
        InputError: by every path, where it is a link or leads through one, or is neither a file nor a folder.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)

    def _own(self, *names: str) -> Path:
        return own(self.path.joinpath(*names), self.path)

    @property
    def store(self) -> Path:
        """The record of the search, which makes the folder a run's."""
        return self._own("store.sqlite")

    @property
    def config(self) -> Path:
        """The settings, where a command started the run."""
        return self._own("search.yaml")

    @property
    def training(self) -> Path:
        """The settings, where a command trains out models that were given."""
        return self._own("train.yaml")

    @property
    def trials(self) -> Path:
        """A folder for every architecture that was evaluated."""
        return self._own("trials")

    def trial(self, key: str) -> TrialFolder:
        """The folder of one architecture."""
        return TrialFolder(self._own("trials", key))

    @property
    def models(self) -> Path:
        """A folder for every model that is handed over."""
        return self._own("models")

    def model(self, key: str) -> Path:
        """The folder of one model's files."""
        return self._own("models", key)

    @property
    def devices(self) -> Path:
        """The device profiles that the run predicts with."""
        return self._own("devices")

    def device(self, name: str) -> Path:
        """The profile of one device."""
        return self._own("devices", f"{name}.json")

    @property
    def front_json(self) -> Path:
        """The front with everything that is known of it."""
        return self._own("front.json")

    @property
    def front_csv(self) -> Path:
        """The front as a table."""
        return self._own("front.csv")

    @property
    def front_png(self) -> Path:
        """The front as a picture."""
        return self._own("front.png")

    @property
    def report(self) -> Path:
        """The page that shows the run."""
        return self._own("report.html")

    @property
    def trained_json(self) -> Path:
        """Models that were trained out, with everything that is known of them."""
        return self._own("trained.json")

    @property
    def trained_csv(self) -> Path:
        """The same as a table."""
        return self._own("trained.csv")

    @property
    def trained_png(self) -> Path:
        """The same as a picture."""
        return self._own("trained.png")

    @property
    def for_people(self) -> tuple[Path, ...]:
        """The tables and pictures that a run ends with."""
        front = (self.front_json, self.front_csv, self.front_png)
        return (*front, self.trained_json, self.trained_csv, self.trained_png)

    @property
    def written(self) -> Path:
        """The record of what the run has written for people."""
        return self._own(".written.json")

    def check(self) -> None:
        """Raise InputError where anything of the folder leads elsewhere."""
        for name, entry in vars(RunFolder).items():
            if isinstance(entry, property):
                getattr(self, name)  # which is checked when it is asked for

    @property
    def is_of_a_command(self) -> bool:
        """Whether a command started the run."""
        return self.config.exists() or self.training.exists()

    @property
    def exists(self) -> bool:
        """Whether the folder holds a run."""
        return self.store.exists()

    def check_exists(self) -> None:
        """Raise InputError when the folder holds no run."""
        if not self.exists:
            raise InputError(f"{self.path} holds no run (there is no {self.store.name} in it)")

    def how_to_resume(self, max_evaluations: int | None = None) -> str:
        """What goes on with the run, to so many evaluations, for a message: the command, where one started it, or the function."""
        if self.is_of_a_command:
            return f"run {command('resume', self.path, max_evaluations=max_evaluations)}"
        more = f", max_evaluations={max_evaluations}" if max_evaluations else ""
        return f"call `search` again with directory={str(self.path)!r}{more} and resume=True"

    def how_to_confirm(self, count: int) -> str:
        """What trains contenders of the run's front again, so often in all, for a message: as `how_to_resume`."""
        if self.config.exists():
            return f"run {command('resume', self.path, confirm=count)}"
        return f"call `search` again with directory={str(self.path)!r}, confirm={count} and resume=True"

    def how_to_mend(self, max_evaluations: int | None = None) -> str:
        """What is to be done where nothing but failures came of the run, for a message."""
        return (
            "mend the cause and start anew in another folder; what failed is not tried again, "
            f"other architectures are: {self.how_to_resume(max_evaluations)}"
        )
