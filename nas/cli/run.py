"""`evoyolo status`, `front`, `report`, `pick` and `show`: what a run holds."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from .command import Command, examples, group, say

app = group()
RunFolder = Annotated[str, typer.Argument(metavar="RUN", help="the run's folder", show_default=False)]


@app.command(cls=Command, epilog=examples("evoyolo status results/search", "evoyolo status results/search --watch 10"))
def status(
    run: RunFolder,
    watch: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", help="say it again every so many seconds, until the search ends"),
    ] = None,
) -> None:
    """How far a run is: what runs where, what failed, the best so far."""
    from search_spaces import InputError

    from ..report.status import describe_status

    if watch is not None and not 0 < watch < 1e6:
        raise InputError(f"--watch must be a number of seconds above 0, not {watch:g}")
    while True:
        lines, alive = describe_status(run)
        for line in lines:
            say(line)
        if not (alive and watch):
            return
        time.sleep(watch)


@app.command(cls=Command, epilog=examples("evoyolo front results/search"))
def front(run: RunFolder) -> None:
    """Print the front of a run.

    Columns that do not fit into the terminal are left out, and named.
    """
    from ..report.front import print_front
    from ..report.terminal import make_console
    from ..storage.run import load_run

    print_front(load_run(run), make_console())


@app.command(
    cls=Command,
    epilog=examples("evoyolo report results/search", "evoyolo report results/search --output ~/search.html"),
)
def report(
    run: RunFolder,
    output: Annotated[
        str | None, typer.Option(metavar="FILE", help="the page (default: report.html in the run's folder)")
    ] = None,
) -> None:
    """Write a run as one HTML page, which any browser opens without a network.

    It may still be running; the same command writes the page anew.
    """
    from ..delivery.page import write_page
    from ..storage.run import load_run

    path = write_page(load_run(run), Path(output) if output is not None else None)
    say(f"wrote {path} ({path.stat().st_size / 1e6:.1f} MB)")
    say(f"open it in a browser: {path.resolve().as_uri()}")


Bound = typer.Option(metavar="BOUND", help="the most that it may have", show_default=False)


@app.command(
    cls=Command,
    epilog=examples(
        "evoyolo pick results/search --max-latency-ms 2",
        "evoyolo pick results/search --max-params 1e6 --max-macs 2e8",
        "evoyolo pick results/search --device pi --max-latency-ms 25 --output out",
    ),
)
def pick(
    run: RunFolder,
    max_latency_ms: Annotated[float | None, Bound] = None,
    max_params: Annotated[float | None, Bound] = None,
    max_macs: Annotated[float | None, Bound] = None,
    device: Annotated[
        str | None, typer.Option(help="device profile whose predictions --max-latency-ms is held against")
    ] = None,
    output: Annotated[str | None, typer.Option(metavar="FOLDER", help="folder to copy the model's files into")] = None,
) -> None:
    """The most accurate model of a run under a budget.

    It is printed as JSON: its key and metrics, what the bounds cost, and where its files are.
    """
    from ..delivery.handover import hand_over
    from ..delivery.selection import choose
    from ..storage.run import load_run

    bounds = {"max_latency_ms": max_latency_ms, "max_params": max_params, "max_macs": max_macs}
    chosen = choose(run, device, **{name: bound for name, bound in bounds.items() if bound is not None})
    read = load_run(run)
    with contextlib.redirect_stdout(sys.stderr):  # whatever exporting prints: stdout is the document
        files = hand_over(read, chosen.evaluation, Path(output) if output else None)
    first = read.objectives[0].metric
    document = {
        "key": chosen.evaluation.key,
        first: chosen.judged.metrics[first],
        "trainings": chosen.judged.trainings,
        "errors": chosen.judged.errors,
        "within": {bound: figure.text for bound, figure in chosen.figures.items()},
        "given_up": chosen.given_up,
        "alike": chosen.alike,
        "metrics": chosen.judged.metrics,
        "files": {kind: str(path) for kind, path in files.items()},
    }
    print(json.dumps(document, indent=1))


@app.command(
    cls=Command,
    epilog=examples(
        "evoyolo show light-recipe --classes 1",
        "evoyolo show results/search:fe274a",
        "evoyolo show results/search/models/fe274a9ad389/best.pt --image-size 320",
    ),
)
def show(
    architecture: Annotated[
        str,
        typer.Argument(metavar="ARCHITECTURE", help="a preset, RUN:KEY, a model.yaml or a checkpoint"),
    ],
    classes: Annotated[
        int | None, typer.Option(help="classes of the head (default: what the file says, or 80)")
    ] = None,
    image_size: Annotated[int | None, typer.Option(help="pixels (default: the architecture's own)")] = None,
    trust: Annotated[
        bool, typer.Option("--trust", help="load a checkpoint that holds others' code; it may do anything")
    ] = False,
) -> None:
    """Explain an architecture layer by layer."""
    from search_spaces.graph import check_num_classes

    from ..report.describe import find_architecture, print_architecture
    from ..report.terminal import make_console

    if classes is not None:
        check_num_classes(classes, "--classes")
    found, own_classes = find_architecture(architecture, trust)
    print_architecture(found, classes or own_classes or 80, image_size, make_console())
