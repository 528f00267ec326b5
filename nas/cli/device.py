"""`evoyolo device`: devices measured, their profiles fitted, explained and checked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from .command import NOT_TRUE, Command, examples, group, say

if TYPE_CHECKING:
    from evaluators.latency.profile import DeviceProfile

app = group(
    name="device",
    help="Measure a device, predict its latency, pack models for a board.",
    epilog=examples(
        "evoyolo device profile laptop",
        "evoyolo device pack pi.zip --runtime ncnn",
        "evoyolo device fit results.json --name pi",
        "evoyolo device predict pi best.onnx",
    ),
)

Profile = Annotated[str, typer.Argument(metavar="PROFILE", help="a profile's file or name")]
Output = Annotated[
    str | None, typer.Option(metavar="FILE", help="file to write (default: devices/NAME.json)", show_default=False)
]
On = Annotated[str, typer.Option(help="cpu, cuda, tensorrt or gpu, as the runtime has them")]
Precision = Annotated[Literal["FP32", "FP16", "INT8"], typer.Option(help="of the measured models")]
Activations = Annotated[
    Literal["signed", "unsigned", "unsigned-reduced"] | None,
    typer.Option(
        help="form of INT8: signed suits Arm and accelerators, unsigned x86 with VNNI, unsigned-reduced other x86 "
        "(default: what suits this machine)",
        show_default=False,
    ),
]
Threads = Annotated[int | None, typer.Option(help="threads of the runtime (default: all cores)")]
Count = Annotated[int, typer.Option(help="models to measure")]
ImageSize = Annotated[
    list[int] | None, typer.Option(metavar="<int>...", help="only these image sizes, in pixels", show_default=False)
]
Classes = Annotated[int, typer.Option(help="classes of the measured models")]
Data = Annotated[str, typer.Option(help="dataset that INT8 is calibrated with")]
Seed = Annotated[int, typer.Option(help="of the choice of models")]
AdaptFrom = Annotated[
    str | None,
    typer.Option(metavar="PROFILE", help="profile of another device to start from; then about 10 models may do"),
]


def _prior(source: str | None) -> DeviceProfile | None:
    from evaluators.latency.profile import DeviceProfile

    return DeviceProfile.load(source) if source else None


def _describe(profile: DeviceProfile) -> None:
    from ..report.devices import describe

    for line in describe(profile):
        say(line)


def _write(make: Callable[[Path], DeviceProfile], name: str, output: str | None) -> None:
    """Make a profile, which writes it, and say what it is."""
    from evaluators.latency.profile import PROFILES

    from ..formatting import command

    path = Path(output or PROFILES / f"{name}.json")
    _describe(make(path))
    say(f"wrote {path}")
    then = command("device", "show", path), command("search", device=path, max_latency_ms="BUDGET")
    say(f"next: {'; '.join(then)}")


@app.command(
    cls=Command,
    epilog=examples(
        "evoyolo device profile laptop --threads 4",
        "evoyolo device profile gpu --runtime pytorch --on cuda --precision FP16",
        "evoyolo device profile here --image-size 320 416 --count 30",
    ),
)
def profile(
    name: Annotated[str, typer.Argument(metavar="NAME", help="of the profile")],
    runtime: Annotated[str, typer.Option(help="runtime to measure with")] = "onnxruntime",
    on: On = "cpu",
    precision: Precision = "FP32",
    activations: Activations = None,
    threads: Threads = None,
    count: Count = 60,
    image_size: ImageSize = None,
    classes: Classes = 80,
    data: Data = "digits",
    seed: Seed = 0,
    adapt_from: AdaptFrom = None,
    output: Output = None,
) -> None:
    """Measure this machine and fit a latency predictor to it."""
    from ..devices.make import Plan, make_profile

    prior = _prior(adapt_from)
    restrict = {"image_size": image_size} if image_size else {}
    plan = Plan((runtime,), on, precision, threads, count, classes, restrict, data, seed, activations=activations)
    _write(lambda path: make_profile(name, plan, path, say, prior), name, output)


@app.command("list", cls=Command, epilog=examples("evoyolo device list"))
def list_() -> None:
    """The profiles in ./devices and those that ship with evoyolo."""
    from ..report.devices import list_profiles
    from ..report.terminal import make_console

    list_profiles(make_console())


@app.command(cls=Command, epilog=examples("evoyolo device show laptop", "evoyolo device show pi.json --plot pi.png"))
def show(
    profile: Profile,
    plot: Annotated[
        str | None, typer.Option(metavar="FILE", help="picture to write (default: NAME.png here)", show_default=False)
    ] = None,
) -> None:
    """What a profile says, with a plot of predicted against measured latency."""
    from evaluators.latency.profile import DeviceProfile
    from search_spaces import InputError

    from ..report.devices import draw_profile

    shown = DeviceProfile.load(profile)
    picture = Path(plot if plot and plot.endswith(".png") else f"{plot or shown.name}.png")
    _describe(shown)
    try:
        draw_profile(shown, picture)
        say(f"plot {picture}")
    except InputError as error:  # what has that name may be of an earlier version, whose pictures say nothing of it
        if plot:
            raise
        say(error)


@app.command(
    cls=Command,
    epilog=examples("evoyolo device predict laptop best.onnx", "evoyolo device predict pi yolo11n.pt --image-size 320"),
)
def predict(
    profile: Profile,
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help=".onnx or .pt, whoever made them")],
    image_size: Annotated[
        int | None,
        typer.Option(metavar="<int>", help="of a .pt, in pixels (default: what it was trained at)", show_default=False),
    ] = None,
) -> None:
    """The latency of any model on a profile's device, without measuring it."""
    from evaluators.formats.network import network_in
    from evaluators.latency.profile import DeviceProfile

    from ..report.devices import predicted

    known = DeviceProfile.load(profile)
    say(f"{known.name}: {known.protocol}")
    for file in files:
        network = network_in(file, image_size)
        for line in predicted(file, network, known):
            say(line)


@app.command(cls=Command, epilog=examples("evoyolo device check laptop"))
def check(profile: Profile) -> None:
    """Measure some models again: is the profile still true of this machine?

    The exit status is 2 when it is not.
    """
    from evaluators.latency.profile import DeviceProfile

    from ..devices.make import check_profile
    from ..report.devices import print_check
    from ..report.terminal import make_console

    checked = check_profile(DeviceProfile.load(profile))
    print_check(checked, make_console())
    if not checked.is_true:
        raise typer.Exit(NOT_TRUE)


@app.command(
    cls=Command,
    epilog=examples(
        "evoyolo device pack pi.zip --runtime ncnn",
        "evoyolo device pack board --runtime onnxruntime ncnn --count 30",
        "evoyolo device pack pi.zip --count 10 --adapt-from laptop",
    ),
)
def pack(
    output: Annotated[str, typer.Argument(metavar="OUTPUT", help="folder, or .zip, to write")],
    runtime: Annotated[
        list[str] | None,
        typer.Option(metavar="<str>...", help="runtimes to pack for (default: onnxruntime)", show_default=False),
    ] = None,
    on: On = "cpu",
    precision: Precision = "FP32",
    activations: Activations = None,
    threads: Threads = None,
    count: Count = 60,
    image_size: ImageSize = None,
    classes: Classes = 80,
    data: Data = "digits",
    seed: Seed = 0,
    adapt_from: AdaptFrom = None,
) -> None:
    """Write models and a small runner for a board without PyTorch."""
    from ..devices.make import Plan, make_pack
    from ..formatting import command

    prior = _prior(adapt_from)
    runtimes = tuple(runtime or ("onnxruntime",))
    restrict = {"image_size": image_size} if image_size else {}
    plan = Plan(runtimes, on, precision, threads, count, classes, restrict, data, seed, activations=activations)
    path = make_pack(plan, output, say, prior)
    if precision == "INT8" and activations is None:
        say("INT8 is in the form that suits this machine; for a board of another processor: --activations")
    then = command("device", "fit", "results.json", name="NAME", adapt_from=adapt_from if prior else None)
    say(
        f"wrote {path}; on the device, with numpy and {' or '.join(runtimes)} installed: "
        f"`python3 run.py` in it; then here: {then}"
    )


@app.command(
    cls=Command,
    epilog=examples(
        "evoyolo device fit results.json --name pi",
        "evoyolo device fit pi/results.json --adapt-from laptop",
    ),
)
def fit(
    results: Annotated[str, typer.Argument(metavar="RESULTS", help="results.json")],
    name: Annotated[
        str | None, typer.Option(help="of the profile (default: the results' folder or file)", show_default=False)
    ] = None,
    adapt_from: Annotated[str | None, typer.Option(help="profile of another device to start from")] = None,
    output: Output = None,
) -> None:
    """Make a profile of the results that the runner brought back."""
    from ..devices.make import fit_profile, name_from

    prior = _prior(adapt_from)
    called = name or name_from(Path(results))
    _write(lambda path: fit_profile(called, results, path, prior), called, output)
