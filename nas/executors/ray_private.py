"""Everything of Ray that we lean on and that Ray does not promise to keep: one place to look at when its version changes.

Where a name of Ray's is gone, what it was used for is left out: then Ray prints more than it should, and the search goes on.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from search_spaces import InputError

EARLIEST = (2, 40)  # the first that has what is used here
TESTED = (2, 60)  # the latest that the tests have seen

# Read by Ray when it is imported or started: nothing is reported home, trials keep the working directory, Tune writes
# no tables and result files of its own, starts workers side by side and not one after another, and Ctrl-C reaches us and
# not Tune, which would call an interrupted search done.
ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_TRAIN_V2_ENABLED": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_MAX_PENDING_TRIALS_PG": "1000",
}

# A local Ray then serves on 127.0.0.1 only, as it does by default on macOS and Windows; nobody else may submit to it.
LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}

LOGGERS = ("ray", "ray.tune", "ray.train", "ray.data")


def set_environment(local: bool = False) -> None:
    """Set what Ray reads, where the user has not; to be called before Ray is imported.

    Args:
        local: a Ray of our own is going to be started.
    """
    for name, value in {**ENVIRONMENT, **(LOOPBACK if local else {})}.items():
        os.environ.setdefault(name, value)


def check_version(version: str) -> str | None:
    """What is to be said of a version of Ray; None where it has been tested.

    Raises:
        InputError: it is too old.
    """
    numbers = tuple(int(part) for part in version.split(".")[:2])
    earliest, tested = (".".join(map(str, each)) for each in (EARLIEST, TESTED))
    if numbers < EARLIEST:
        raise InputError(f"Ray {version} is too old; install {earliest} or later, best {tested}")
    if numbers > TESTED:
        return (
            f"Ray {version} is newer than what this was tested with; should a search behave oddly, install Ray {tested}"
        )
    return None


@contextlib.contextmanager
def without_logs_of_the_dead() -> Iterator[None]:
    """Ray would print the last lines of a dead node's log, which no setting prevents; a listener is told in one line."""
    try:
        from ray._private import worker

        printing = worker.print_to_stdstream
    except (ImportError, AttributeError):
        yield
        return
    worker.print_to_stdstream = lambda *args, **options: None
    try:
        yield
    finally:
        worker.print_to_stdstream = printing


@contextlib.contextmanager
def without_usage_process() -> Iterator[None]:
    """A Ray that is started without a dashboard has a process all the same, only for statistics of usage; with those off it
    still asks addresses outside of the machine which cloud this is. It is left out."""
    try:
        from ray._private import services

        start = services.start_api_server
    except (ImportError, AttributeError):
        yield
        return

    def start_what_is_wanted(include_dashboard: bool | None, *arguments: Any, **options: Any) -> Any:
        return (None, None) if include_dashboard is False else start(include_dashboard, *arguments, **options)

    services.start_api_server = start_what_is_wanted
    try:
        yield
    finally:
        services.start_api_server = start


@contextlib.contextmanager
def without_tune_logs() -> Iterator[None]:
    """Tune tells its own story of every trial; ours is told by the listener."""
    loggers = [logging.getLogger(name) for name in LOGGERS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR + 1)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels):
            logger.setLevel(level)


def trial_error(trial: Any) -> str:
    """Why one of Tune's trials ended, as Tune keeps it in a file that begins with a line of its own."""
    file = getattr(trial, "error_file", None)
    return Path(file).read_text(encoding="utf-8").partition("\n")[2] if file else ""


def tells_of_a_lost_node(message: str) -> bool:
    """Whether what Ray says of an actor is how a node's end is first felt, before the node counts as dead."""
    return "is unavailable" in message


class StaysHere:
    """Tune pickles a Tuner's arguments for a restore that we never ask for; a session has a database open."""

    def __reduce__(self) -> tuple[type, tuple[str]]:
        return str, ("lives in the driver",)
