"""Training settings: what may be replaced keeps a figure's meaning, and everything else is refused with its reason."""

import logging
import math
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from ultralytics.cfg import check_cfg
from ultralytics.engine.trainer import BaseTrainer
from ultralytics.utils import DEFAULT_CFG_DICT, LOGGER

from evaluators.data import load_dataset
from evaluators.training import DetectorTraining, Fidelity, check_settings, train
from evaluators.training.settings import ALLOWED, IDLE, OPTIMIZERS, REFUSED, SETTINGS, effective
from search_spaces import InputError


def test_every_setting_of_ultralytics_is_allowed_or_refused_or_does_nothing():
    assert {*ALLOWED, *IDLE} <= set(DEFAULT_CFG_DICT) and len({*ALLOWED, *REFUSED, *IDLE}) == sum(
        map(len, (ALLOWED, REFUSED, IDLE))
    )
    for name in {*DEFAULT_CFG_DICT, "brought_by_a_later_version"} - {*ALLOWED, *IDLE}:
        with pytest.raises(InputError, match=f"^training: '?{name}'? [^\n]+$"):
            check_settings({name: DEFAULT_CFG_DICT.get(name)}, 10)
    check_settings(SETTINGS, 1)
    check_settings(dict.fromkeys(IDLE, "anything"), 1)
    assert effective({**SETTINGS, **dict.fromkeys(IDLE, "anything")}) == SETTINGS


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"single_cls": True}, "single_cls decides which images and classes are .* judged; use the fields data and"),
        ({"classes": [0]}, "classes decides which images and classes"),
        ({"split": "test"}, "split decides which images and classes"),
        ({"conf": 0.5}, "conf decides how a model is judged, which is the same for all"),
        ({"time": 0.01}, "time decides how long a training lasts; use the fields epochs and trial_minutes"),
        ({"distill_model": "x.pt"}, "distill_model makes something else of a training from scratch"),
        ({"freeze": 1000}, "freeze makes something else of a training from scratch"),
        ({"quantize": 8}, "quantize decides what a model is made into; use a recipe"),
        ({"device": "0"}, "device is a field of its own; use training_device"),
        ({"lr": 0.1}, "'lr' is not to be set; what may be is optimizer, lr0, "),
        ({"workers": 2}, "'workers' is not to be set"),
        ({"optimizer": "Foo"}, "optimizer: 'Foo' must be SGD, MuSGD, .* or auto$"),
        ({"optimizer": ["SGD"]}, "optimizer: .* must be SGD"),
        ({"optimizer": "auto", "lr0": 0.1}, "optimizer auto chooses lr0 itself; leave that out"),
        ({"warmup_epochs": 99}, "warmup_epochs: 99 must be a number from 0 to 10, the epochs"),
        ({"close_mosaic": 2.5}, "close_mosaic: 2.5 must be a whole number from 0 to 10, the epochs"),
        ({"lr0": 0}, "lr0: 0 must be a number above 0 to 1"),
        ({"lr0": True}, "lr0: True must be a number"),
        ({"lr0": "1e-3"}, "lr0: '1e-3' must be a number"),
        ({"momentum": 1.0}, "momentum: 1.0 must be a number from 0 and below 1"),
        ({"box": math.inf}, "box: inf must be a number from 0 to 100"),
        ({"scale": math.nan}, "scale: nan must be a number from 0 to 1"),
        ({"cos_lr": 1}, "cos_lr: 1 must be true or false"),
    ],
)
def test_what_is_refused_says_why(settings, message):
    with pytest.raises(InputError, match=f"^training: {message}"):
        check_settings(settings, 10)


anything = st.one_of(
    st.floats(), st.floats(0, 1), st.integers(), st.integers(0, 12), st.booleans(), st.text(), st.none(), st.lists(st.floats())
)  # fmt: skip


@given(st.sampled_from(sorted(ALLOWED)), anything)
def test_what_passes_passes_ultralytics_own_check(name, value):
    try:
        check_settings({name: value}, 10)
    except InputError:
        return
    check_cfg({name: value})


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_that_passes_can_be_built(name):
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    network.model = [network]  # what MuSGD looks for a head in
    trainer = SimpleNamespace(args=SimpleNamespace(lr0=0.01), data={"nc": 2})
    before, LOGGER.level = LOGGER.level, logging.ERROR
    try:
        made = BaseTrainer.build_optimizer(trainer, network, name, lr=0.01, momentum=0.9, decay=0.01, iterations=10)
    finally:
        LOGGER.setLevel(before)
    assert isinstance(made, torch.optim.Optimizer)


@pytest.mark.slow
def test_whatever_is_allowed_the_same_images_and_labels_are_trained_on_and_judged(
    small_data, tiny, tmp_path, monkeypatch
):
    seen, final_eval = [], DetectorTraining.final_eval

    def look(self):
        judged = [(b["img"], b["cls"], b["bboxes"], b["im_file"]) for b in self.test_loader]
        labels = [(x["im_file"], x["cls"].tolist(), x["bboxes"].tolist()) for x in self.train_loader.dataset.labels]
        seen.append((judged, labels, self.epoch, self.data["nc"]))
        final_eval(self)

    monkeypatch.setattr(DetectorTraining, "final_eval", look)
    shares = ("hsv_h", "hsv_s", "hsv_v", "translate", "scale", "flipud", "fliplr", "bgr", "mosaic", "mixup", "cutmix")
    numbers = {
        "lrf": 0.5,
        "momentum": 0.5,
        "weight_decay": 0.1,
        "warmup_epochs": 1,
        "warmup_momentum": 0.5,
        "cls_pw": 1.0,
    }
    changed = {
        **dict.fromkeys(shares, 1.0), **numbers, "optimizer": "SGD", "lr0": 0.1, "cos_lr": False, "warmup_bias_lr": 0.5,
        "box": 1.0, "cls": 1.0, "dfl": 1.0, "degrees": 90, "shear": 10, "perspective": 0.001, "close_mosaic": 1,
        "multi_scale": 0.5,
    }  # fmt: skip
    assert set(changed) == set(ALLOWED)
    data = load_dataset(small_data)
    for name, settings in (("plain", {"erasing": "of no task of ours"}), ("changed", changed)):
        train(tiny, data, Fidelity(2), tmp_path / name, batch=8, settings=settings)
    (plain_judged, *plain), (judged, *others) = seen
    assert plain == others and len(judged) == len(plain_judged)
    for before, after in zip(plain_judged, judged):
        assert all(torch.equal(a, b) for a, b in zip(before[:3], after[:3])) and before[3] == after[3]
