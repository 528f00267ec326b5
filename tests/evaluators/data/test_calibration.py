"""Calibration images: of a dataset or of what names one."""

import numpy as np

from evaluators.data import calibration_images, load_dataset


def test_they_are_training_images_stretched_to_a_square(small_data):
    dataset = load_dataset(small_data)
    images = calibration_images(dataset, count=4, size=32)
    assert images.shape == (4, 3, 32, 32) and images.dtype == np.float32
    assert 0 <= images.min() < images.max() <= 1
    assert np.array_equal(images, calibration_images(str(small_data), count=4, size=32))
    assert not np.array_equal(images[0], images[1])


def test_no_more_than_there_are(small_data):
    assert len(calibration_images(small_data, count=1000, size=32)) == 16
