"""The space in NNI's and Ray Tune's terms."""

import sys

import pytest

from search_spaces import InputError, YoloSpace
from search_spaces.interop import nni_space, param_space

SPACE = YoloSpace()


def test_nni_samples_are_architectures():
    pytest.importorskip("nni")
    mutables = nni_space(SPACE)
    found = {SPACE.project(mutables.random()) for _ in range(20)}
    assert len(found) == 20 and {a["neck"] for a in found} == {"PAN", "AFPN"}


def test_without_nni_the_message_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "nni", None)
    monkeypatch.setitem(sys.modules, "nni.mutable", None)
    with pytest.raises(InputError, match=r"pip install 'evoyolo\[nni\]'"):
        nni_space(SPACE)


def test_ray_tune_samples_are_architectures():
    config = {name: domain.sample() for name, domain in param_space(SPACE).items()}
    architecture = SPACE.project(config)
    assert all(architecture[name] == config[name] for name in architecture)
