"""What is said at the end of a search, and of the run afterwards: nothing that is not so, and one advice for one state."""

import re
import shlex
import time
from pathlib import Path

import pytest

from evaluators import EvaluationError, Evaluator, Rejected
from nas import Constraint, Objective, load_run, search
from nas.report.front import write_front
from nas.report.status import describe_status
from nas.report.summary import what_came_out
from search_spaces import Choice, InputError, SearchSpace

SPACE = SearchSpace("toy", [Choice("depth", list(range(8))), Choice("image_size", [64])])
OBJECTIVES = [Objective("map50_95", "max"), Objective("latency_ms", "min")]


class Ending(Evaluator):
    """Ends an evaluation as it is told: `how` gives metrics of an architecture's number in the search, or raises."""

    def __init__(self, how):
        self.how, self.count = how, 0

    def evaluate(self, architecture, directory):
        self.count += 1
        return self.how(self.count)


def good(count):
    return {"map50_95": count / 10, "latency_ms": float(count)}


def failing(count):
    raise EvaluationError("no such thing")


def failing_in_many_ways(count):
    raise EvaluationError(f"no such thing {count}")


def failing_first(count):
    return good(count) if count > 1 else failing(count)


def taking_its_time(count):
    time.sleep(0.4)
    return good(count)


def too_slow(count):
    raise Rejected("latency_ms 9 > 5", {"latency_ms": 9.0})


def interrupted(count):
    if count == 3:
        raise KeyboardInterrupt
    return good(count)


def interrupted_at_once(count):
    raise KeyboardInterrupt


MEND = "mend the cause and start anew in another folder; what failed is not tried again, other architectures are: "
# how evaluations end, options of the search, what it raises, the last line of `status`; RUN is the run's folder
ENDINGS = {
    "finished": (good, {}, None, "its front is not exported yet: run `evoyolo resume RUN`"),
    "exhausted": (good, {"max_evaluations": 20}, None, "its front is not exported yet: run `evoyolo resume RUN`"),
    "late": (taking_its_time, {"max_seconds": 0.3}, None, "to go on, run `evoyolo resume RUN`"),
    "interrupted": (interrupted, {}, KeyboardInterrupt, "to go on, run `evoyolo resume RUN`"),
    "empty": (interrupted_at_once, {}, KeyboardInterrupt, "to go on, run `evoyolo resume RUN`"),
    "one failed": (failing_first, {}, None, "its front is not exported yet: run `evoyolo resume RUN`"),
    "failed": (failing, {"max_evaluations": 7}, InputError, f"nothing but failures: {MEND}run `evoyolo resume RUN`"),
    "failed to the end": (
        failing_in_many_ways,
        {},
        None,
        f"nothing but failures: {MEND}run `evoyolo resume RUN --max-evaluations 8`",
    ),
    "rejected": (
        too_slow,
        {"max_evaluations": 1, "constraints": [Constraint("latency_ms", upper=5)]},
        InputError,
        "nothing that was tried meets the constraints: start anew in another folder, with wider ones",
    ),
    "outside": (
        good,
        {"constraints": [Constraint("latency_ms", upper=0.5)]},
        None,
        "its front is not exported yet: run `evoyolo resume RUN`",
    ),
}


@pytest.fixture
def end(tmp_path, capsys):
    """The function that lets a search end: its name in the table -> (the run's folder, its message)."""

    def ended(name, **more):
        how, options, raised, _ = ENDINGS[name]
        directory = tmp_path / "it's my [v2] run"
        directory.mkdir(exist_ok=True)
        (directory / "search.yaml").touch()  # a command started it
        options = {"max_evaluations": 4, "algorithm": "random", "directory": directory, **options, **more}
        if raised is None:
            search(SPACE, Ending(how), options.pop("objectives", OBJECTIVES), **options)
            return directory, ""
        with pytest.raises(raised) as error:
            search(SPACE, Ending(how), OBJECTIVES, **options)
        return directory, str(error.value)

    return ended


@pytest.mark.parametrize("name", ENDINGS)
def test_status_advises_what_the_message_did(end, name):
    directory, message = end(name)
    lines, alive = describe_status(directory)
    advice = ENDINGS[name][3].replace("RUN", shlex.quote(str(directory)))
    assert not alive and lines[-1] == advice
    if "start anew" in message:
        assert message.endswith(advice.removeprefix("nothing but failures: "))
    for command in re.findall(r"`(evoyolo .*?)`", f"{message} {lines[-1]}"):
        assert str(directory) in shlex.split(command)


def test_what_was_refused_is_no_run(tmp_path):
    options = {"directory": tmp_path / "run", "scheduler_options": {"always": 1}}
    with pytest.raises(InputError, match="has no option 'always'"):
        search(SPACE, Ending(good), OBJECTIVES, **options)
    with pytest.raises(InputError, match="holds no run"):
        describe_status(tmp_path / "run")


def test_after_hours_it_is_more_hours_that_search_on(end):
    directory, _ = end("finished", max_evaluations=None, budget_seconds=0.5)
    run = load_run(directory)
    assert run.complete and run.max_evaluations is None
    lines = what_came_out(run, {}, write_front(run, {}), "4 images", 1.0, {"max_evaluations": None, "hours": 4})
    assert lines[-1] == f"  `evoyolo resume {shlex.quote(str(directory))} --hours 4`: search on"


def said(directory, files):
    run = load_run(directory)
    return what_came_out(run, files, write_front(run, files), "4 images", 1.0, {"max_evaluations": 8})


@pytest.mark.parametrize("name", ["finished", "exhausted", "late", "one failed", "outside", "failed to the end"])
def test_what_a_search_ends_with_is_so(end, name):
    directory, _ = end(name)
    run = load_run(directory)
    files = {e.key: {"checkpoint": f"models/{e.key}/best.pt"} for e in run.front[:1]}
    for model in files.values():
        (directory / model["checkpoint"]).parent.mkdir(parents=True)
        (directory / model["checkpoint"]).touch()
    lines = said(directory, files)
    text = "\n".join(lines)
    named = [Path(found) for found in re.findall(re.escape(str(directory)) + r"[^\s,:'`]+", text) if "." in found]
    assert all(path.exists() for path in named) and len(named) >= 2 + 2 * len(files)
    assert ("checkpoints of the front" in text) == bool(files)
    folder = shlex.quote(str(directory))
    on = {"exhausted": [], "late": [f"  `evoyolo resume {folder}`: search on to 4 evaluations"]}
    more = on.get(name, [f"  `evoyolo resume {folder} --max-evaluations 8`: search on"])
    assert [line for line in lines if "resume" in line] == more
    assert ("evoyolo show" in text) == ("yolo predict" in text) == bool(run.front)
    assert describe_status(directory)[0][-1].startswith("to go on") == (name == "late")


def test_one_objective_is_not_said_to_have_a_picture(end):
    directory, _ = end("finished", objectives=OBJECTIVES[:1])
    text = "\n".join(said(directory, {}))
    assert "front.png" not in text and "front.csv and " in text and "checkpoints" not in text


def test_the_bound_that_is_suggested_is_one_that_the_best_model_meets(tmp_path):
    from nas import pick

    def evaluate(architecture):
        depth = architecture["depth"]
        figures = {"map50_95": depth / 10, "latency_ms": depth + 1.0, "latency_low_ms": depth + 0.9}
        return figures | {"latency_high_ms": depth + 1.1, "latency_measured_ms": depth + 2.345}

    run = search(SPACE, evaluate, OBJECTIVES, max_evaluations=8, directory=tmp_path / "run", algorithm="random")
    (line,) = [line for line in what_came_out(run, {}, [tmp_path], "", 1.0, {"max_evaluations": 8}) if "pick" in line]
    bound = float(shlex.split(line.strip(" `"))[-1])
    assert pick(tmp_path / "run", max_latency_ms=bound) == run.front[0]


def test_what_a_search_found_is_to_be_trained_for_long_next(tmp_path):
    from search_spaces import YoloSpace

    space = YoloSpace().restrict({"image_size": [64]})

    def evaluate(architecture):
        depth = architecture["p3_depth"]
        return {"map50_95": depth / 10, "latency_ms": float(depth)}

    run = search(space, evaluate, OBJECTIVES, max_evaluations=6, directory=tmp_path / "my run", algorithm="random")
    files = {e.key: {"checkpoint": "x.pt"} for e in run.front}
    (line,) = [
        line for line in what_came_out(run, files, [], "", 1.0, {"max_evaluations": 8}) if "evoyolo train" in line
    ]
    command, _, _ = line.strip().removeprefix("`").partition("`")
    output = f"{tmp_path}/my run-trained"
    options = ["--compare", "yolov8n", "--epochs", "100", "--output", output]
    assert shlex.split(command) == ["evoyolo", "train", str(tmp_path / "my run"), "--front", *options]
    assert not any("evoyolo train" in line for line in what_came_out(run, {}, [], "", 1.0, {"max_evaluations": 8}))
