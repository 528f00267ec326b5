"""Shared by the tests of accuracy: a network that has learnt something."""

import dataclasses

import pytest


@pytest.fixture(scope="session")
def learnt(tmp_path_factory):
    """(training's result, dataset): a network of 64 px, trained on the images that it is judged on."""
    from evaluators.data import load_dataset
    from evaluators.data.digits import DigitsSettings, digits_yaml
    from evaluators.training import Fidelity, train
    from search_spaces import YoloSpace

    folder = tmp_path_factory.mktemp("learnt")
    easy = DigitsSettings(
        image_size=64, train=8, val=24, classes=1, fewest=1, most=2, smallest=24, largest=44, clutter=0
    )
    dataset = load_dataset(digits_yaml(easy, folder))
    judged = dataclasses.replace(dataset, train=dataset.val)
    still = {"lr0": 0.003, "scale": 0.0, "translate": 0.0, "hsv_h": 0.0, "hsv_s": 0.0, "hsv_v": 0.0}
    architecture = YoloSpace().preset("yolov8-w1/8", image_size=64)
    return train(architecture, judged, Fidelity(30), folder / "trial", batch=4, settings=still), dataset
