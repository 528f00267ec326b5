"""Pascal VOC: boxes arrive unchanged, and everything wrong is named with its file and line."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evaluators.data import DatasetError, check_dataset, coco_ground_truth, convert_voc, load_dataset

corner = st.tuples(st.integers(1, 24), st.integers(1, 19), st.integers(25, 50), st.integers(20, 40))


@given(st.lists(st.tuples(st.sampled_from(["cat", "dog"]), corner), min_size=1, max_size=4, unique=True))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_voc_boxes_arrive_unchanged(tmp_path_factory, write_voc, found):
    root = tmp_path_factory.mktemp("voc")
    write_voc(root / "voc", [(name, *box) for name, box in found])
    converted = convert_voc(root / "voc", root / "out")
    assert (converted.clipped, converted.dropped, converted.boxes["val"]) == (0, 0, len(found))
    dataset = load_dataset(converted.yaml_path)
    truth = coco_ground_truth(dataset)
    arrived = [(dataset.names[a["category_id"]], *a["bbox"]) for a in truth["annotations"]]
    for (name, (x1, y1, x2, y2)), (arrived_name, x, y, w, h) in zip(found, arrived):
        assert arrived_name == name
        assert (x, y, x + w, y + h) == pytest.approx((x1 - 1, y1 - 1, x2, y2), abs=0.01)


def test_voc_boxes_are_cut_to_their_image_and_counted(tmp_path, write_voc):
    write_voc(tmp_path / "voc", [("cat", 1, 1, 99, 40), ("cat", 60, 5, 70, 9)])
    converted = convert_voc(tmp_path / "voc", tmp_path / "out")
    assert (converted.clipped, converted.dropped) == (2, 2)
    told = ["2 boxes cut to their image", "2 boxes without area in their image dropped"]
    assert str(converted).splitlines()[2:] == told
    assert json.loads((tmp_path / "out" / "notes.json").read_text()) == told
    assert check_dataset(load_dataset(converted.yaml_path)).boxes == {"train": 1, "val": 1}


def test_annotations_with_entities_are_refused(tmp_path, write_voc):
    write_voc(tmp_path / "voc", [("cat", 1, 1, 9, 9)])
    (tmp_path / "voc" / "Annotations" / "val0.xml").write_text(
        '<!DOCTYPE a [<!ENTITY b "c">]><annotation>&b;</annotation>'
    )
    with pytest.raises(DatasetError, match="val0.xml: declares a document type"):
        convert_voc(tmp_path / "voc", tmp_path / "out")


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("Annotations/val0.xml", "<annotation>", "val0.xml, line 1: not valid XML"),
        ("Annotations/val0.xml", '<?xml version="1.0" encoding="klingon"?><a', "val0.xml.*: not valid XML"),
        ("Annotations/val0.xml", "<project/>", "val0.xml: is <project>, not an <annotation>"),
        ("ImageSets/Main/val.txt", "", "val.txt: lists no image"),
        ("ImageSets/Main/val.txt", "gone", "val.txt: lists 'gone', of which there is neither"),
        ("JPEGImages/val0.jpg", "no image", "val0.jpg: not an image that can be read"),
    ],
)
def test_wrong_voc_files_are_named(tmp_path, file, content, message, write_voc):
    write_voc(tmp_path / "voc", [("cat", 1, 1, 9, 9)])
    (tmp_path / "voc" / file).write_text(content)
    with pytest.raises(DatasetError, match=message):
        convert_voc(tmp_path / "voc", tmp_path / "out")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["voc"]


@pytest.mark.parametrize("value", ["nan", "inf", "x", ""])
def test_voc_boxes_of_no_numbers_are_refused(tmp_path, value, write_voc):
    write_voc(tmp_path / "voc", [("cat", value, 1, 9, 9)])
    with pytest.raises(DatasetError, match="train0.xml: object 1 has the xmin .* in its bndbox; it must be a number"):
        convert_voc(tmp_path / "voc", tmp_path / "out")


def test_voc_without_objects_or_into_an_existing_folder_is_refused(tmp_path, write_voc):
    write_voc(tmp_path / "voc", [])
    with pytest.raises(DatasetError, match="hold not one object"):
        convert_voc(tmp_path / "voc", tmp_path / "out")
    with pytest.raises(DatasetError, match="voc exists; name a folder that does not"):
        convert_voc(tmp_path / "voc", tmp_path / "voc")


def test_voc_files_say_their_encoding_and_list_an_image_once(tmp_path, write_voc):
    write_voc(tmp_path / "voc", [("cat", 1, 1, 9, 9)])
    annotation = (tmp_path / "voc" / "Annotations" / "val0.xml").read_text().replace("cat", "café")
    text = f'<?xml version="1.0" encoding="ISO-8859-1"?>{annotation}'
    (tmp_path / "voc" / "Annotations" / "val0.xml").write_text(text, encoding="latin-1")
    (tmp_path / "voc" / "ImageSets" / "Main" / "val.txt").write_text("val0\nval0\n")
    converted = convert_voc(tmp_path / "voc", tmp_path / "out")
    assert converted.images == {"train": 1, "val": 1}
    assert load_dataset(converted.yaml_path).names == ("café", "cat")
