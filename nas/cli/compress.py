"""`evoyolo compress` and `sensitivity`: trained models made smaller, and which of their channels bear it."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any, Literal

import typer

from .command import Command, examples, group, say
from .model import Data, checked, make_progress

app = group()


@app.command(
    cls=Command,
    epilog=examples(
        "evoyolo compress best.pt --data D --prune 0.3 --finetune 20 --teacher big.pt",
        "evoyolo compress best.pt --data D --to-macs 5e7 --rounds 3 --finetune 20",
        "evoyolo compress best.pt --data D --to-latency-ms 4 --device laptop",
        "evoyolo compress best.pt --data D --quantize int8 --max-drop 0.003",
        "evoyolo compress best.pt --data D --recipe '[{sparsify: {}}, finetune]'",
    ),
)
def compress(
    checkpoint: Annotated[str, typer.Argument(metavar="FILE", help="a .pt of ours, or of Ultralytics' YOLOv8 or 11")],
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
    depth: Annotated[int, typer.Option(help="bottlenecks that go whole, before any channels")] = 0,
    criterion: Annotated[
        Literal["l1", "l2", "bn", "taylor", "lamp"], typer.Option(help="by which channels are compared")
    ] = "l2",
    per_layer: Annotated[bool, typer.Option("--per-layer", help="--prune is the share of every layer")] = False,
    multiple: Annotated[int, typer.Option(help="channels stay multiples of it")] = 8,
    rounds: Annotated[int, typer.Option(help="in which it is pruned, each told anew what matters")] = 1,
    epochs_between: Annotated[int, typer.Option(metavar="EPOCHS", help="of training between two rounds")] = 5,
    finetune: Annotated[int | None, typer.Option(metavar="EPOCHS", help="train on", show_default=False)] = None,
    qat: Annotated[
        bool, typer.Option("--qat", help="let --finetune feel the errors that INT8 will cost (quantisation-aware)")
    ] = False,
    teacher: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="a checkpoint that trainings learn from, beside the labels", show_default=False
        ),
    ] = None,
    distill: Annotated[
        list[str] | None,
        typer.Option(
            metavar="<str>...",
            help="what they learn: response (scores), boxes, its maps by cwd or pkd (default: response cwd)",
            show_default=False,
        ),
    ] = None,
    temperature: Annotated[float, typer.Option(help="that the teacher's answers are softened with")] = 2.0,
    quantize: Annotated[
        Literal["int8", "int8-dynamic", "fp16"] | None,
        typer.Option(help="an ONNX file of integers of eight bits, or of halves", show_default=False),
    ] = None,
    max_drop: Annotated[
        float | None,
        typer.Option(
            help="mAP50-95 that int8 may lose; as many layers as that needs stay FP32 (default: none does)",
            show_default=False,
        ),
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            metavar="LIST", help="steps in YAML, in place of all above (docs/compression.md)", show_default=False
        ),
    ] = None,
    image_size: Annotated[
        int | None, typer.Option(help="pixels (default: what it was trained at)", show_default=False)
    ] = None,
    batch: Annotated[int, typer.Option(help="images per step of the trainings")] = 16,
    seed: Annotated[int, typer.Option(help="of the trainings")] = 0,
    training_device: Annotated[str, typer.Option(help="of the trainings: cpu, or a CUDA device such as 0")] = "cpu",
    threads: Annotated[
        int | None, typer.Option(help="of training and of the runtimes (default: all cores)", show_default=False)
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
    from evaluators.evaluator import EvaluationError
    from evaluators.latency.agent import default_threads
    from search_spaces import InputError

    from ..delivery.compress import compress as do
    from ..formatting import command

    mirrored = {"mirrored": data != "digits"}
    taught: dict[str, Any] = {}
    if teacher is not None:
        taught = {"teacher": teacher, "temperature": temperature, **({"distill": distill} if distill else {})}
    targets = {"ratio": prune, "to_macs": to_macs, "to_params": to_params, "to_latency_ms": to_latency_ms}
    asked: dict[str, Any] = {name: value for name, value in targets.items() if value is not None}
    steps: list[str | Mapping[str, Any]] = []
    if len(asked) > 1:
        raise InputError("--prune, --to-macs, --to-params and --to-latency-ms are different targets; give one")
    if to_latency_ms is not None and device is None:
        raise InputError("--to-latency-ms needs --device: the profile that predicts it")
    if asked or depth:
        asked |= {"criterion": criterion, "per_layer": per_layer, "multiple": multiple, "depth": depth}
        asked |= {"device": device} if to_latency_ms is not None else {}
        asked |= {"rounds": rounds, "epochs_between": epochs_between, **mirrored, **taught} if rounds != 1 else {}
        steps.append({"prune": asked})
    if finetune is not None:
        steps.append(
            {"finetune": {"epochs": finetune, **mirrored, **taught, **({"quantisation_aware": True} if qat else {})}}
        )
    for option, is_given, there, needed in (
        ("--rounds", rounds != 1, bool(asked), "a target such as --prune"),
        ("--qat", qat, finetune is not None, "--finetune: the epochs in which the model learns with it"),
        ("--teacher", bool(taught), finetune is not None or rounds != 1, "--finetune: the epochs in which it teaches"),
        ("--distill", bool(distill), bool(taught), "--teacher"),
        ("--max-drop", max_drop is not None, quantize == "int8", "--quantize int8"),
    ):
        if is_given and recipe is not None:
            raise InputError(f"{option}: --recipe says all steps itself, with their options")
        if is_given and not there:
            raise InputError(f"{option} needs {needed}")
    if quantize is not None:
        precision = {"int8": "INT8", "int8-dynamic": "INT8-dynamic", "fp16": "FP16"}[quantize]
        steps += [
            "export",
            {"quantise": {"precision": precision, **({} if max_drop is None else {"max_drop": max_drop})}},
        ]
    if recipe is not None:
        if steps:
            raise InputError("--recipe says all steps itself; give it alone, or the options for steps")
        steps = _steps_in(recipe)
    if not steps:
        raise InputError(
            "nothing is asked for: give --prune, --to-macs, --to-params, --to-latency-ms, --depth, --finetune, --quantize or --recipe"
        )
    with make_progress() as progress:
        dataset = checked(data, progress)
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
                say=partial(say, stream=sys.stdout),
                progress=progress.counting("judged"),
            )
        except EvaluationError as error:
            raise InputError(f"{checkpoint}: {error}") from None
    said = "steps.csv, steps.json, steps.png and the file of every step"
    say(f"wrote {output}: {said}; next: {command('export', 'FILE', format='onnx', output='shipped')}")


@app.command(
    cls=Command,
    epilog=examples(
        "evoyolo sensitivity best.pt --data my/data.yaml",
        "evoyolo sensitivity best.pt --data D --ratios 0.5 --images 512",
    ),
)
def sensitivity(
    checkpoint: Annotated[str, typer.Argument(metavar="FILE", help="a .pt of ours, or of Ultralytics' YOLOv8 or 11")],
    data: Annotated[str, typer.Option(metavar="<str>", help=Data)],
    output: Annotated[str, typer.Option(metavar="FOLDER", help="to write; must not be there")] = "results/sensitivity",
    ratios: Annotated[
        list[float] | None,
        typer.Option(
            metavar="<float>...", help="shares of a layer that go (default: 0.25 0.5 0.75)", show_default=False
        ),
    ] = None,
    criterion: Annotated[
        Literal["l1", "l2", "bn", "taylor", "lamp"], typer.Option(help="by which channels are compared")
    ] = "l2",
    images: Annotated[int, typer.Option(help="of the training split, that the loss is of")] = 128,
    image_size: Annotated[
        int | None, typer.Option(help="pixels (default: what it was trained at)", show_default=False)
    ] = None,
    seed: Annotated[int, typer.Option(help="of which images are taken")] = 0,
) -> None:
    """How much each layer bears: the rise of the training loss when it alone is pruned, and nothing is trained."""
    from ..delivery.sensitivity import write_sensitivity

    with make_progress() as progress:
        dataset = checked(data, progress)
        write_sensitivity(
            checkpoint,
            dataset,
            output,
            ratios=ratios or (0.25, 0.5, 0.75),
            criterion=criterion,
            images=images,
            image_size=image_size,
            seed=seed,
            say=say,
            progress=progress.counting("measured", "models"),
        )


def _steps_in(text: str) -> list[str | Mapping[str, Any]]:
    from search_spaces import InputError
    from search_spaces.yaml_text import parse_yaml

    found = parse_yaml(text, "--recipe")
    if not isinstance(found, list):
        raise InputError(
            f"--recipe {text!r}: must be a list of steps, such as '[{{sparsify: {{sparsity: 0.8}}}}, finetune]'"
        )
    return found
