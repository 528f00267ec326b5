"""The quick profile of this machine: measured once, kept while it is true, for the space as it is searched."""

import importlib

import pytest

from evaluators.latency import agent
from evaluators.runtimes import runtime
from nas.devices import quick
from search_spaces import Choice, InputError, YoloSpace

SPACE = YoloSpace().restrict({"image_size": [64, 96], "neck": ["PAN"]})


@pytest.fixture
def measured(board, tmp_path, monkeypatch):
    """Plans that were measured; what a measurement gives is the made-up board's profile, as if of this machine."""
    monkeypatch.setenv("EVOYOLO_CACHE", str(tmp_path))
    plans = []

    def make_profile(name, plan, path, say):
        plans.append(plan)
        this = {"machine": agent.device_name(), "version": runtime("onnxruntime").installed_version()}
        profile = board.model_copy(update={"name": name, "threads": plan.threads, **this})
        profile.save(path)
        return profile

    monkeypatch.setattr(quick, "make_profile", make_profile)
    return plans


def test_it_is_measured_once_for_the_space_as_it_is_searched(measured):
    said = []
    first = quick.quick_profile(SPACE, 4, said.append, count=18)
    again = quick.quick_profile(SPACE, 4, said.append, count=18)
    assert first == again and len(measured) == 1 and first.name == "this-machine"
    (plan,) = measured
    assert plan.restrict == {"image_size": [64, 96], "neck": ["PAN"]} and plan.num_classes == 4 and plan.count == 18
    assert plan.space().size == SPACE.size
    assert said[0].startswith("no device profile: 18 models are measured on this machine first")
    assert "the profile of this machine that was measured on" in said[1]


def test_choices_of_a_recipe_do_not_change_what_is_measured(measured):
    quick.quick_profile(SPACE, 4, print, count=18)
    quick.quick_profile(SPACE.extended([Choice("quantise.precision", ["FP32", "INT8"])]), 4, print, count=18)
    assert len(measured) == 1


@pytest.mark.parametrize(
    "other",
    [
        {"num_classes": 5},
        {"threads": 2},
        {"count": 7},
        {"space": SPACE.restrict({"neck": ["PAN"], "image_size": [64]})},
    ],
)
def test_another_question_is_another_profile(measured, other):
    asked = {"space": SPACE, "num_classes": 4, "count": 18, **other}
    quick.quick_profile(SPACE, 4, print, count=18)
    quick.quick_profile(asked.pop("space"), asked.pop("num_classes"), print, **asked)
    assert len(measured) == 2


def test_every_form_of_int8_is_a_profile_of_its_own(measured):
    for activations in (None, *agent.ACTIVATIONS):  # none is the one that suits this machine
        quick.quick_profile(SPACE, 4, print, count=18, precision="INT8", activations=activations)
    forms = [plan.activations for plan in measured]
    assert forms[0] == agent.suiting_activations() and sorted(forms) == sorted(agent.ACTIVATIONS)


def test_a_space_of_few_architectures_and_too_many_threads(measured):
    few = SPACE.restrict({c.name: [c.values[0]] for c in SPACE.choices if c.name != "image_size"})
    quick.quick_profile(few, 4, print, count=18)
    assert few.size == 2 and measured[0].restrict == {"image_size": [64, 96]}
    with pytest.raises(InputError, match="latency_threads 10000: this process may use"):
        quick.quick_profile(SPACE, 4, print, count=18, threads=10_000)


def test_the_ends_of_the_image_sizes_are_among_what_is_measured():
    from nas.devices.make import Plan, _covering

    plan, space = Plan(count=6), YoloSpace().restrict({"image_size": [64, 128, 256]})
    middle = [space.sample(seed).replace(image_size=128) for seed in range(6)]
    chosen = _covering(middle, space, plan)
    assert len(chosen) == 6 and {a["image_size"] for a in chosen} == {64, 128, 256} and chosen[:4] == middle[:4]
    assert _covering(chosen, space, plan) == chosen


def test_one_that_is_not_true_any_more_is_measured_anew(measured, monkeypatch, tmp_path):
    quick.quick_profile(SPACE, 4, print, count=18)
    (path,) = (tmp_path / "profiles").iterdir()
    path.write_text("{")
    quick.quick_profile(SPACE, 4, print, count=18)
    assert len(measured) == 2
    monkeypatch.setattr(agent, "device_name", lambda: "another machine")
    quick.quick_profile(SPACE, 4, print, count=18)
    assert len(measured) == 3


def test_a_profile_says_why_it_is_not_of_this_machine(board, monkeypatch):
    installed = runtime("onnxruntime").installed_version()
    this = board.model_copy(update={"machine": agent.device_name(), "version": installed, "threads": 1})
    assert this.elsewhere() is None and this.is_here()
    assert "it is of a made-up board, and this machine is" in board.elsewhere()
    older = this.model_copy(update={"version": "1.0"})
    assert older.elsewhere() == f"it is of onnxruntime 1.0, and {installed} is installed"
    assert older.is_of_this_machine() and not older.is_here()
    many = this.model_copy(update={"threads": 10_000})
    assert many.elsewhere().startswith("it is of 10000 threads, and this process may use ")
    build = this.model_copy(update={"version": f"{installed}+cu130"})
    assert build.is_here()
    module = importlib.import_module("importlib.metadata")
    monkeypatch.setattr(module, "version", lambda name: (_ for _ in ()).throw(module.PackageNotFoundError(name)))
    assert this.elsewhere() == "onnxruntime is not installed here"
