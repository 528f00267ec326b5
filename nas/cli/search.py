"""`evoyolo search`, `resume` and `init`: a run from its settings to its front."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from .command import INTERRUPTED, Command, examples, group, say
from .run import RunFolder
from .settings import ResumeCommand, SettingsCommand, given

app = group()


@app.command(
    cls=SettingsCommand,
    epilog=examples(
        "evoyolo search",
        "evoyolo search search.yaml --max-evaluations 40",
        "evoyolo search --data my/data.yaml --epochs 9 --rungs 3 9",
        "evoyolo search --device pi --device laptop \\",
        "    --max-latency-ms '{pi: 25, laptop: 4}'",
        "evoyolo search --restrict '{neck: [PAN], image_size: [320, 416]}'",
    ),
)
def search(
    ctx: typer.Context,
    config: Annotated[
        str | None, typer.Argument(metavar="CONFIG", help="YAML file of settings (see `evoyolo init`)")
    ] = None,
) -> None:
    """Search, train, and export the front.

    Every setting is a field of the file and an option here; options win. Mappings are written as in YAML.
    """
    from ..launch import start as launch
    from ..launch.config import load_config, make_config
    from ..report.terminal import make_console

    fields = given(ctx)
    settings = load_config(config, **fields) if config else make_config(fields, "command line")
    if launch.start(settings, make_console()) is None:
        raise typer.Exit(INTERRUPTED)


@app.command(
    cls=ResumeCommand,
    epilog=examples(
        "evoyolo resume results/search",
        "evoyolo resume results/search --max-evaluations 50",
        "evoyolo resume results/search --executor here",
    ),
)
def resume(ctx: typer.Context, run: RunFolder) -> None:
    """Continue a run that was interrupted, or search on.

    The options are the settings that nothing measured depends on.
    """
    from ..launch import start, train_out
    from ..launch.listed import is_trained_out
    from ..report.terminal import make_console
    from ..storage.run import Run

    launch = train_out if is_trained_out(Run(run)) else start
    if launch.resume(run, make_console(), **given(ctx)) is None:
        raise typer.Exit(INTERRUPTED)


@app.command(cls=Command, epilog=examples("evoyolo init", "evoyolo init my/search.yaml"))
def init(
    path: Annotated[str, typer.Argument(metavar="PATH", help="file to write")] = "search.yaml",
) -> None:
    """Write a commented file of settings."""
    from search_spaces import InputError
    from search_spaces.writing import write_text

    from ..formatting import command
    from ..launch.config import commented_yaml

    file = Path(path)
    if os.path.lexists(file):
        raise InputError(f"{file} exists; it is left as it is")
    try:
        write_text(file, commented_yaml())
    except OSError as error:
        raise InputError(f"{file}: cannot be written ({error.strerror})") from None
    say(f"wrote {file}; change it, then run {command('search', file)}")
