"""What a search begins with: its bounds, its first architectures, its first lines; and hours that hold no training."""

from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console

from evaluators.data import load_dataset
from evaluators.detector import DetectorEvaluator
from nas import Constraint
from nas.launch.beginning import beginning, check_hours, guessed_seconds, how_long
from nas.launch.config import SearchConfig
from nas.launch.start import start
from search_spaces import InputError, YoloSpace
from search_spaces.families.yolov8 import LEVELS

SECONDS = 540.0


@pytest.fixture
def begin(small_data, board, monkeypatch):
    """The function (settings, names of devices, options) -> what a search begins with; an evaluation takes nine minutes."""
    monkeypatch.setattr(DetectorEvaluator, "expected_seconds", lambda self, architecture: SECONDS)

    def begin(settings=None, devices=("board",), **options):
        config = SearchConfig(**(settings or {}))
        monkeypatch.setattr(
            SearchConfig, "device_names", property(lambda self: list(devices) if len(devices) > 1 else [])
        )
        profiles = [board.model_copy(update={"name": name}) for name in devices]
        evaluator = DetectorEvaluator(
            load_dataset(str(small_data)), config.epochs, profiles=profiles, recipe=config.make_recipe()
        )
        space, run = config.make_space(), options.pop("run", None)
        guess = guessed_seconds(config, space, evaluator)
        if run is None:
            check_hours(config, space, guess)
        return beginning(config, space, evaluator, run, guess, **options), evaluator

    return begin


def metrics_of(begun, evaluator):
    return evaluator.estimate(begun.first)


def test_it_begins_with_plain_scalings_no_slower_than_the_reference(begin):
    begun, evaluator = begin()
    (bound,) = begun.constraints
    assert bound.metric == "latency_ms" and list(begun.references) == ["yolov8n", "light-recipe"]
    assert begun.first[0] == begun.references["yolov8n"] and begun.references["light-recipe"] not in begun.first
    assert list(begun.scalings.values()) == begun.first[1:] and len(begun.first) == 5  # a third of 14
    latency = metrics_of(begun, evaluator)["latency_ms"]
    assert latency.max() <= bound.upper and latency[0] == pytest.approx(bound.upper, rel=1e-5)
    gaps = -np.diff(np.log(latency))
    assert gaps.min() > 0 and gaps.max() < 4 * gaps.mean()
    assert all(name.startswith("yolov8 w") for name in begun.scalings)
    assert begin()[0].first == begun.first  # each time
    text = "\n".join(begun.lines)
    assert f"nothing slower than yolov8n at 96 px ({bound.upper:.2f} ms predicted) is asked; --within none, or" in text
    assert "asked first, as one would by hand: yolov8n, yolov8 w" in text and "light-recipe, outside of" in text
    assert "an evaluation of yolov8n at 96 px takes about 9 min 00 s on this machine" in text


def test_every_device_is_bounded_and_named(begin):
    begun, evaluator = begin(devices=("pi", "laptop"))
    assert [c.metric for c in begun.constraints] == ["latency_ms@pi", "latency_ms@laptop"]
    assert "ms predicted on pi and " in begun.lines[0] and "predicted on laptop) is asked" in begun.lines[0]
    known = metrics_of(begun, evaluator)
    assert all((known[c.metric] <= c.upper).all() for c in begun.constraints)


def test_without_latency_it_is_the_costs_that_are_objectives(begin):
    begun, evaluator = begin({"objectives": ["map50_95:max", "params:min", "macs:min"]}, devices=())
    assert [c.metric for c in begun.constraints] == ["params", "macs"]
    assert (
        "nothing that costs more than yolov8n at 96 px (3,0" in begun.lines[0] and " macs) is asked" in begun.lines[0]
    )
    assert metrics_of(begun, evaluator)["params"][0] == begun.constraints[0].upper
    begun, _ = begin({"objectives": ["map50_95:max"]}, devices=())
    assert begun.constraints == [] and "nothing bounds what is asked" in begun.lines[0] and begun.scalings


def test_a_bound_of_the_user_s_or_none_takes_its_place(begin):
    begun, evaluator = begin({"max_macs": 40_000_000})
    assert begun.constraints == [Constraint("macs", upper=40_000_000)]
    assert metrics_of(begun, evaluator)["macs"].max() <= 40_000_000
    assert begun.references["yolov8n"] not in begun.first  # it comes after them
    assert not any("slower" in line for line in begun.lines)
    assert "drawn beside the front: yolov8n and light-recipe, outside" in begun.lines[-1]
    begun, _ = begin({"within": None})
    assert begun.constraints == [] and begun.first[:2] == list(begun.references.values())


def test_how_many_scalings_there_are_may_be_said(begin):
    assert len(begin({"max_evaluations": 100})[0].first) == 8
    assert begin({"scalings": 0})[0].first == [begin()[0].references["yolov8n"]]
    assert len(begin({"scalings": 2, "references": []})[0].first) == 2
    held_by_the_hours = begin({"hours": 1.9})[0].first  # 12 trainings of nine minutes
    assert len(held_by_the_hours) == 4


def test_the_reference_is_among_the_scalings_where_it_is_not_named(begin):
    begun, _ = begin({"references": ["yolov8-w1/8"]})
    assert begun.first[0] == begun.references["yolov8-w1/8"] and "yolov8n" in begun.scalings and len(begun.first) == 5


def test_a_prior_chooses_among_them(begin):
    space = YoloSpace()

    def deepest(architectures):
        return np.array([space.adopt(a)["p4_depth"] for a in architectures], float)

    assert {a["p4_depth"] for a in begin(prior=deepest)[0].first[1:]} == {3}


def test_a_space_without_scalings_begins_with_its_references(begin):
    begun, _ = begin({"restrict": {"neck": ["AFPN"], "image_size": [96]}})
    assert begun.first == [begun.references["yolov8n"]] and begun.scalings == {}


def test_a_recipe_that_is_searched_begins_with_its_first_values(begin):
    recipe = ["train", "export", {"quantise": {"images": 16}}]
    begun, _ = begin({"recipe": recipe, "recipe_choices": {"quantise.images": [16, 32]}}, devices=())
    assert {a["quantise.images"] for a in begun.first} == {16} and len(begun.scalings) == 4


def test_a_space_where_nothing_is_so_fast_is_refused_with_the_way_out(begin):
    large = {"p2_width": [64], "p3_width": [128], "p4_width": [256], "p5_width": [512]}
    large |= {f"{level}_{what}": [value] for level in LEVELS for what, value in (("depth", 3), ("block", "C2f"))}
    with pytest.raises(
        InputError, match="within: nothing in the space costs as little as yolov8n: .*--within none lifts"
    ):
        begin({"restrict": large})


def test_hours_that_hold_no_training_are_refused_with_what_would_do(begin):
    message = (
        r"hours: 0.05 h is shorter than one training of yolov8n \(about 9 min 00 s on this machine\): --hours 0.45 holds about 3, "
        "or --epochs 2"
    )
    with pytest.raises(InputError, match=message):
        begin({"hours": 0.05})
    with pytest.raises(InputError, match="holds about 3$"):
        begin({"hours": 0.01})
    assert begin({"hours": 0.05, "address": "head:6379"})[0].guess is None  # what the nodes take is not known here
    assert begin({"hours": 0.16})[0].guess[1] == SECONDS


def test_what_does_not_fit_into_memory_is_left_to_the_trainings_to_tell(begin, monkeypatch):
    def too_much(self, architecture):
        raise MemoryError

    config = SearchConfig()
    begun, evaluator = begin()
    monkeypatch.setattr(DetectorEvaluator, "expected_seconds", too_much)
    guess = guessed_seconds(config, config.make_space(), evaluator)
    begun = beginning(config, config.make_space(), evaluator, None, guess)
    assert begun.guess is None and len(begun.first) == 5


def test_a_run_goes_on_with_its_own_bounds(begin):
    kept = [Constraint("latency_ms", upper=1.25)]
    begun, _ = begin(run=SimpleNamespace(constraints=kept))
    assert begun.constraints == kept and begun.first == [] and begun.lines == ["asked within latency_ms <= 1.25"]
    begun, _ = begin({"max_params": 5}, run=SimpleNamespace(constraints=[]))
    assert begun.constraints == [Constraint("params", upper=5)]
    begun, _ = begin({"hours": 0.01}, run=SimpleNamespace(constraints=kept))  # it may have spent them all
    assert begun.guess is not None


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({}, "to 14 evaluations of 6 epochs"),
        ({"hours": 2}, "evaluations of 6 epochs, as many as are expected to end within 2 h"),
        (
            {"hours": 0.5, "max_evaluations": 9},
            "to 9 evaluations of 6 epochs, as many as are expected to end within 0.5 h",
        ),
        ({"rungs": [2, 6]}, "to 14 evaluations of 6 epochs, judged at 2, 6"),
        ({"max_minutes": 5}, "to 14 evaluations of 6 epochs, none started after 5 min"),
    ],
)
def test_what_ends_it_is_said(settings, text):
    assert how_long(SearchConfig(**settings)) == text


def test_too_few_hours_are_refused_before_this_machine_is_measured(small_data, tmp_path, monkeypatch):
    measured = []
    monkeypatch.setattr(DetectorEvaluator, "expected_seconds", lambda self, architecture: SECONDS)
    monkeypatch.setattr("nas.launch.machine.quick_profile", lambda *arguments, **options: measured.append(1))
    config = SearchConfig(data=str(small_data), hours=0.01, directory=str(tmp_path / "run"))
    with pytest.raises(InputError, match="hours: 0.01 h is shorter than one training"):
        start(config, Console(quiet=True))
    assert not measured and not (tmp_path / "run").exists()
