"""What single settings may be: the types of the configuration's fields."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from evaluators.evaluator import METRICS, metric_and_device
from search_spaces.definition import searched_names
from search_spaces.errors import one_of
from search_spaces.files import expanded
from search_spaces.validation import Real, Whole
from search_spaces.writing import unusable_name

from ..algorithms import ALGORITHMS
from ..schedulers import SCHEDULERS


def _plain_name(name: str) -> str:
    if (why := unusable_name(name)) is not None:
        raise ValueError(f"must be a plain folder name, and {why}")
    return name


def _space(name: str) -> str:
    if name not in searched_names():
        raise ValueError(f"must be {one_of(searched_names())}")
    return name


def _objectives(texts: list[str]) -> list[str]:
    for text in texts:
        name, _, direction = text.partition(":")
        metric = METRICS.get(metric_and_device(name)[0])
        if metric is None:
            raise ValueError(f"{name!r} is not a metric; there are {one_of(METRICS)}")
        if direction not in ("min", "max"):
            raise ValueError(f"{text!r} must end in :min or :max, such as {name}:{metric.direction}")
    return texts


def _training_device(name: str) -> str:
    if re.fullmatch(r"(cuda:)?\d+(,(cuda:)?\d+)+", name):
        raise ValueError(
            "a model is trained on one GPU; with gpus_per_trial: 1 and training_device: 0 Ray gives each of several "
            "trainings one of its own"
        )
    if not re.fullmatch(r"cpu|(cuda:)?\d+|cuda", name):
        raise ValueError("must be cpu, or one CUDA device such as 0 or cuda:0")
    return name


def _algorithm(name: str) -> str:
    if name not in ALGORITHMS:
        raise ValueError(f"must be {one_of(ALGORITHMS)}")
    return name


def _scheduler(name: str) -> str:
    if name not in SCHEDULERS:
        raise ValueError(f"must be {one_of(SCHEDULERS)}")
    return name


def _none(text: Any) -> Any:
    return None if text == "none" else text


Positive = Annotated[Whole, Field(gt=0)]
Above0 = Annotated[Real, Field(gt=0)]
# Both of `train.json:val.json` may begin with a home.
DataText = Annotated[str, AfterValidator(lambda text: ":".join(map(expanded, text.split(":"))))]
PlainName = Annotated[str, AfterValidator(_plain_name)]
SpaceName = Annotated[str, AfterValidator(_space)]
ObjectiveTexts = Annotated[list[str], AfterValidator(_objectives)]
TrainingDevice = Annotated[str, AfterValidator(_training_device)]
AlgorithmName = Annotated[str, AfterValidator(_algorithm)]
SchedulerName = Annotated[str, AfterValidator(_scheduler)]
TextOrNone = Annotated[str | None, BeforeValidator(_none)]  # `none` is what a command line can say of it
