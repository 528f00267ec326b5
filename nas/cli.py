"""The `evoyolo` command: parses, calls, prints."""

from __future__ import annotations

import argparse
import json
import sys
from typing import get_args

import yaml


def _config_fields(parser: argparse.ArgumentParser, only=None) -> None:
    from .config import SearchConfig

    for name, field in SearchConfig.model_fields.items():
        if only and name not in only:
            continue
        many = "list" in str(field.annotation) and "dict" not in str(field.annotation)
        default = field.get_default(call_default_factory=True)
        shown = "" if default is None or name == "restrict" else f" (default: {' '.join(default) if many else default})"
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            dest=name,
            nargs="*" if many else None,
            metavar=" | ".join(get_args(field.annotation)) if "Literal" in str(field.annotation) else name.upper(),
            help=(field.description + shown).replace("%", "%%"),
        )


def _given(args: argparse.Namespace) -> dict:
    """The configuration fields that were on the command line, typed as YAML would type them."""
    from search_spaces import InputError

    from .config import SearchConfig

    given = {
        name: value for name, value in vars(args).items() if name in SearchConfig.model_fields and value is not None
    }
    texts = ("name", "directory", "data", "device", "address", "objectives", "references", "algorithm")
    try:
        return {name: value if name in texts else yaml.safe_load(value) for name, value in given.items()}
    except yaml.YAMLError:
        broken = next(name for name, value in given.items() if name not in texts and not _is_yaml(value))
        raise InputError(f"--{broken.replace('_', '-')} {given[broken]}: not valid YAML") from None


def _is_yaml(text: str) -> bool:
    try:
        yaml.safe_load(text)
    except yaml.YAMLError:
        return False
    return True


RESUMABLE = (
    "max_evaluations",
    "max_minutes",
    "executor",
    "address",
    "cpus_per_trial",
    "gpus_per_trial",
    "max_concurrent",
    "device",
)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="evoyolo", description="Search for object detectors that fit a device.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    command = commands.add_parser("search", help="search, train, and export the front")
    command.add_argument("config", nargs="?", help="YAML file of settings (see `evoyolo init`)")
    _config_fields(command)

    command = commands.add_parser("resume", help="continue a run that was interrupted, or search on")
    command.add_argument("run", help="the run's folder")
    _config_fields(command, only=RESUMABLE)

    command = commands.add_parser("front", help="print the front of a run")
    command.add_argument("run", help="the run's folder")

    command = commands.add_parser("pick", help="the most accurate model of a run under a budget")
    command.add_argument("run", help="the run's folder")
    for metric in ("latency-ms", "params", "macs"):
        command.add_argument(f"--max-{metric}", type=float, metavar="BOUND")

    command = commands.add_parser("show", help="explain an architecture layer by layer")
    command.add_argument("architecture", help="a preset, RUN:KEY, a model.yaml or a checkpoint")
    command.add_argument("--classes", type=int, help="classes of the head (default: what the file says, or 80)")
    command.add_argument("--image-size", type=int, help="pixels (default: the architecture's own)")

    command = commands.add_parser("init", help="write a commented file of settings")
    command.add_argument("path", nargs="?", default="search.yaml")

    command = commands.add_parser("dataset", help="check or convert a dataset")
    actions = command.add_subparsers(dest="action", required=True, metavar="ACTION")
    action = actions.add_parser("check", help="find missing images, broken labels, wrong boxes")
    action.add_argument("data", help="digits, a data.yaml, or COCO json")
    action = actions.add_parser("convert", help="turn Pascal VOC or COCO annotations into Ultralytics' layout")
    action.add_argument("format", choices=("voc", "coco"))
    action.add_argument("source", help="VOC folder (Annotations, JPEGImages, ImageSets), or train.json:val.json")
    action.add_argument("output", help="folder to write")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Entry point; returns the exit status: 0 done, 1 wrong input, 130 interrupted."""
    from search_spaces import InputError

    args = _parser().parse_args(arguments)
    try:
        COMMANDS[args.command](args)
    except InputError as error:
        print(f"evoyolo: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # the reader of a pipe has had enough
        sys.stderr.close()
    except OSError as error:  # a folder that cannot be written, a full disk
        print(f"evoyolo: {error.filename or args.command}: {error.strerror or error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nevoyolo: interrupted", file=sys.stderr)
        return 130
    return 0


def _console():
    from rich.console import Console

    console = Console()
    return console if console.is_terminal else Console(width=160)  # a log is not wrapped at 80 columns


def _search(args) -> None:
    from . import job
    from .config import load_config, make_config

    given = _given(args)
    config = load_config(args.config, **given) if args.config else make_config(given, "command line")
    job.start(config, _console())


def _resume(args) -> None:
    from . import job

    job.resume(args.run, _console(), **_given(args))


def _front(args) -> None:
    from .front import print_front
    from .run import load_run

    print_front(load_run(args.run), _console())


def _pick(args) -> None:
    from .selection import pick

    bounds = {name: value for name, value in vars(args).items() if name.startswith("max_") and value is not None}
    evaluation = pick(args.run, **bounds)
    print(
        json.dumps(
            {"key": evaluation.key, "metrics": evaluation.metrics, "folder": f"{args.run}/models/{evaluation.key}"},
            indent=1,
        )
    )


def _show(args) -> None:
    from .describe import find_architecture, print_architecture

    architecture, classes = find_architecture(args.architecture)
    print_architecture(architecture, args.classes or classes or 80, args.image_size, _console())


def _init(args) -> None:
    from pathlib import Path

    from search_spaces import InputError

    from .config import commented_yaml

    path = Path(args.path)
    if path.exists():
        raise InputError(f"{path} exists; it is left as it is")
    try:
        path.write_text(commented_yaml(), encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror})") from None
    print(f"wrote {path}; change it, then run `evoyolo search {path}`")


def _dataset(args) -> None:
    from evaluators import dataset

    if args.action == "check":
        print(dataset.check_dataset(dataset.load_dataset(args.data)))
    else:
        convert = {"voc": dataset.convert_voc, "coco": dataset.convert_coco}[args.format]
        print(convert(args.source, args.output))


COMMANDS = {
    "search": _search,
    "resume": _resume,
    "front": _front,
    "pick": _pick,
    "show": _show,
    "init": _init,
    "dataset": _dataset,
}

if __name__ == "__main__":
    sys.exit(main())
