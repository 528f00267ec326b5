"""The `evoyolo` command: parses, calls, prints."""

from __future__ import annotations

import argparse
import json
import sys
from typing import get_args

import yaml


def _config_fields(parser: argparse.ArgumentParser, only=None) -> None:
    from ..launch.config import SearchConfig

    for name, field in SearchConfig.model_fields.items():
        if only and name not in only:
            continue
        many = "list" in str(field.annotation) and "dict" not in str(field.annotation)
        default = field.get_default(call_default_factory=True)
        shown = "" if default is None or name == "restrict" else f" (default: {' '.join(default) if many else default})"
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            dest=name,
            # --device a.json --device b.json, and --device a.json b.json
            **({"nargs": "*", "action": "extend"} if many else {}),
            metavar=" | ".join(get_args(field.annotation)) if "Literal" in str(field.annotation) else name.upper(),
            help=(field.description + shown).replace("%", "%%"),
        )


def _given(args: argparse.Namespace) -> dict:
    """The configuration fields that were on the command line, typed as YAML would type them."""
    from ..launch.config import SearchConfig

    given = {
        name: value for name, value in vars(args).items() if name in SearchConfig.model_fields and value is not None
    }
    texts = (
        "name",
        "directory",
        "data",
        "training_device",
        "device",
        "address",
        "objectives",
        "references",
        "algorithm",
        "start_from",
    )
    return {name: value if name in texts else _typed(name, value) for name, value in given.items()}


def _typed(name: str, value: str | list[str]):
    """What YAML makes of the text, or of each of several."""
    from search_spaces import InputError

    if isinstance(value, list):
        return [_typed(name, item) for item in value]
    try:
        return yaml.safe_load(value)
    except yaml.YAMLError:
        raise InputError(f"--{name.replace('_', '-')} {value}: not valid YAML") from None


INTERRUPTED = 130  # exit status, as shells have it


def _parser() -> argparse.ArgumentParser:
    from ..launch.config import RESUMABLE

    parser = argparse.ArgumentParser(prog="evoyolo", description="Search for object detectors that fit a device.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    command = commands.add_parser("search", help="search, train, and export the front")
    command.add_argument("config", nargs="?", help="YAML file of settings (see `evoyolo init`)")
    _config_fields(command)

    command = commands.add_parser("resume", help="continue a run that was interrupted, or search on")
    command.add_argument("run", help="the run's folder")
    _config_fields(command, only=RESUMABLE)

    command = commands.add_parser("status", help="how far a run is: what runs where, what failed, the best so far")
    command.add_argument("run", help="the run's folder")
    command.add_argument(
        "--watch", type=float, metavar="SECONDS", help="say it again every so many seconds, until it ends"
    )

    command = commands.add_parser("front", help="print the front of a run")
    command.add_argument("run", help="the run's folder")

    command = commands.add_parser("pick", help="the most accurate model of a run under a budget")
    command.add_argument("run", help="the run's folder")
    for metric in ("latency-ms", "params", "macs"):
        command.add_argument(f"--max-{metric}", type=float, metavar="BOUND")
    command.add_argument("--device", help="device profile whose predictions --max-latency-ms is held against")
    command.add_argument("--output", help="folder to copy the model's files into")

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
    _device_commands(
        commands.add_parser("device", help="measure a device, predict its latency, pack models for a board")
    )
    return parser


def _device_commands(command: argparse.ArgumentParser) -> None:
    actions = command.add_subparsers(dest="action", required=True, metavar="ACTION")

    def plan(action, runtimes):
        action.add_argument("--runtime", nargs=runtimes, default=["onnxruntime"], help="default: onnxruntime")
        action.add_argument(
            "--on", default="cpu", help="cpu, cuda, tensorrt or gpu, as the runtime has them (default: cpu)"
        )
        action.add_argument("--precision", default="FP32", choices=("FP32", "FP16", "INT8"))
        action.add_argument("--threads", type=int, help="default: all cores")
        action.add_argument("--count", type=int, default=60, help="models to measure (default: 60)")
        action.add_argument("--image-size", type=int, nargs="*", help="only these image sizes, in pixels")
        action.add_argument("--classes", type=int, default=80, help="classes of the measured models (default: 80)")
        action.add_argument("--data", default="digits", help="dataset that INT8 is calibrated with (default: digits)")
        action.add_argument("--seed", type=int, default=0)
        action.add_argument("--adapt-from", help="profile of another device to start from; then about 10 models may do")

    action = actions.add_parser("profile", help="measure this machine and fit a latency predictor to it")
    action.add_argument("name")
    plan(action, 1)
    action.add_argument("--output", help="file to write (default: devices/NAME.json)")

    actions.add_parser("list", help="the profiles in ./devices and those that ship with evoyolo")

    action = actions.add_parser("show", help="what a profile says, with a plot of predicted against measured latency")
    action.add_argument("profile", help="a profile's file or name")
    action.add_argument("--plot", help="picture to write (default: NAME.png here)")

    action = actions.add_parser("check", help="measure some models again: is the profile still true of this machine?")
    action.add_argument("profile", help="a profile's file or name")

    action = actions.add_parser("pack", help="write models and a small runner for a board without PyTorch")
    action.add_argument("output", help="folder, or .zip, to write")
    plan(action, "+")

    action = actions.add_parser("fit", help="make a profile of the results that the runner brought back")
    action.add_argument("results", help="results.json")
    action.add_argument("--name", help="of the profile (default: the results' folder or file)")
    action.add_argument("--adapt-from", help="profile of another device to start from")
    action.add_argument("--output", help="file to write (default: devices/NAME.json)")


def main(arguments: list[str] | None = None) -> int:
    """Entry point; returns the exit status: 0 done, 1 wrong input, 2 a profile that is not true any more, 130 interrupted."""
    from search_spaces import InputError

    args = _parser().parse_args(arguments)
    try:
        return COMMANDS[args.command](args) or 0
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
        return INTERRUPTED
    return 0


def _console():
    from rich.console import Console

    console = Console()
    return console if console.is_terminal else Console(width=160)  # a log is not wrapped at 80 columns


def _search(args) -> int:
    from ..launch import job
    from ..launch.config import load_config, make_config

    given = _given(args)
    config = load_config(args.config, **given) if args.config else make_config(given, "command line")
    return 0 if job.start(config, _console()) else INTERRUPTED


def _resume(args) -> int:
    from ..launch import job

    return 0 if job.resume(args.run, _console(), **_given(args)) else INTERRUPTED


def _status(args) -> None:
    import time

    from search_spaces import InputError

    from ..report.status import print_status

    if args.watch is not None and not 0 < args.watch < 1e6:
        raise InputError(f"--watch must be a number of seconds above 0, not {args.watch:g}")
    console = _console()
    while print_status(args.run, console) and args.watch:
        time.sleep(args.watch)


def _front(args) -> None:
    from ..report.front import print_front
    from ..storage.run import load_run

    print_front(load_run(args.run), _console())


def _pick(args) -> None:
    from pathlib import Path

    from ..delivery.export import hand_over
    from ..delivery.selection import choose
    from ..storage.run import load_run

    bounds = {name: value for name, value in vars(args).items() if name.startswith("max_") and value is not None}
    chosen = choose(args.run, args.device, **bounds)
    run = load_run(args.run)
    files = hand_over(run, chosen.evaluation, Path(args.output) if args.output else None)
    first = run.objectives[0].metric
    print(
        json.dumps(
            {
                "key": chosen.evaluation.key,
                first: chosen.evaluation.metrics[first],
                "within": {bound: figure.text for bound, figure in chosen.figures.items()},
                "given_up": chosen.given_up,
                "metrics": chosen.evaluation.metrics,
                "files": {kind: str(path) for kind, path in files.items()},
            },
            indent=1,
        )
    )


def _device(args) -> int:
    from pathlib import Path

    from evaluators.latency.profile import PROFILES, DeviceProfile

    from ..devices import devices

    console = _console()

    def say(text):
        console.print(text, highlight=False, soft_wrap=True, markup=False)

    def output(name):
        return Path(args.output or PROFILES / f"{name}.json")

    def made(profile, path):
        for line in devices.describe(profile):
            say(line)
        say(f"wrote {path}")
        say(f"next: evoyolo device show {path}; evoyolo search --device {path} --max-latency-ms BUDGET")

    prior = DeviceProfile.load(args.adapt_from) if getattr(args, "adapt_from", None) else None
    if args.action == "list":
        devices.list_profiles(console)
    elif args.action == "show":
        profile = DeviceProfile.load(args.profile)
        plot = Path(args.plot or profile.name).with_suffix(".png")
        devices.draw_profile(profile, plot)
        for line in devices.describe(profile):
            say(line)
        say(f"plot {plot}")
    elif args.action == "check":
        return 0 if devices.check_profile(DeviceProfile.load(args.profile), console) else 2
    elif args.action == "fit":
        name = args.name or devices.name_from(Path(args.results))
        made(devices.fit_profile(name, args.results, output(name), prior), output(name))
    elif args.action == "profile":
        made(devices.make_profile(args.name, _plan(args), output(args.name), say, prior), output(args.name))
    else:
        path = devices.make_pack(_plan(args), args.output, say, prior)
        say(
            f"wrote {path}; on the device, with numpy and {' or '.join(args.runtime)} installed: "
            "`python3 run.py` in it; then here: `evoyolo device fit results.json --name NAME"
            + (f" --adapt-from {args.adapt_from}`" if prior else "`")
        )
    return 0


def _plan(args):
    from ..devices.devices import Plan

    return Plan(
        runtimes=tuple(args.runtime),
        device=args.on,
        precision=args.precision,
        threads=args.threads,
        count=args.count,
        num_classes=args.classes,
        image_sizes=tuple(args.image_size) if args.image_size else None,
        data=args.data,
        seed=args.seed,
    )


def _show(args) -> None:
    from ..report.describe import find_architecture, print_architecture

    architecture, classes = find_architecture(args.architecture)
    print_architecture(architecture, args.classes or classes or 80, args.image_size, _console())


def _init(args) -> None:
    from pathlib import Path

    from search_spaces import InputError

    from ..launch.config import commented_yaml

    path = Path(args.path)
    if path.exists():
        raise InputError(f"{path} exists; it is left as it is")
    try:
        path.write_text(commented_yaml(), encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror})") from None
    print(f"wrote {path}; change it, then run `evoyolo search {path}`")


def _dataset(args) -> None:
    from evaluators.data import check_dataset, convert_coco, convert_voc, load_dataset

    if args.action == "check":
        print(check_dataset(load_dataset(args.data)))
    else:
        convert = {"voc": convert_voc, "coco": convert_coco}[args.format]
        print(convert(args.source, args.output))


COMMANDS = {
    "search": _search,
    "resume": _resume,
    "status": _status,
    "front": _front,
    "pick": _pick,
    "show": _show,
    "init": _init,
    "dataset": _dataset,
    "device": _device,
}

if __name__ == "__main__":
    sys.exit(main())
