"""Choosing from a run's front under a budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from evaluators.evaluator import metric_and_device, metric_on
from search_spaces import InputError
from search_spaces.errors import all_of, one_of

from ..formatting import number, with_error
from ..noise import USUAL, differs
from ..storage.judged import Judged
from ..storage.run import Run, load_run
from ..storage.store import Evaluation

if TYPE_CHECKING:
    from evaluators.latency.profile import DeviceProfile

LITTLE = 0.05  # share of a cost that is not worth a word


@dataclass(frozen=True)
class Figure:
    """What is known of one metric of one model: its value, and the end of its interval that a budget is held against."""

    value: float
    surely: float
    text: str


@dataclass(frozen=True)
class Pick:
    """The model that was chosen, its figures under the bounds, and what was given up for them, in sentences.

    Attributes:
        judged: its means over all trainings, and their errors.
        alike: what is cheaper and not measurably worse, in sentences.
    """

    evaluation: Evaluation
    figures: Mapping[str, Figure]
    given_up: list[str]
    judged: Judged
    alike: list[str]


def pick(directory: str | Path, device: str | Path | DeviceProfile | None = None, **bounds: float) -> Evaluation:
    """The evaluation that is best in the run's first objective, by the mean over its trainings, among those that surely meet
    `bounds`.

    Args:
        device: a device profile (its file or name) whose predictions `max_latency_ms` is held against.
        bounds: ``max_METRIC`` or ``min_METRIC``, such as ``max_latency_ms=8.0``. A predicted latency meets its bound
            when the upper end of its 90% interval does; one that was measured, when its median does.

    Raises:
        InputError: no run there, an unknown metric, or nothing within the bounds (the nearest is named).
    """
    return choose(directory, device, **bounds).evaluation


def choose(directory: str | Path, device: str | Path | DeviceProfile | None = None, **bounds: float) -> Pick:
    """As `pick`, with the figures and with what was given up."""
    run = load_run(directory)
    if not run.evaluations:
        raise InputError(f"{directory} has no finished evaluation to pick from")
    profile = _profile(device) if isinstance(device, (str, Path)) else device
    name = next((_name(run, kept) for kept in run.profiles if kept == profile), None) if profile else None
    figures: dict[str, dict[str, Figure]] = {}
    for bound in bounds:
        kind, _, metric = bound.partition("_")
        metrics = sorted({each for e in run.evaluations for each in e.metrics} | ({"latency_ms"} if profile else set()))
        if kind not in ("max", "min") or metric not in metrics:
            raise InputError(f"no bound {bound!r}: it is max_ or min_ and a metric of the run, {one_of(metrics)}")
        if metric == "latency_ms" and profile and not name:
            figures[bound] = _predictions(run, profile, kind)
        else:  # known in the run, where it may have been measured as well
            metric = name if metric == "latency_ms" and name else metric
            figures[bound] = _figures(run, metric, kind)
    return _chosen(run, figures, bounds)


def staircase(run: Run, metric: str) -> list[tuple[float, Pick]]:
    """What is picked under every bound ``max_METRIC``: the least bounds at which another model is, ascending, each with that model.

    Of such a model, what was given up against the best of the run and what is alike hold under any higher bound as well.
    """
    bound, known = f"max_{metric}", _figures(run, metric, "max")
    evaluations = [e for e in run.evaluations if e.key in known]
    place = {e.key: number for number, e in enumerate(evaluations)}
    steps: list[tuple[float, Pick]] = []
    leading: Evaluation | None = None
    ascending = sorted(evaluations, key=lambda e: known[e.key].surely)
    for limit, group in groupby(ascending, key=lambda e: known[e.key].surely):
        others = [*([leading] if leading else []), *group]
        now = _best(run, sorted(others, key=lambda e: place[e.key]))  # of equals the first that was asked
        if now is not leading:
            leading = now
            steps.append((limit, _chosen(run, {bound: known}, {bound: limit}, surely=True)))
    return steps


def _chosen(
    run: Run, figures: Mapping[str, Mapping[str, Figure]], bounds: Mapping[str, float], surely: bool = False
) -> Pick:
    """The pick among the run's evaluations within the bounds, whose figures are given.

    Args:
        surely: leave out what may meet the bounds, of which a higher bound knows more.
    """
    first = run.objectives[0]
    direction = 1 if first.direction == "max" else -1
    fitting = maybe = run.evaluations
    for bound, limit in bounds.items():
        sign = 1 if bound.startswith("max_") else -1
        known = figures[bound]
        within = [e for e in fitting if e.key in known and sign * known[e.key].surely <= sign * limit]
        maybe = [e for e in maybe if e.key in known and sign * known[e.key].value <= sign * limit]
        if not within:
            raise InputError(_nothing(run, fitting, known, bound, limit))
        fitting = within
    chosen = _best(run, fitting)
    rivals = [] if surely else [("may meet the budget, but not surely", maybe)]
    given_up = []
    for what, others in (*rivals, ("is the best of the run", run.evaluations)):
        other = _best(run, others)
        lost = direction * (run.mean(other)[first.metric] - run.mean(chosen)[first.metric])
        if lost > 0 and _differ(run, other, chosen):
            at = ", ".join(known[other.key].text for known in figures.values() if other.key in known)
            has = _with_error(run, other)
            given_up.append(f"{number(first.metric, lost)} of {first.metric}: {other.key} has {has} and {what} ({at})")
    held = {bound: known[chosen.key] for bound, known in figures.items()}
    return Pick(chosen, held, given_up, run.judged(chosen), _alike(run, chosen, fitting))


def _best(run: Run, evaluations: Sequence[Evaluation]) -> Evaluation:
    """The best in the run's first objective; of equals the first."""
    first = run.objectives[0]
    direction = 1 if first.direction == "max" else -1
    return max(evaluations, key=lambda e: direction * run.mean(e)[first.metric])


def _figures(run: Run, metric: str, kind: str) -> dict[str, Figure]:
    """Key -> what is known of a metric of the run."""
    return {e.key: _figure(run.mean(e), metric, kind) for e in run.evaluations if metric in e.metrics}


def _with_error(run: Run, evaluation: Evaluation) -> str:
    """How good it is in the first objective, with the error of that."""
    judged, name = run.judged(evaluation), run.objectives[0].metric
    return with_error(name, judged.metrics[name], judged.errors)


def _differ(run: Run, one: Evaluation, other: Evaluation) -> bool:
    """Whether two models differ measurably in the first objective."""
    name = run.objectives[0].metric
    a, b = run.judged(one), run.judged(other)
    return differs(a.metrics[name] - b.metrics[name], a.errors.get(name, 0.0), b.errors.get(name, 0.0))


def _alike(run: Run, chosen: Evaluation, fitting: Sequence[Evaluation]) -> list[str]:
    """For every cost among the objectives, the model that saves most of it and is not measurably worse; none where that is little."""
    lines: dict[str, list[str]] = {}  # key -> what it saves
    equals = {e.key: e for e in fitting if e.key != chosen.key and not _differ(run, e, chosen)}
    for objective in run.objectives[1:]:
        if objective.direction != "min" or not equals or run.mean(chosen)[objective.metric] <= 0:
            continue
        least = min(equals.values(), key=lambda e: run.mean(e)[objective.metric])
        saved = 1 - run.mean(least)[objective.metric] / run.mean(chosen)[objective.metric]
        if saved >= LITTLE:
            metric, device = metric_and_device(objective.metric)
            how = "faster" if metric == "latency_ms" else f"less in {metric}"
            where = f" on {device}" if device else ""
            lines.setdefault(least.key, []).append(f"{100 * saved:.0f}% {how}{where}")
    what = "accurate" if run.objectives[0].metric in USUAL else f"good in {run.objectives[0].metric}"
    return [
        f"{key} is {all_of(saved)} and not measurably less {what} ({_with_error(run, equals[key])} against "
        f"{_with_error(run, chosen)})"
        for key, saved in lines.items()
    ]


def _profile(source: str | Path) -> DeviceProfile:
    from evaluators.latency.profile import DeviceProfile  # its checks take time to load, and most picks need none

    return DeviceProfile.load(source)


def _name(run: Run, profile: DeviceProfile) -> str:
    """What the run calls the latency on one of its devices."""
    return metric_on("latency_ms", profile.name if len(run.profiles) > 1 else None)


def _figure(metrics: Mapping[str, float], metric: str, kind: str) -> Figure:
    value = metrics[metric]
    base, device = metric_and_device(metric)
    if base == "latency_ms":
        beside = ("latency_measured_ms", "latency_low_ms", "latency_high_ms")
        measured, low, high = (metrics.get(metric_on(name, device)) for name in beside)
        if measured is not None:
            return Figure(measured, measured, f"{metric} {measured:.2f} measured, {value:.2f} predicted")
        if low is not None and high is not None:
            surely = high if kind == "max" else low
            return Figure(value, surely, f"{metric} {value:.2f} predicted, 90% interval {low:.2f} to {high:.2f}")
    return Figure(value, value, f"{metric} {number(metric, value)}")


def _predictions(run: Run, profile: DeviceProfile, kind: str) -> dict[str, Figure]:
    """Key -> predicted latency on a device, whichever one the run was searched for."""
    profile.check_same_space(run.space)
    smallest, largest = profile.image_sizes
    covered = [e for e in run.evaluations if smallest <= e.architecture["image_size"] <= largest]
    if not covered:
        raise InputError(
            f"device profile {profile.name} was measured from {smallest} to {largest} px; no model of {run.directory} is there"
        )
    rows = zip(*profile.predict([e.architecture for e in covered], run.settings.get("num_classes")))
    return {
        e.key: Figure(
            value,
            high if kind == "max" else low,
            f"{value:.2f} ms predicted on {profile.name}, 90% interval {low:.2f} to {high:.2f}",
        )
        for e, (value, low, high) in zip(covered, rows)
    }


def _nothing(run: Run, fitting: Sequence[Evaluation], known: Mapping[str, Figure], bound: str, limit: float) -> str:
    kind, _, metric = bound.partition("_")
    sign = 1 if kind == "max" else -1
    having = [e for e in fitting if e.key in known]
    if not having:
        return f"no model of {run.directory} that meets the other bounds has {metric}"
    nearest = min(having, key=lambda e: sign * known[e.key].surely)
    word = {"latency_ms": "the fastest"}.get(metric_and_device(metric)[0], "the nearest")
    figure = known[nearest.key]
    has = "has" if figure.surely == figure.value else "surely has"
    among = "" if len(fitting) == len(run.evaluations) else " that meets the other bounds"
    bound = f"{metric} {'<=' if sign > 0 else '>='} {limit:g}"
    return f"no model of {run.directory}{among} {has} {bound}; {word} is {nearest.key} with {figure.text}"
