"""`evoyolo train`: what a search found, presets and models of files, trained for long and ranked anew."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from .command import INTERRUPTED, examples, group
from .settings import SettingsCommand, given

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

app = group()


class TrainCommand(SettingsCommand):
    """As `SettingsCommand`, of the fields of a long training."""

    def fields(self) -> Mapping[str, FieldInfo]:
        """Name -> field, of all of its configuration."""
        from ..launch.train_config import TrainConfig

        return TrainConfig.model_fields


@app.command(
    cls=TrainCommand,
    epilog=examples(
        "evoyolo train results/search:fe274a --compare yolov8n",
        "evoyolo train results/search --front --epochs 200 --output results/long",
        "evoyolo train yolov8n@160 my/model.yaml --data my/data.yaml --seeds 3",
        "evoyolo train best.pt --data my/data.yaml",
        "evoyolo train --resume results/trained",
    ),
)
def train(
    ctx: typer.Context,
    subjects: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="MODEL...",
            help="RUN:KEY, a preset (NAME or NAME@PIXELS), a model.yaml, a model.pt; with --front a run",
            show_default=False,
        ),
    ] = None,
    front: Annotated[bool, typer.Option("--front", help="train all of the front of the run")] = False,
    compare: Annotated[
        list[str] | None, typer.Option(metavar="PRESET...", help="presets that are trained alike", show_default=False)
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(
            metavar="WHICH",
            help="search: each begins with its own checkpoint; a file or RUN:KEY: with what fits of that one; none: from scratch "
            "(default: its own for a model.pt, from scratch for all else)",
            show_default=False,
        ),
    ] = None,
    resume: Annotated[
        str | None,
        typer.Option(metavar="OUTPUT", help="go on with a training that was interrupted", show_default=False),
    ] = None,
) -> None:
    """Train models for long, and rank them anew.

    The same command goes on after it was interrupted or killed, from the last epoch that was finished.
    """
    from search_spaces import InputError

    from ..launch import train_out
    from ..launch.train_config import make_train_config
    from ..report.terminal import make_console

    fields = given(ctx)
    if resume is not None:
        if subjects or front or compare or weights:
            raise InputError("--resume goes on with the models that it began with; name none")
        ended = train_out.resume(resume, make_console(), **fields)
    else:
        config = make_train_config(fields, "command line")
        ended = train_out.start(
            subjects or [],
            config,
            make_console(),
            front=front,
            compare=[n for n in compare or () if n],
            weights=weights,
        )
    if ended is None:
        raise typer.Exit(INTERRUPTED)
