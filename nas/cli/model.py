"""`evoyolo evaluate`: model files judged as they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from .command import Command, examples, group, say

app = group()


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
    data: Annotated[
        str, typer.Option(metavar="<str>", help="digits, a data.yaml or its folder, COCO json, a folder of VOC XML")
    ],
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
    from evaluators.data import check_dataset, load_dataset
    from evaluators.file_metrics import evaluate_file
    from search_spaces import InputError
    from search_spaces.writing import write_text

    from ..report.file_metrics import described
    from ..report.steps import Steps
    from ..report.terminal import make_console

    if output is not None and Path(output).exists():
        raise InputError(f"--output {output} exists; it is left as it is: name another file")
    if threads is not None and threads < 1:
        raise InputError(f"--threads {threads}: must be 1 or more")
    dataset, console, found = load_dataset(data), make_console(), []
    with Steps(console) as steps:
        for line in f"dataset {dataset.name}: {check_dataset(dataset, steps.counting('decoded'))}".splitlines():
            say(line)
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
