"""`evoyolo dataset`: data sets checked and converted."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from .command import Command, examples, group, say

app = group(
    name="dataset",
    help="Check or convert a dataset.",
    epilog=examples("evoyolo dataset check my/data.yaml", "evoyolo dataset convert voc VOC_FOLDER OUT"),
)


@app.command(
    cls=Command,
    epilog=examples("evoyolo dataset check my/data.yaml", "evoyolo dataset check train.json:val.json"),
)
def check(
    data: Annotated[
        str, typer.Argument(metavar="DATA", help="digits, a data.yaml or its folder, COCO json, a folder of VOC XML")
    ],
) -> None:
    """Find missing images, broken labels, wrong boxes."""
    from evaluators.data import check_dataset, load_dataset

    from ..report.steps import Steps
    from ..report.terminal import make_console

    with Steps(make_console()) as steps:
        summary = check_dataset(load_dataset(data), steps.counting("decoded"))
    for line in str(summary).splitlines():
        say(line)


@app.command(
    cls=Command,
    epilog=examples(
        "evoyolo dataset convert voc VOCdevkit/VOC2012 converted",
        "evoyolo dataset convert coco train.json:val.json converted",
    ),
)
def convert(
    format: Annotated[Literal["voc", "coco"], typer.Argument(metavar="FORMAT", help="voc or coco")],
    source: Annotated[
        str,
        typer.Argument(metavar="SOURCE", help="folder with XML as VOC or labelImg write it, or train.json:val.json"),
    ],
    output: Annotated[str, typer.Argument(metavar="OUTPUT", help="folder to write")],
) -> None:
    """Turn Pascal VOC or COCO annotations into Ultralytics' layout."""
    from evaluators.data import convert_coco, convert_voc

    for line in str({"voc": convert_voc, "coco": convert_coco}[format](source, output)).splitlines():
        say(line)
