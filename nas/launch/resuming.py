"""What of a run's settings may change when it is resumed: that which none of its figures depends on."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any

from evaluators.evaluator import metric_and_device
from search_spaces.files import expanded

from ..objectives import is_number
from ..storage.folder import RunFolder
from .config import SearchConfig, read_settings

if TYPE_CHECKING:
    from .train_config import TrainConfig

# By what, where, and how many at once: what seconds of training depend on, beside the machine; they are compared within one run.
TIMED_WITH = (
    "executor",
    "address",
    "cpus_per_trial",
    "gpus_per_trial",
    "max_concurrent",
    "batch_evaluations",
    "training_device",
)
# And how much is tried, how, when one is given up, and where the data is: that it holds the same images and labels is checked.
RESUMABLE = (
    *TIMED_WITH,
    "max_evaluations",
    "hours",
    "repeats",
    "confirm",
    "max_minutes",
    "trial_minutes",
    "algorithm",
    "algorithm_options",
    "data",
)


def _told(settings: Any) -> Any:
    """What of these a training is told."""
    from evaluators.training import effective  # loads frameworks, which the options of a command do without

    return effective(settings) if isinstance(settings, Mapping) else settings


def training_threads(cpus: Any) -> Any:
    """The threads of a training that has so many cores reserved; what is no number, from a stranger's run, stays."""
    return max(1, int(cpus)) if is_number(cpus) else cpus


# Of these, what a training is told has to stay: over other threads, or on another kind of device, sums are rounded otherwise,
# and the same seed gives another model.
TRAINED_WITH: Mapping[str, Callable[[Any], object]] = {
    "cpus_per_trial": training_threads,
    "training_device": lambda device: device == "cpu",
}


def data_begun_with(folder: RunFolder, before: Mapping[str, Any]) -> dict[str, Any]:
    """The field `data` with the place that a run was begun with, where a search.yaml of the user's has it relative to the folder
    that they were in; nothing where the file says all."""
    named, begun = read_settings(folder.config).get("data"), before.get("data")
    relative = isinstance(named, str) and named != "digits" and not os.path.isabs(expanded(named))
    return {"data": begun} if relative and isinstance(begun, str) and os.path.isabs(begun) else {}


# What a run of a version that had not these fields was made with.
EARLIER = {"within": None, "scalings": 0}


def as_begun(folder: RunFolder, before: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that the run's search.yaml says nothing of, as the run was begun with: defaults may have changed since."""
    said = {*read_settings(folder.config), "name", "directory", "device", "data"}
    return {n: v for n, v in {**EARLIER, **before}.items() if n in SearchConfig.model_fields and n not in said}


def changed(
    before: Mapping[str, Any], config: SearchConfig | TrainConfig, free: Collection[str] = RESUMABLE
) -> str | None:
    """The first field on which figures of the run depend and which is not what it was; None where there is none.

    Args:
        before: the fields that the run was made with; one of an earlier version may lack some.
        free: fields that may change.
    """
    timed = any(metric_and_device(text.partition(":")[0])[0] == "train_seconds" for text in config.objectives)
    for name, value in json.loads(json.dumps(config.to_dict())).items():
        was = before.get(name, value)
        if name in TRAINED_WITH and not timed:
            value, was = TRAINED_WITH[name](value), TRAINED_WITH[name](was)
        elif name == "training":
            value, was = _told(value), _told(was)
        elif name in free and not (timed and name in TIMED_WITH):
            continue
        if was != value:
            return name
    return None
