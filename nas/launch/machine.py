"""What trainings need, a search's and longer ones: a machine that can do them, readable data, an executor, a latency profile."""

from __future__ import annotations

from collections.abc import Callable

import torch
from rich.console import Console

from evaluators.data import Dataset, check_dataset, load_dataset
from evaluators.latency.profile import DeviceProfile
from evaluators.recipe import Recipe
from evaluators.training import effective, precision_on
from search_spaces import InputError, SearchSpace
from search_spaces.errors import all_of

from ..devices.quick import quick_profile
from ..executors import Cluster, run_here
from ..report import terminal
from ..report.steps import Steps
from ..session.session import Session
from .config import RAY_ONLY, SearchConfig

Say = Callable[[str], None]


def check_machine(config: SearchConfig, say: Say) -> None:
    """Raise InputError where the training device is not there; say which settings do nothing."""
    if config.training_device != "cpu" and not config.address and not torch.cuda.is_available():
        raise InputError(
            f"training_device {config.training_device!r}: PyTorch sees no CUDA device on this machine; use cpu, or give the "
            "address of a Ray cluster that has some"
        )
    if idle := sorted(config.training.keys() - effective(config.training)):
        say(
            f"training: {all_of(idle)} {'does' if len(idle) == 1 else 'do'} nothing in the training of a detector: left out"
        )
    if config.executor == "here":
        for name in RAY_ONLY:
            if getattr(config, name) != SearchConfig.model_fields[name].default:
                say(f"executor here does without Ray: {name} is not used")


def training_precision(config: SearchConfig) -> str | None:
    """What trainings compute in; None where only the workers of a cluster know."""
    there = config.address is not None and config.training_device != "cpu"
    return None if there else precision_on(config.training_device, config.amp)


def checked_dataset(config: SearchConfig, console: Console) -> Dataset:
    """The dataset, every image of which has been decoded; says what it holds. Raises InputError as `check_dataset`."""
    dataset = load_dataset(config.data)
    with Steps(console) as steps:
        summary = check_dataset(dataset, steps.counting("decoded"))
    for line in f"dataset {dataset.name}: {summary}".splitlines():
        terminal.say(console, line)
    return dataset


def make_executor(config: SearchConfig) -> Callable[[Session], None]:
    """What runs the trials: this process, or Ray's workers."""
    if config.executor == "here":
        return run_here
    return Cluster(
        config.address, config.cpus_per_trial, config.gpus_per_trial, config.max_concurrent, config.batch_evaluations
    )


def this_machine(config: SearchConfig, recipe: Recipe, space: SearchSpace, dataset: Dataset, say: Say) -> DeviceProfile:
    """The quick profile of this machine, measured now where it is not in the cache."""
    if config.address:
        say(
            "no device profile, so latency is of this machine, whatever the cluster's nodes are; --device names another"
        )
    return quick_profile(
        space,
        dataset.num_classes,
        say,
        threads=config.latency_threads,
        precision=recipe.precision,
        activations=recipe.int8 if recipe.precision == "INT8" else None,
        count=config.profile_models,
    )
