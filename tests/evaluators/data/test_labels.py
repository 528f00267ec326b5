"""Labels: everything wrong in them is named with its line."""

import pytest

from evaluators.data import DatasetError, check_dataset, load_dataset


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (
            "0 0.5 0.5 0.2 0.2\n2 0.5 0.5 0.2 0.2\n",
            "one.txt, line 2: class 2 is out of range; there are classes 0 to 1",
        ),
        ("0 0.5 0.5 0.2\n", "line 1: has 4 columns"),
        ("0 0.5 x 0.2 0.2\n", "line 1: '0 0.5 x 0.2 0.2' is not five numbers"),
        ("0 0.95 0.5 0.2 0.2\n", "line 1: the box lies outside the image"),
        ("0 0.5 0.5 0 0.2\n", "line 1: the box has width 0"),
        ("0 0.5 0.5 nan 0.2\n", "line 1: .* holds a number that is not finite"),
        ("0 inf 0.5 0.2 0.2\n", "line 1: '0 inf 0.5 0.2 0.2' holds a number that is not finite"),
        ("nan 0.5 0.5 0.2 0.2\n", "line 1: class nan is out of range"),
        ("inf 0.5 0.5 0.2 0.2\n", "line 1: class inf is out of range"),
        ("0.5 0.5 0.5 0.2 0.2\n", "line 1: class 0.5 is out of range"),
        ("", "train has 1 images and not one box"),
    ],
)
def test_wrong_labels_are_named_with_their_line(tmp_path, labels, message, write_yolo):
    with pytest.raises(DatasetError, match=message):
        check_dataset(load_dataset(write_yolo(tmp_path, labels)))
