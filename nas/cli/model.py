"""`evoyolo evaluate` and `export`: model files judged as they are, and written for other runtimes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from .command import Command, examples, group, say

if TYPE_CHECKING:
    from evaluators.data import Dataset

    from ..report.steps import Steps

app = group()

Data = "digits, a data.yaml or its folder, COCO json, a folder of VOC XML"


def make_progress() -> Steps:
    """What tells of long work, while it is open."""
    from ..report.steps import Steps
    from ..report.terminal import make_console

    return Steps(make_console())


def checked(data: str, progress: Steps) -> Dataset:
    """The dataset, whose labels and images are looked at and told of."""
    from evaluators.data import check_dataset, load_dataset

    dataset = load_dataset(data)
    for line in f"dataset {dataset.name}: {check_dataset(dataset, progress.counting('decoded'))}".splitlines():
        say(line)
    return dataset


@app.command(
    cls=Command,
    epilog=examples(
        "evoyolo evaluate best.onnx --data my/data.yaml",
        "evoyolo evaluate best.pt best.onnx --data my/data.yaml --threads 4",
        "evoyolo evaluate model.param --data my/data.yaml --image-size 320",
    ),
)
def evaluate(
    files: Annotated[
        list[str],
        typer.Argument(metavar="FILE...", help=".pt, .onnx, OpenVINO's .xml, ncnn's .param, whoever made them"),
    ],
    data: Annotated[str, typer.Option(metavar="<str>", help=Data)],
    split: Annotated[Literal["val", "train"], typer.Option(help="of the dataset")] = "val",
    runtime: Annotated[
        str | None,
        typer.Option(
            help="what runs the files (default: PyTorch, ONNX Runtime, OpenVINO or ncnn, by the file)",
            show_default=False,
        ),
    ] = None,
    on: Annotated[str, typer.Option(help="cpu, cuda, tensorrt or gpu, as the runtime has them")] = "cpu",
    precision: Annotated[
        Literal["FP32", "FP16", "INT8"] | None,
        typer.Option(help="that the runtime computes in (default: what is in the file)", show_default=False),
    ] = None,
    threads: Annotated[int | None, typer.Option(help="of the runtime (default: all cores)", show_default=False)] = None,
    image_size: Annotated[
        int | None, typer.Option(help="pixels (default: what the file says)", show_default=False)
    ] = None,
    latency: Annotated[
        bool, typer.Option("--latency/--no-latency", help="measure latency, with nothing else running")
    ] = True,
    output: Annotated[
        str | None, typer.Option(metavar="FILE", help="JSON file to write everything to", show_default=False)
    ] = None,
    trust: Annotated[
        bool, typer.Option("--trust", help="open files that are programs or hold others' code; they may do anything")
    ] = False,
) -> None:
    """Accuracy (COCO mAP), size and latency of exactly these files."""
    from evaluators.file_metrics import evaluate_file
    from search_spaces import InputError
    from search_spaces.writing import write_text

    from ..report.file_metrics import described

    if output is not None and Path(output).exists():
        raise InputError(f"--output {output} exists; it is left as it is: name another file")
    if threads is not None and threads < 1:
        raise InputError(f"--threads {threads}: must be 1 or more")
    found = []
    with make_progress() as steps:
        dataset = checked(data, steps)
        for file in files:
            one = evaluate_file(
                file,
                dataset,
                split=split,
                runtime=runtime,
                device=on,
                precision=precision,
                threads=threads,
                image_size=image_size,
                with_latency=latency,
                trust=trust,
                progress=steps.counting("judged"),
            )
            found.append(one.to_dict())
            for line in described(one, split):
                say(line)
            if output is not None:  # what took its time is kept, whatever the next file does
                write_text(
                    Path(output), json.dumps({"data": str(data), "split": split, "files": found}, indent=1) + "\n"
                )
    if output is not None:
        say(f"wrote {output}")


@app.command(
    cls=Command,
    epilog=examples(
        "evoyolo export best.pt --format onnx ncnn --output shipped",
        "evoyolo export best.pt --format onnx --data my/data.yaml --output shipped",
        "evoyolo export best.pt --format onnx --precision INT8 --data D --output out",
    ),
)
def export(
    checkpoint: Annotated[str, typer.Argument(metavar="FILE", help="a .pt of ours or of Ultralytics'")],
    output: Annotated[str, typer.Option(metavar="FOLDER", help="to write; it gets a folder for each format")],
    format: Annotated[list[str], typer.Option(metavar="<str>...", help="onnx, openvino, ncnn, torchscript")],
    data: Annotated[
        str | None,
        typer.Option(metavar="<str>", help=f"to compare, judge and time the files on: {Data}", show_default=False),
    ] = None,
    precision: Annotated[
        Literal["FP32", "INT8"], typer.Option(help="INT8 is calibrated on training images of --data")
    ] = "FP32",
    image_size: Annotated[
        int | None, typer.Option(help="pixels (default: what it was trained at)", show_default=False)
    ] = None,
    threads: Annotated[
        int | None, typer.Option(help="of the runtimes (default: all cores)", show_default=False)
    ] = None,
    latency: Annotated[
        bool, typer.Option("--latency/--no-latency", help="measure latency, with nothing else running")
    ] = True,
    trust: Annotated[
        bool, typer.Option("--trust", help="open a checkpoint that holds others' code; it may do anything")
    ] = False,
) -> None:
    """Write a model for other runtimes, each file compared with PyTorch before it is called done.

    A folder per format: the model, labels.txt, a program of 40 lines that runs it without PyTorch, and card.md with its figures.
    """
    from ..delivery.ship import ship

    with make_progress() as steps:
        dataset = None if data is None else checked(data, steps)
        ship(
            checkpoint,
            format,
            output,
            image_size=image_size,
            precision=precision,
            dataset=dataset,
            threads=threads,
            with_latency=latency,
            trust=trust,
            say=say,
            progress=steps.counting("judged"),
        )
