"""COCO's regions: the same corners as pycocotools finds, and whatever is none of them is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as reference

from evaluators.data import DatasetError
from evaluators.data.coco_regions import region_corners


def xywh(segmentation):
    x1, y1, x2, y2 = region_corners({"segmentation": segmentation}, "here")
    return [x1, y1, x2 - x1, y2 - y1]


@given(st.integers(1, 9), st.integers(1, 9), st.data())
def test_masks_have_the_box_that_pycocotools_gives(height, width, data):
    pixels = data.draw(st.lists(st.booleans(), min_size=height * width, max_size=height * width))
    encoded = reference.encode(np.asfortranarray(np.array(pixels, np.uint8).reshape(height, width)))
    expected = reference.toBbox(encoded).tolist()
    flat = np.array(pixels, np.uint8).reshape(height, width).ravel(order="F")
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flat])))
    runs = np.diff(np.concatenate([[0], edges, [flat.size]])).tolist()
    assert xywh({"size": [height, width], "counts": runs}) == expected
    assert xywh({"size": [height, width], "counts": encoded["counts"].decode()}) == expected


def test_a_long_run_is_read(height=3000, width=2000):
    pixels = np.zeros((height, width), np.uint8, order="F")
    pixels[1000:2500, 700:1900] = 1
    encoded = reference.encode(pixels)
    assert xywh({"size": [height, width], "counts": encoded["counts"].decode()}) == [700, 1000, 1200, 1500]


@pytest.mark.parametrize(
    ("segmentation", "expected"),
    [
        ([[5, 5, 20, 5, 20, 20]], [5, 5, 15, 15]),
        ([[5, 5, 20, 5, 20, 20], [0, 7, 1, 8, 1, 9]], [0, 5, 20, 15]),
        ([5, 5, 20, 5, 20, 20], [5, 5, 15, 15]),  # a single polygon, bare
    ],
)
def test_polygons_have_the_box_around_them(segmentation, expected):
    assert xywh(segmentation) == expected
    assert region_corners({"segmentation": segmentation, "bbox": [1, 2, 3, 4]}, "here") == (1, 2, 4, 6)


@pytest.mark.parametrize(
    "segmentation",
    [
        [[1, 2, 3, 4]],
        [[1, 2, 3, 4, 5, 6, 7]],
        [[1, 2, 3, 4, 5, "6"]],
        [[1, 2, 3, 4, 5, True]],
        [[]],
        "polygon",
        {"size": [2, 2], "counts": [1, 2]},
        {"size": [2, 2], "counts": [9, -5]},
        {"size": [2, 2], "counts": "~"},
        {"size": [2, 2], "counts": "oooooooooooooooooooooooo"},
        {"size": "big", "counts": [4]},
        {"counts": [4]},
    ],
)
def test_other_segmentations_are_refused(segmentation):
    with pytest.raises(DatasetError, match="here has no bbox, and its segmentation .* is neither polygons nor a mask"):
        region_corners({"segmentation": segmentation}, "here")


@pytest.mark.parametrize("box", [[1, 2, 3], [1, 2, 3, "4"], [1, 2, 3, float("inf")], "1 2 3 4", {}, [True, 1, 1, 1]])
def test_other_boxes_are_refused(box):
    with pytest.raises(DatasetError, match="here: bbox .* is not x, y, width, height"):
        region_corners({"bbox": box, "segmentation": [[5, 5, 20, 5, 20, 20]]}, "here")


@pytest.mark.parametrize("annotation", [{}, {"bbox": None}, {"bbox": [], "segmentation": []}])
def test_an_annotation_without_a_region_is_refused(annotation):
    with pytest.raises(DatasetError, match="here has no bbox, and no segmentation"):
        region_corners(annotation, "here")
