"""The `evoyolo` command: its groups of commands put together."""

from __future__ import annotations

import io
import sys
from typing import Annotated

import typer

from . import compress, dataset, device, model, run, search, train
from .command import examples, group

app = group(
    name="evoyolo",
    epilog=examples(
        "evoyolo search                        on the built-in dataset",
        "evoyolo init                          a file of settings, commented",
        "evoyolo status results/search         while it runs, or afterwards",
        "evoyolo pick results/search --max-latency-ms 2",
        "evoyolo train results/search --front   for long, and ranked anew",
        "evoyolo evaluate best.onnx --data my/data.yaml",
        "evoyolo COMMAND --help                options and examples of a command",
    ),
)
for commands in (search.app, train.app, run.app, model.app, compress.app, dataset.app, device.app):
    app.add_typer(commands)


def _print_versions(asked: bool) -> None:
    if not asked:
        return
    from ..launch.versions import own_version, versions

    for name, version in {"evoyolo": own_version(), **versions()}.items():
        print(name, version)
    raise typer.Exit


@app.callback()
def evoyolo(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            is_eager=True,
            callback=_print_versions,
            help="Show this version and those that figures depend on.",
        ),
    ] = False,
) -> None:
    """Search for object detectors that fit a device."""


def main(arguments: list[str] | None = None) -> int:
    """Run a command; `arguments` are those of the process unless given.

    Returns:
        The exit status: 0 done, 1 wrong input, 2 a usage error or a profile that is not true any more, 130 interrupted.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a name that the terminal cannot show ends no search
            stream.reconfigure(errors="backslashreplace")
    try:
        typer.main.get_command(app)(arguments, prog_name="evoyolo")
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 0
    return 0
