"""Resuming: only what no figure depends on may change."""

import pytest

from nas.launch.config import SearchConfig, make_config
from nas.launch.resuming import RESUMABLE, changed

OTHER = {
    "max_evaluations": 99,
    "hours": 2.0,
    "repeats": 3,
    "confirm": 6,
    "max_minutes": 5.0,
    "trial_minutes": 5.0,
    "algorithm": "random",
    "algorithm_options": {"initial": 3},
    "executor": "here",
    "address": "head:6379",
    "cpus_per_trial": 0.5,  # one thread, as before
    "gpus_per_trial": 0.5,
    "max_concurrent": 2,
    "batch_evaluations": 4,
    "training_device": "cuda:1",
    "data": "other.yaml",
}
FIXED = {"epochs": 7, "seed": 3, "batch": 8, "fraction": 0.5, "training": {"lr0": 0.1}, "references": [], "max_macs": 5}
FIXED |= {"within": None, "scalings": 4}
SECONDS = ["map50_95:max", "train_seconds:min"]


def before(**values):
    return make_config({"training_device": "cuda:0", **values}, "x").to_dict()


@pytest.mark.parametrize("name", RESUMABLE)
def test_what_no_figure_depends_on_may_change(name):
    assert changed(before(), make_config({"training_device": "cuda:0", name: OTHER[name]}, "x")) is None


@pytest.mark.parametrize("name", FIXED)
def test_what_figures_depend_on_may_not(name):
    assert changed(before(), make_config({"training_device": "cuda:0", name: FIXED[name]}, "x")) == name


def test_settings_of_training_that_do_nothing_may_come_and_go():
    one, other = {"lr0": 0.1, "erasing": 0.4}, {"lr0": 0.1, "pose": 12.0}
    assert changed(before(training=one), make_config({"training_device": "cuda:0", "training": other}, "x")) is None


@pytest.mark.parametrize(("name", "value"), [("cpus_per_trial", 2), ("training_device", "cpu")])
def test_other_threads_and_another_kind_of_device_train_another_model(name, value):
    assert changed(before(), make_config({"training_device": "cuda:0", name: value}, "x")) == name


@pytest.mark.parametrize("name", RESUMABLE)
def test_seconds_of_training_hold_a_run_to_where_they_were_taken(name):
    is_timed = name in (
        "executor", "address", "cpus_per_trial", "gpus_per_trial", "max_concurrent", "batch_evaluations", "training_device"
    )  # fmt: skip
    now = make_config({"training_device": "cuda:0", "objectives": SECONDS, name: OTHER[name]}, "x")
    assert changed(before(objectives=SECONDS), now) == (name if is_timed else None)


def test_a_run_of_an_earlier_version_or_a_stranger_s_lacks_fields_and_has_others():
    assert changed({}, SearchConfig()) is None
    assert changed({"cpus_per_trial": "x"}, SearchConfig()) == "cpus_per_trial"
    assert changed({"training_device": ["cpu"]}, SearchConfig()) == "training_device"
    assert changed({"training": "lr0"}, SearchConfig()) == "training"
