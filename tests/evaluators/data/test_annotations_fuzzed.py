"""Damaged COCO json and VOC folders: converted, or refused with one DatasetError of one line."""

import copy
import json
import os
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evaluators.data import DatasetError, check_dataset, convert_coco, convert_voc, load_dataset

fuzz = settings(
    max_examples=int(os.environ.get("EVOYOLO_FUZZ", 100)),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
HOSTILE = st.sampled_from(
    [None, True, 0, 1, -1, 1.0, 1.5, 1e308, -1e308, 10**30, "", "1", "x", "\\", "../x", "a\nb", "\x1b[31m", "é", [], {}]
    + [[[]], [1, 2, 3], [0, 0, 1e308, 1e308], [5, 5, -1, -1], [[1, 1, 9, 1, 9, 9]], {"size": [9, 9], "counts": [80, 1]}]
)
WORDS = st.sampled_from(
    [b"", b"-1", b"0", b"7", b"50", b"40.5", b"x", b"x.jpg", b"nan", b"1e308", b"1e999", b"\xc3\xa9"]
)
PIECES = st.sampled_from(
    [
        b"",
        b"\0",
        b"\xff",
        b"\xef\xbb\xbf",
        b"<",
        b">",
        b"&a;",
        b"<!DOCTYPE a>",
        b'"',
        b"[",
        b"{",
        b"]",
        b"}",
        b",",
        b"-1",
    ]
    + [b"NaN", b"1e999", b"9" * 400, b"[" * 3000, b"\\ud800", b"<a>" * 3000, b"<object/>", b"<filename>..</filename>"]
)


@st.composite
def cuts(draw, content):
    """`content` with some of its words, or some pieces of it, replaced by others."""
    by_word = draw(st.booleans())
    for _ in range(draw(st.integers(1, 3))):
        word = rb"(?<=>)[^<>]+(?=</)" if content.startswith(b"<") else rb"[\w.]+"
        words = [match.span() for match in re.finditer(word, content)]
        if words and by_word:
            start, end = draw(st.sampled_from(words))
        else:
            start = draw(st.integers(0, len(content)))
            end = start + draw(st.sampled_from([0, 0, 1, 2, 10, len(content)]))
        content = content[:start] + draw(WORDS if by_word else PIECES) + content[end:]
    return content


@st.composite
def changed_values(draw, document):
    """A copy of a document with some of its values replaced, dropped or added."""
    document = json.loads(json.dumps(document))
    for _ in range(draw(st.integers(1, 3))):
        within = document
        while True:
            keys = list(within) if isinstance(within, dict) else list(range(len(within)))
            key = draw(st.sampled_from(keys)) if keys else None
            if key is None or not isinstance(within[key], (dict, list)) or draw(st.integers(0, 5)) == 0:
                break
            within = within[key]
        if key is None:
            continue
        action = draw(st.sampled_from(["replace", "replace", "drop", "double"]))
        if action == "replace":
            within[key] = copy.deepcopy(draw(HOSTILE))
        elif action == "drop":
            del within[key]
        elif isinstance(within, list):
            within.append(within[key])
    return document


def accepted_or_refused(convert, root):
    """What is converted can be used as it is; what is not leaves nothing behind."""
    try:
        yaml_path = convert(root / "out").yaml_path
    except DatasetError as error:
        assert "\n" not in str(error) and len(str(error)) < 1000
        assert not (root / "out").exists()
        return
    try:
        check_dataset(load_dataset(yaml_path))
    except DatasetError as error:
        assert "not one box" in str(error)


@pytest.mark.slow
@given(st.data())
@fuzz
def test_damaged_coco_json_is_converted_or_refused(tmp_path_factory, write_coco, data):
    root = tmp_path_factory.mktemp("coco")
    path = write_coco(root / "x.json", [(7, [1, 2, 10, 20]), (3, [5, 5, 9, 9])])
    document = json.loads(path.read_text())
    document["annotations"][0] |= {"segmentation": [[1, 1, 9, 1, 9, 9]], "iscrowd": 0, "area": 5}
    document["annotations"].append({"image_id": 11, "category_id": 7, "segmentation": {"size": [2, 2], "counts": "13"}})
    if data.draw(st.booleans()):
        path.write_text(json.dumps(data.draw(changed_values(document))))
    else:
        path.write_bytes(data.draw(cuts(json.dumps(document).encode())))
    accepted_or_refused(lambda out: convert_coco(f"{path}:{path}", out), root)


@pytest.mark.slow
@given(st.data())
@fuzz
def test_damaged_voc_is_converted_or_refused(tmp_path_factory, write_voc, data):
    root = tmp_path_factory.mktemp("voc")
    voc = write_voc(root / "voc", [("cat", 1, 1, 9, 9), ("dog", 5, 5, 20, 20)])
    file = data.draw(st.sampled_from(["Annotations/val0.xml", "Annotations/train0.xml", "ImageSets/Main/val.txt"]))
    content = (voc / file).read_bytes()
    if file.endswith(".xml"):
        content = content.replace(
            b"<object>", b"<filename>x.jpg</filename><size><width>50</width><height>40</height></size><object>", 1
        )
    (voc / file).write_bytes(data.draw(cuts(content)))
    accepted_or_refused(lambda out: convert_voc(voc, out), root)
