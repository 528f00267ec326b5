"""Images: their size is what the detector sees."""

import cv2
import pytest
from PIL import Image

from evaluators.data import DatasetError, check_dataset, load_dataset
from evaluators.data.images import image_size


def test_images_too_small_to_train_on_are_named(tmp_path, write_yolo):
    dataset = load_dataset(write_yolo(tmp_path))
    Image.new("RGB", (12, 9)).save(dataset.val[0])
    with pytest.raises(DatasetError, match="one.png: is 12 x 9 pixels; images must be at least 10 x 10"):
        check_dataset(dataset)


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_sizes_are_of_the_image_as_the_detector_sees_it(tmp_path, suffix):
    image, path = Image.new("RGB", (40, 30)), tmp_path / f"phone{suffix}"
    exif = image.getexif()
    exif[274] = 6  # lies on its side
    image.save(path, exif=exif)
    height, width, _ = cv2.imread(str(path)).shape
    assert image_size(path) == (width, height) == (30, 40)
