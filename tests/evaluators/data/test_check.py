"""Checking a dataset: what is missing is named, what is there is counted."""

import pytest
from PIL import Image

from evaluators.data import DatasetError, check_dataset, load_dataset
from evaluators.data.labels import label_path


def test_missing_labels_images_and_folders_are_named(tmp_path, write_yolo):
    path = write_yolo(tmp_path)
    dataset = load_dataset(path)
    label_path(dataset.val[0]).unlink()
    with pytest.raises(
        DatasetError, match="val has 1 images and not one box; the labels of .*one.png are expected in .*one.txt"
    ):
        check_dataset(dataset)
    dataset.train[0].write_text("no image")
    with pytest.raises(DatasetError, match="one.png: not an image that can be read"):
        check_dataset(dataset)
    dataset.train[0].unlink()
    with pytest.raises(DatasetError, match="train has no images in"):
        load_dataset(path)


def test_images_without_labels_are_background(tmp_path, write_yolo):
    path = write_yolo(tmp_path)
    Image.new("RGB", (40, 30)).save(tmp_path / "images" / "train" / "two.png")
    summary = check_dataset(load_dataset(path))
    assert summary.boxes_by_class == {"train": {"a": 1, "b": 0}, "val": {"a": 1, "b": 0}}
    assert summary.background == {"train": 1, "val": 0} and "1 images without a box" in str(summary)
