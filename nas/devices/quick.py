"""A quick profile of this machine, for searches that are given none: a minute or two, kept for the next time."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path

from evaluators.caches import cache_directory
from evaluators.latency import agent
from evaluators.latency.predictor import FEWEST
from evaluators.latency.profile import SUFFIX, DeviceProfile
from evaluators.locks import machine_lock
from evaluators.runtimes import runtime
from search_spaces import InputError, SearchSpace
from search_spaces.architecture import is_of_recipe
from search_spaces.json_text import short_digest

from .make import Plan, Say, make_profile

NAME = "this-machine"
RUNNER = re.compile(r"(\d+/\d+) (\S+) +(.*)  (?:(\(once more\))|(.* left))")  # its line on a model
RUNTIME = "onnxruntime"  # what every installation has


def quick_profile(
    space: SearchSpace,
    num_classes: int,
    say: Say,
    *,
    count: int,
    threads: int = 1,
    precision: str = "FP32",
    activations: str | None = None,
) -> DeviceProfile:
    """The profile of this machine for the architectures of `space`, from the cache where it has one that is still true.

    Args:
        space: of a model family, restricted as it will be searched: its image sizes are those that are measured.
        num_classes: of the networks.
        count: models to measure; about 4 seconds each on an idle machine.
        threads: of ONNX Runtime.
        precision: FP32, or INT8, which is calibrated with the built-in scenes: only time counts.
        activations: the form of INT8; None is what suits this machine.

    Raises:
        InputError: too few models could be measured.
    """
    restrict = {
        choice.name: list(choice.values)
        for choice in space.choices
        if not is_of_recipe(choice.name) and choice.values != space.unrestricted[choice.name].values
    }
    if space.size < FEWEST:  # too few to fit a predictor to: others of these image sizes tell as much
        restrict = {"image_size": list(space["image_size"].values)}
    if threads > agent.default_threads():
        raise InputError(f"latency_threads {threads}: this process may use {agent.default_threads()} cores")
    if precision == "INT8":
        activations = activations or agent.suiting_activations()
    plan = Plan(
        (RUNTIME,), precision=precision, threads=threads, count=count, num_classes=num_classes, restrict=restrict,
        name=space.name, activations=activations,
    )  # fmt: skip
    # all that it depends on, so that what another version has left half measured is not gone on with
    asked = [agent.device_name(), runtime(RUNTIME).installed_version(), agent.VERSION, asdict(plan)]
    digest = short_digest(asked)
    path = cache_directory() / "profiles" / f"{NAME}-{digest}{SUFFIX}"
    path.parent.mkdir(parents=True, exist_ok=True)
    with machine_lock(f"profile-{digest}"):  # searches that begin together measure once
        if (kept := _kept(path)) is not None:
            say(f"latency is predicted by the profile of this machine that was measured on {kept.date}: {path}")
            kept.check_covers(space)
            return kept
        say(f"no device profile: {count} models are measured on this machine first, with nothing else of ours running")
        try:
            profile = make_profile(NAME, plan, path, lambda text: say(_without_figures(text)))
        except InputError as error:
            raise InputError(
                f"this machine could not be measured: {error}; try again when nothing else uses it, which goes on with what was "
                "measured, or name a profile with --device"
            ) from None
    profile.check_covers(space)
    return profile


def _without_figures(text: str) -> str:
    """What the runner says of one model, without its latency, which says nothing to who waits for a search to begin."""
    found = RUNNER.fullmatch(text)
    if not found:
        return text
    count, key, what, again, left = found.groups()
    if "  spread " not in what:  # why there are no figures
        return f"{key}: {what}"
    return f"measured {count} models, {'some once more that were disturbed' if again else left}"


def _kept(path: Path) -> DeviceProfile | None:
    """The profile in the cache; None where there is none that can be used."""
    if not path.exists():
        return None
    try:
        profile = DeviceProfile.load(path)
        if profile.is_here():
            return profile
    except InputError:
        pass
    path.unlink()  # our own file, in a folder of ours
    return None
