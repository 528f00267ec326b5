"""What all commands have in common: flags with several values, examples, one line for what is wrong."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sys
from collections.abc import Collection, Iterable, Iterator
from itertools import takewhile
from typing import Any, TextIO

import typer
from typer.core import TyperCommand, TyperGroup

WRONG_INPUT, NOT_TRUE, INTERRUPTED = 1, 2, 130  # exit statuses; a usage error's is 2 as well


class Command(TyperCommand):
    """A command whose options of several values take them after one flag, and whose errors are one line each."""

    # the library's contexts have a class of their own, which is not public: hence Any

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        flags = {flag for parameter in self.params if getattr(parameter, "multiple", False) for flag in parameter.opts}
        return super().parse_args(ctx, repeat_flags(map(at_home, args), flags))

    def invoke(self, ctx: Any) -> Any:
        from evaluators.caches import keep_caches_together
        from search_spaces import InputError

        keep_caches_together()
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()  # a pipe that nobody reads is found out now, not when the interpreter ends
            return result
        except InputError as error:
            say(f"evoyolo: {error}", sys.stderr)
            raise typer.Exit(WRONG_INPUT) from None
        except BrokenPipeError:  # the reader of a pipe has had enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what is left in the buffer
            raise typer.Exit(0) from None
        except OSError as error:  # a folder that cannot be written, a full disk
            say(f"evoyolo: {error.filename or ctx.info_name}: {error.strerror or error}", sys.stderr)
            raise typer.Exit(WRONG_INPUT) from None


class Group(TyperGroup):
    """A group of commands. What is interrupted, also while its options are made, ends with one line."""

    def make_context(self, *args: Any, **extra: Any) -> Any:
        with _interruptible():
            return super().make_context(*args, **extra)

    def invoke(self, ctx: Any) -> Any:
        with _interruptible():
            return super().invoke(ctx)


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt as interrupt:
        raise typer.Exit(interrupted(interrupt)) from None


def interrupted(interrupt: KeyboardInterrupt) -> int:
    """Say that a command was interrupted, and how to go on, where the interrupt does not say it; the exit status."""
    how = interrupt.args[0] if interrupt.args else "the same command goes on, or begins again"
    print(file=sys.stderr)
    say(f"evoyolo: interrupted; {how}", sys.stderr)
    return INTERRUPTED


def say(text: object, stream: TextIO | None = None) -> None:
    """Print a line at once, for a log is read while it is written; on a terminal that is narrower it is broken between words."""
    from search_spaces.text import printable

    from ..formatting import wrapped

    stream, line = stream or sys.stdout, printable(text)
    lines = wrapped(line, shutil.get_terminal_size().columns) if stream.isatty() else [line]
    print("\n".join(lines), file=stream, flush=True)


def at_home(argument: str) -> str:
    """An argument with the homes that a shell leaves as they are: `--output=~/out`, `a.json:~/b.json`."""
    return re.sub(r"(^|[=:])(~[\w.-]*)(?=/)", lambda found: found[1] + os.path.expanduser(found[2]), argument)


def repeat_flags(arguments: Iterable[str], flags: Collection[str]) -> list[str]:
    """`--rungs 3 9` as `--rungs 3 --rungs 9`, which the library understands; a flag without values gets an empty one."""
    repeated: list[str] = []
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        if argument == "--":
            return [*repeated, argument, *rest]
        if argument not in flags:
            repeated.append(argument)
            continue
        values = list(takewhile(_is_value, rest))
        del rest[: len(values)]
        for value in values or [""]:
            repeated += [argument, value]
    return repeated


def _is_value(argument: str) -> bool:
    """Whether it is no option: `-`, and negative numbers, are values."""
    return not re.match(r"-(?!$|\.?\d)", argument)


def examples(*lines: str) -> str:
    """Command lines as the end of a help text, where they are not wrapped."""
    return "\n".join(["\b", "Examples:", *(f"  {line}" for line in lines)])


def group(**options: Any) -> typer.Typer:
    """A Typer of ours: plain text everywhere, so that help reads the same in a log and nothing in it is taken for markup."""
    settings = {"help_option_names": ["--help", "-h"]}
    return typer.Typer(
        cls=Group,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        no_args_is_help=True,
        context_settings=settings,
        **options,
    )
