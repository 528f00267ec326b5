"""A run as one plain document: everything that its page shows, as JSON holds it, and nothing of how it is shown.

    run --collect--> {title, facts, metrics, choices, evaluations, ...} --render--> page

Every entry is made by one function here or in a module beside this one, and shown by one section of the page.
"""

from __future__ import annotations

import base64
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from evaluators import METRICS
from evaluators.evaluator import metric_and_device
from search_spaces.text import printable

from ...formatting import number, with_error
from ...storage.judged import Judged
from ...storage.locks import is_in_use
from ...storage.run import Run
from ...storage.states import State
from ...storage.store import Evaluation
from ..front import columns, draw_front, heading, labels
from ..noise import describe_doubt, describe_noise
from .facts import facts, next_lines, settings_lines, versions
from .layers import layers
from .progress import progress

FORMAT = 1  # of the document
FIGURES = 7  # digits of a number that has no whole value: more than are known of any

Document: TypeAlias = dict[str, Any]


def collect(
    run: Run,
    bounds: Sequence[Document] = (),
    files: Mapping[str, Sequence[Path]] | None = None,
    now: float | None = None,
) -> Document:
    """The document of a run: mappings, lists, text, finite numbers, true, false and null.

    All text in it is printable. Evaluations are columns of equal length, repeats after all others; elsewhere they are meant by
    their position there.

    Args:
        bounds: what is picked under a bound on a `metric`, by a `command` up to the bound itself: `steps` of `limit`, `key`,
            `figure`, `given_up` and `alike`.
        files: key -> the files of that model that are there.
        now: seconds since 1970.
    """
    now = time.time() if now is None else now
    rows = [*run.all_evaluations, *run.repeats]
    place = {e.key: number for number, e in enumerate(run.all_evaluations)}
    members = [place[each.evaluation.key] for each in run.judgement.front]
    doubts = run.judgement.doubts if members else {}
    names = columns(run, rows)
    named = labels(run)
    document = {
        "format": FORMAT,
        "made": time.strftime("%Y-%m-%d %H:%M", time.localtime(now)),
        "title": run.directory.resolve().name,
        "state": _state(run),
        "sentence": _sentence(run),
        "facts": facts(run),
        "counts": [[state, count] for state, count in Counter(str(e.status) for e in rows).items()],
        "objectives": [[names.index(o.metric), o.direction] for o in run.objectives],
        "metrics": [_metric(run, name) for name in names],
        "choices": [[choice.name, list(map(str, choice.values))] for choice in run.space.choices],
        "evaluations": _evaluations(run, rows, names, place),
        "references": [[place[key], name] for key, name in named.items() if key in place],
        "reference": next((place[k] for k in (run.settings.get("references") or {}).values() if k in place), None),
        "front": members,
        "doubts": [doubts[run.all_evaluations[row].key] for row in members],
        "noise": [*describe_noise(run), *describe_doubt(run)],
        "bounds": [_bound(bound, names, place) for bound in bounds],
        "files": [[place[key], list(map(str, paths))] for key, paths in (files or {}).items()],
        "progress": progress(run),
        "layers": layers(run),
        "failures": _failures(rows),
        "settings": settings_lines(run),
        "versions": versions(run),
        "next": next_lines(run),
        "picture": _picture(run),
    }
    return _as_text(document)


def _state(run: Run) -> str:
    if is_in_use(run.folder.store):
        return "A search is running; this is how far it was when the page was made"
    return "The search came to its end" if run.complete else "The search was interrupted"


def _sentence(run: Run) -> str:
    """The best model in a sentence, which is what the page says without a bound."""
    if not run.front:
        return "No evaluation has finished within the constraints."
    best, first = run.judgement.front[0], run.objectives[0].metric
    others = [f"{heading(run, o.metric)} {number(o.metric, best.metrics[o.metric])}" for o in run.objectives[1:]]
    has = f"{heading(run, first)} {with_error(first, best.metrics[first], best.errors)}"
    return f"The best model is {best.evaluation.key}: {', '.join([has, *others])}."


def _metric(run: Run, name: str) -> Document:
    known, noise = METRICS.get(metric_and_device(name)[0]), run.noise.get(name)
    direction = {o.metric: o.direction for o in run.objectives}.get(name, known.direction if known else None)
    # `form` is how `number` prints the metric
    form = "signed" if metric_and_device(name)[0].endswith("_percent") else "plain"
    form = "time" if form == "plain" and ("_ms" in name or name.endswith("_seconds")) else form
    deviation = noise.deviation if noise and noise.deviation else None
    return {"name": name, "heading": heading(run, name), "direction": direction, "form": form, "deviation": deviation}


def _evaluations(run: Run, rows: Sequence[Evaluation], names: Sequence[str], place: Mapping[str, int]) -> Document:
    within = {e.key for e in run.eligible}
    judged: list[Judged | None] = [run.judged(e) if e.status == State.FINISHED and not e.repeat else None for e in rows]
    figures = [each.metrics if each else e.metrics for e, each in zip(rows, judged)]
    codes = run.space.code_matrix([e.architecture for e in rows])
    return {
        "trial": [e.trial for e in rows],
        "of": [place.get(e.key) for e in rows],  # of a repeat, the evaluation that it repeats
        "state": [str(e.status) for e in rows],
        "reason": [e.reason for e in rows],
        "fits": [bool(each) and e.key in within for e, each in zip(rows, judged)],
        "trainings": [each.trainings if each else None for each in judged],
        "seconds": [_brief(e.seconds) for e in rows],
        "node": [e.node for e in rows],
        "fidelity": [_brief(e.fidelity) for e in rows],
        "metrics": [[_brief(each.get(name)) for each in figures] for name in names],
        "choices": codes.T.tolist(),  # positions among the choice's values; -1 where it has none
    }


def _brief(value: float | None) -> float | None:
    if value is None or float(value).is_integer():
        return None if value is None else int(value)
    return float(f"{value:.{FIGURES}g}")


def _bound(bound: Mapping[str, Any], names: Sequence[str], place: Mapping[str, int]) -> Document:
    steps = [
        {**{name: v for name, v in step.items() if name != "key"}, "row": place[step["key"]]} for step in bound["steps"]
    ]
    return {**bound, "metric": names.index(bound["metric"]), "steps": steps}


def _failures(rows: Sequence[Evaluation]) -> list[list[Any]]:
    ended = [e for e in rows if e.status in (State.FAILED, State.REJECTED)]
    return [
        [f"{status}: {reason}", n]
        for (status, reason), n in Counter((e.status, e.reason) for e in ended).most_common(20)
    ]


def _picture(run: Run) -> str | None:
    """The picture of the front as a data URI, for a reader without JavaScript; None where there is nothing to draw."""
    if len(run.objectives) < 2 or not run.evaluations:
        return None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "front.png"
        draw_front(run, path)
        return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"


def _as_text(value: Any) -> Any:
    """The same with all text printable; numpy's numbers are not among what comes here."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, dict):
        return {name: _as_text(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_as_text(each) for each in value]
    return value
