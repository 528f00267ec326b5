"""Calibration images: of a dataset or of what names one."""

import numpy as np
import pytest
import torch
from PIL import Image

from evaluators.accuracy.detections import detect
from evaluators.data import calibration_images, load_dataset


def test_they_are_training_images(small_data):
    dataset = load_dataset(small_data)
    images = calibration_images(dataset, count=4, size=32)
    assert images.shape == (4, 3, 32, 32) and images.dtype == np.float32
    assert 0 <= images.min() < images.max() <= 1
    assert np.array_equal(images, calibration_images(str(small_data), count=4, size=32))
    assert not np.array_equal(images[0], images[1])


def test_no_more_than_there_are(small_data):
    assert len(calibration_images(small_data, count=1000, size=32)) == 16


def test_they_are_what_the_network_sees_when_it_is_judged(tmp_path, write_yolo):
    """Letterboxed, by the reader of training: 16 bits become 8, where Pillow's conversion cuts all above 255."""
    path = write_yolo(tmp_path)
    grey = np.full((30, 40), 2000, np.uint16)
    Image.fromarray(grey).save(tmp_path / "images" / "train" / "one.png")
    image = calibration_images(path, count=1, size=64)[0]
    seen = []

    class Network:
        image_size = None

        def __call__(self, images):
            seen.append(images)
            return torch.zeros(1, 6, 0)

    detect(Network(), load_dataset(path).train, 64)
    assert np.array_equal(image, seen[0][0].numpy())
    assert image[:, 32, 32] == pytest.approx([2000 // 256 / 255] * 3) and image[:, 0, 0] == pytest.approx(
        [114 / 255] * 3
    )
