"""`evoyolo evaluate`, `export` and `compress`: model files judged as they are, written for other runtimes, made smaller."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from .command import Command, examples, group, say

app = group()


Data = "digits, a data.yaml or its folder, COCO json, a folder of VOC XML"


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
    from evaluators.data import check_dataset, load_dataset

    from ..delivery.ship import ship
    from ..report.steps import Steps
    from ..report.terminal import make_console

    with Steps(make_console()) as steps:
        dataset = None
        if data is not None:
            dataset = load_dataset(data)
            for line in f"dataset {dataset.name}: {check_dataset(dataset, steps.counting('decoded'))}".splitlines():
                say(line)
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


@app.command(
    cls=Command,
    epilog=examples(
        "evoyolo compress best.pt --data D --prune 0.3 --finetune 20",
        "evoyolo compress best.pt --data D --to-macs 5e7 --quantize int8",
        "evoyolo compress best.pt --data D --to-latency-ms 4 --device laptop",
    ),
)
def compress(
    checkpoint: Annotated[str, typer.Argument(metavar="FILE", help="a .pt of ours, or of Ultralytics' YOLOv8")],
    data: Annotated[str, typer.Option(metavar="<str>", help=Data)],
    output: Annotated[
        str, typer.Option(metavar="FOLDER", help="to write; the same command goes on in it")
    ] = "results/compressed",
    prune: Annotated[
        float | None, typer.Option(help="share of the channels that go, 0 to 1", show_default=False)
    ] = None,
    to_macs: Annotated[float | None, typer.Option(help="prune to so many MACs an image", show_default=False)] = None,
    to_params: Annotated[float | None, typer.Option(help="prune to so many parameters", show_default=False)] = None,
    to_latency_ms: Annotated[
        float | None, typer.Option(help="prune to so many ms, as --device predicts them", show_default=False)
    ] = None,
    device: Annotated[
        str | None, typer.Option(metavar="PROFILE", help="a device profile's file or name", show_default=False)
    ] = None,
    criterion: Annotated[
        Literal["l1", "l2", "bn", "taylor", "lamp"], typer.Option(help="by which channels are compared")
    ] = "l2",
    per_layer: Annotated[bool, typer.Option("--per-layer", help="--prune is the share of every layer")] = False,
    multiple: Annotated[int, typer.Option(help="channels stay multiples of it")] = 8,
    finetune: Annotated[int | None, typer.Option(metavar="EPOCHS", help="train on", show_default=False)] = None,
    qat: Annotated[
        bool, typer.Option("--qat", help="let --finetune feel the errors that INT8 will cost (quantisation-aware)")
    ] = False,
    teacher: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="a checkpoint that --finetune learns from, beside the labels", show_default=False
        ),
    ] = None,
    distill: Annotated[
        list[str] | None,
        typer.Option(
            metavar="<str>...",
            help="what it learns: response (scores), boxes, its maps by cwd or pkd (default: response cwd)",
            show_default=False,
        ),
    ] = None,
    temperature: Annotated[float, typer.Option(help="that the teacher's answers are softened with")] = 2.0,
    quantize: Annotated[
        Literal["int8"] | None, typer.Option(help="to integers of eight bits, in an ONNX file", show_default=False)
    ] = None,
    image_size: Annotated[
        int | None, typer.Option(help="pixels (default: what it was trained at)", show_default=False)
    ] = None,
    batch: Annotated[int, typer.Option(help="images per step of the fine-tuning")] = 16,
    seed: Annotated[int, typer.Option(help="of the fine-tuning")] = 0,
    training_device: Annotated[str, typer.Option(help="of the fine-tuning: cpu, or a CUDA device such as 0")] = "cpu",
    threads: Annotated[
        int | None, typer.Option(help="of training and of ONNX Runtime (default: all cores)", show_default=False)
    ] = None,
    runtime: Annotated[
        list[str] | None,
        typer.Option(
            metavar="<str>...",
            help="that latency is measured with: onnxruntime, openvino, ncnn (default: onnxruntime)",
            show_default=False,
        ),
    ] = None,
    latency_sizes: Annotated[
        list[int] | None,
        typer.Option(
            metavar="<int>...", help="pixels to measure latency at, beside the model's own", show_default=False
        ),
    ] = None,
    latency: Annotated[
        bool, typer.Option("--latency/--no-latency", help="measure latency, with nothing else running")
    ] = True,
) -> None:
    """Make a model smaller, with the price of every step.

    A row for the model as it is and for what every step leaves: mAP, parameters, MACs, bytes, latency on every --runtime.
    """
    from evaluators.data import check_dataset, load_dataset
    from evaluators.evaluator import EvaluationError
    from evaluators.latency.agent import default_threads
    from search_spaces import InputError

    from ..delivery.compress import compress as do
    from ..formatting import command
    from ..report.steps import Steps
    from ..report.terminal import make_console

    targets = {"ratio": prune, "to_macs": to_macs, "to_params": to_params, "to_latency_ms": to_latency_ms}
    asked = {name: value for name, value in targets.items() if value is not None}
    if len(asked) > 1:
        raise InputError("--prune, --to-macs, --to-params and --to-latency-ms are different targets; give one")
    if to_latency_ms is not None and device is None:
        raise InputError("--to-latency-ms needs --device: the profile that predicts it")
    steps: list[str | dict[str, object]] = []
    if asked:
        options = {**asked, "criterion": criterion, "per_layer": per_layer, "multiple": multiple}
        steps.append({"prune": {**options, **({"device": device} if to_latency_ms is not None else {})}})
    if finetune is not None:
        taught = {"teacher": teacher, "temperature": temperature, **({"distill": distill} if distill else {})}
        options = {"epochs": finetune, "mirrored": data != "digits", **({"quantisation_aware": True} if qat else {})}
        steps.append({"finetune": {**options, **(taught if teacher is not None else {})}})
    for option, needed in (("--teacher", teacher is not None), ("--qat", qat)):
        if needed and finetune is None:
            raise InputError(f"{option} needs --finetune: the epochs in which the model learns with it")
    if quantize is not None:
        steps += ["export", "quantise"]
    if not steps:
        raise InputError(
            "nothing is asked for: give --prune, --to-macs, --to-params, --to-latency-ms, --finetune or --quantize"
        )
    with Steps(make_console()) as progress:
        dataset = load_dataset(data)
        for line in f"dataset {dataset.name}: {check_dataset(dataset, progress.counting('decoded'))}".splitlines():
            say(line)
        try:
            do(
                checkpoint,
                dataset,
                output,
                steps,
                image_size=image_size,
                threads=threads or default_threads(),
                batch=batch,
                seed=seed,
                training_device=training_device,
                runtimes=(runtime or ("onnxruntime",)) if latency else (),
                latency_sizes=latency_sizes or (),
                say=say,
                progress=progress.counting("judged"),
            )
        except EvaluationError as error:
            raise InputError(f"{checkpoint}: {error}") from None
    say(
        f"wrote {output}: steps.csv, steps.json, steps.png and the file of every step; next: {command('export', 'FILE', format='onnx', output='shipped')}"
    )
