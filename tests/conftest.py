"""Shared by all tests: a small dataset, a small trained checkpoint, and a home that is not the user's."""

import os
import tempfile
from pathlib import Path

import pytest

# Before anything imports Ultralytics: its settings, and the caches of this package, stay out of the user's home.
_HOME = Path(tempfile.gettempdir()) / f"evoyolo-tests-{os.getuid()}"
os.environ["YOLO_CONFIG_DIR"] = str(_HOME / "ultralytics")
os.environ["EVOYOLO_CACHE"] = str(_HOME / "cache")
os.environ.setdefault("OMP_NUM_THREADS", "1")
(_HOME / "ultralytics").mkdir(parents=True, exist_ok=True)


@pytest.fixture(scope="session")
def small_data(tmp_path_factory):
    """data.yaml of 16 + 8 small digit scenes."""
    from evaluators.digits import DigitsSettings, digits_yaml

    settings = DigitsSettings(image_size=64, train=16, val=8, smallest=16, largest=32)
    return digits_yaml(settings, tmp_path_factory.mktemp("digits"))


@pytest.fixture(scope="session")
def tiny():
    """The smallest preset, with one block of this package in it, at 64 pixels."""
    from search_spaces import YoloSpace

    return YoloSpace().preset("yolov8-w1/16", image_size=64, p3_block="CSPPC", p4_down="HWD")


@pytest.fixture(scope="session")
def checkpoint(small_data, tiny, tmp_path_factory):
    """best.pt of `tiny` after one epoch on `small_data`."""
    from evaluators.dataset import load_dataset
    from evaluators.training import Fidelity, train

    return train(tiny, load_dataset(small_data), Fidelity(1), tmp_path_factory.mktemp("trained"), batch=8).checkpoint
