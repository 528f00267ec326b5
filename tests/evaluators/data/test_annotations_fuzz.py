"""Fuzzed COCO json and VOC folders: converted into a dataset that can be used, or refused in one line, leaving nothing."""

import json
import re
import shutil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluators.data import DatasetError, check_dataset, convert_coco, convert_voc, load_dataset
from tests.fuzzing import Tally, fuzzed, mutated_bytes, mutated_json

pytestmark = pytest.mark.slow

IN_XML = [
    b"",
    b"-1",
    b"0",
    b"7",
    b"50",
    b"40.5",
    b"x",
    b"b.jpg",
    b"../b",
    b"nan",
    b"1e308",
    b"1e999",
    b"\xc3\xa9",
    b"&a;",
]


@st.composite
def mutated_texts(draw, original):
    """XML with one to three of its texts replaced, which stays XML more often than `mutated_bytes` does."""
    content = original
    for _ in range(draw(st.integers(1, 3))):
        start, end = draw(st.sampled_from([m.span() for m in re.finditer(rb"(?<=>)[^<>]*(?=</)", content)]))
        content = content[:start] + draw(st.sampled_from(IN_XML)) + content[end:]
    return content


def convert_and_check(convert, out):
    """What is converted can be used as it is; what is not leaves nothing behind."""
    shutil.rmtree(out, ignore_errors=True)
    try:
        yaml_path = convert(out).yaml_path
    except DatasetError as error:
        assert not out.exists() and len(str(error)) < 1000
        raise
    try:
        check_dataset(load_dataset(yaml_path))
    except DatasetError as error:
        if "not one box" not in str(error):
            raise AssertionError(f"converted, but {error}") from error


def test_coco_json(tmp_path, write_coco):
    path = write_coco(tmp_path / "x.json", [(7, [1, 2, 10, 20]), (3, [5, 5, 9, 9])])
    document = json.loads(path.read_text())
    document["annotations"][0] |= {"segmentation": [[1, 1, 9, 1, 9, 9]], "iscrowd": 0, "area": 5}
    document["annotations"].append({"image_id": 11, "category_id": 7, "segmentation": {"size": [2, 2], "counts": "13"}})

    def read(path):
        convert_and_check(lambda out: convert_coco(f"{path}:{path}", out), tmp_path / "out")

    with Tally("COCO json") as tally:

        @fuzzed
        @given(mutated_json(document))
        def check(content):
            tally.read(read, path, content)

        check()


@pytest.mark.parametrize("file", ["Annotations/val0.xml", "ImageSets/Main/val.txt"])
def test_voc(tmp_path, write_voc, file):
    path = write_voc(tmp_path / "voc", [("cat", 1, 1, 9, 9), ("dog", 5, 5, 20, 20)]) / file
    more = b"<filename>val0.jpg</filename><size><width>50</width><height>40</height></size><object>"
    original = path.read_bytes().replace(b"<object>", more, 1)
    content = mutated_bytes(original)

    def read(_):
        convert_and_check(lambda out: convert_voc(tmp_path / "voc", out), tmp_path / "out")

    with Tally(f"VOC, {path.suffix}") as tally:

        @fuzzed
        @given(content | mutated_texts(original) if path.suffix == ".xml" else content)
        def check(content):
            tally.read(read, path, content)

        check()
