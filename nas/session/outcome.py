"""How a job ended."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from search_spaces import InputError
from search_spaces.files import read_json
from search_spaces.text import printable

from ..objectives import is_number


class Ending(str, Enum):
    """The ways in which a job ends. A member is equal to its text, and prints as it."""

    FINISHED = "finished"
    FAILED = "failed"
    REJECTED = "rejected"  # a hard constraint was found violated
    UNFINISHED = "unfinished"  # the disk is full, which is no fault of the architecture
    DIED = "died"  # its process did, while the machine went on
    LOST = "lost"  # the machine went away
    UNSTARTED = "unstarted"  # no process came up for it
    REFUSED = "refused"  # its evaluator says that it can evaluate nothing there

    __str__ = str.__str__


@dataclass(frozen=True)
class Outcome:
    """How a job ended. Plain data, so that it travels anywhere; the ending may be given as its text.

    Attributes:
        reason: why it did not finish, in one line of printable text.
        seconds: that the evaluation took.
        node: the name of the machine that it was on.
        ignored: returned under names of metrics but no finite numbers; name -> what it was.
    """

    status: Ending
    metrics: dict[str, float] = field(default_factory=dict)
    reason: str | None = None
    seconds: float = 0.0
    node: str | None = None
    ignored: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "status", Ending(self.status))
        if self.reason is not None:  # it may be a stranger's, and goes into the store and onto terminals
            object.__setattr__(self, "reason", printable(self.reason))


LEFT = (Ending.FINISHED, Ending.FAILED, Ending.REJECTED)  # the endings of outcomes that are left in a folder


def left_outcome(path: Path) -> Outcome | None:
    """The outcome that an earlier time left at `path`; None where there is none that can be used.

    A power cut may empty a file, and a stranger's may hold anything; to evaluate again costs only time.
    """
    try:
        content = read_json(path)
    except InputError:
        return None
    if not isinstance(content, dict) or set(content) - set(Outcome.__dataclass_fields__) or not _is_outcome(**content):
        return None
    return Outcome(**content)


def _is_outcome(
    status: Any = None,
    metrics: Any = None,
    reason: Any = None,
    seconds: Any = 0.0,
    node: Any = None,
    ignored: Any = None,
) -> bool:
    numbers, texts = ({} if each is None else each for each in (metrics, ignored))
    return (
        status in tuple(map(str, LEFT))
        and isinstance(numbers, dict)
        and all(map(is_number, numbers.values()))
        and isinstance(texts, dict)
        and all(isinstance(each, str) for each in texts.values())
        and all(each is None or isinstance(each, str) for each in (reason, node))
        and is_number(seconds)
        and seconds >= 0
    )
