"""Datasets: conversions keep boxes, and everything wrong is named with its file and line."""

import json

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from evaluators.dataset import (
    DatasetError,
    check_dataset,
    coco_ground_truth,
    convert_coco,
    convert_voc,
    label_path,
    load_dataset,
)


def write_yolo(root, labels="0 0.5 0.5 0.2 0.2\n", names=("a", "b")):
    for split in ("train", "val"):
        for kind in ("images", "labels"):
            (root / kind / split).mkdir(parents=True)
        Image.new("RGB", (40, 30)).save(root / "images" / split / "one.png")
        (root / "labels" / split / "one.txt").write_text(labels)
    content = {"train": "images/train", "val": "images/val", "names": list(names)}
    (root / "data.yaml").write_text(yaml.safe_dump(content))
    return root / "data.yaml"


def write_voc(root, boxes, size=(50, 40)):
    for folder in ("Annotations", "JPEGImages", "ImageSets/Main"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for split in ("train", "val"):
        Image.new("RGB", size).save(root / "JPEGImages" / f"{split}0.jpg")
        objects = "".join(
            f"<object><name>{name}</name><bndbox><xmin>{x1}</xmin><ymin>{y1}</ymin><xmax>{x2}</xmax><ymax>{y2}</ymax>"
            "</bndbox></object>"
            for name, x1, y1, x2, y2 in boxes
        )
        (root / "Annotations" / f"{split}0.xml").write_text(f"<annotation>{objects}</annotation>")
        (root / "ImageSets" / "Main" / f"{split}.txt").write_text(f"{split}0\n")
    return root


def write_coco(path, boxes, size=(50, 40), categories=((7, "b"), (3, "a"))):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = f"{path.stem}.png"
    Image.new("RGB", size).save(path.parent / image)
    document = {
        "images": [{"id": 11, "file_name": image, "width": size[0], "height": size[1]}],
        "annotations": [
            {"id": i, "image_id": 11, "category_id": category, "bbox": box} for i, (category, box) in enumerate(boxes)
        ],
        "categories": [{"id": i, "name": name} for i, name in categories],
    }
    path.write_text(json.dumps(document))
    return path


corner = st.tuples(st.integers(1, 24), st.integers(1, 19), st.integers(25, 50), st.integers(20, 40))


@given(st.lists(st.tuples(st.sampled_from(["cat", "dog"]), corner), min_size=1, max_size=4))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_voc_boxes_arrive_unchanged(tmp_path_factory, found):
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


def test_voc_boxes_are_cut_to_their_image_and_counted(tmp_path):
    write_voc(tmp_path / "voc", [("cat", 1, 1, 99, 40), ("cat", 60, 5, 70, 9)])
    converted = convert_voc(tmp_path / "voc", tmp_path / "out")
    assert (converted.clipped, converted.dropped) == (4, 2)
    assert "4 boxes cut to their image, 2 without area dropped" in str(converted)
    assert check_dataset(load_dataset(converted.yaml_path)).boxes == {"train": 1, "val": 1}


def test_coco_json_is_a_dataset(tmp_path, monkeypatch):
    monkeypatch.setenv("EVOYOLO_CACHE", str(tmp_path / "cache"))
    train = write_coco(tmp_path / "train.json", [(7, [1, 2, 10, 20])])
    val = write_coco(tmp_path / "val.json", [(3, [5, 5, 8, 8]), (7, [0, 0, 50, 40])])
    dataset = load_dataset(f"{train}:{val}")
    assert dataset.names == ("a", "b")
    truth = coco_ground_truth(dataset)
    assert [(a["category_id"], [round(v, 2) for v in a["bbox"]]) for a in truth["annotations"]] == [
        (0, [5, 5, 8, 8]),
        (1, [0, 0, 50, 40]),
    ]
    assert load_dataset(f"{train}:{val}").root == dataset.root  # converted once


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.pop("images"), "has no list of images"),
        (lambda d: d["annotations"][0].update(image_id=5), r"annotations\[0\]: image_id 5 is not among the images"),
        (lambda d: d["annotations"][0].update(category_id=5), "category_id 5 is not among the categories"),
        (lambda d: d["annotations"][0].update(bbox=[1, 2, 3]), "bbox .* is not x, y, width, height"),
        (lambda d: d["annotations"][0].pop("bbox"), r"annotations\[0\] has no bbox"),
        (lambda d: d["images"][0].update(file_name="gone.png"), "image gone.png was found neither"),
    ],
)
def test_wrong_coco_json_is_named(tmp_path, change, message):
    path = write_coco(tmp_path / "x.json", [(7, [1, 2, 10, 20])])
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))
    with pytest.raises(DatasetError, match=message):
        convert_coco(f"{path}:{path}", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ("0 0.5 0.5 0.2 0.2\n2 0.5 0.5 0.2 0.2\n", "one.txt, line 2: class 2 is out of range; there are classes 0 to 1"),
        ("0 0.5 0.5 0.2\n", "line 1: has 4 columns"),
        ("0 0.5 x 0.2 0.2\n", "line 1: '0 0.5 x 0.2 0.2' is not five numbers"),
        ("0 0.95 0.5 0.2 0.2\n", "line 1: the box lies outside the image"),
        ("0 0.5 0.5 0 0.2\n", "line 1: the box has width 0"),
        ("0 0.5 0.5 nan 0.2\n", "line 1: .* holds a number that is not finite"),
        ("0.5 0.5 0.5 0.2 0.2\n", "line 1: class 0.5 is out of range"),
        ("", "train has 1 images and not one box"),
    ],
)
def test_wrong_labels_are_named_with_their_line(tmp_path, labels, message):
    with pytest.raises(DatasetError, match=message):
        check_dataset(load_dataset(write_yolo(tmp_path, labels)))


def test_missing_labels_images_and_folders_are_named(tmp_path):
    path = write_yolo(tmp_path)
    dataset = load_dataset(path)
    label_path(dataset.val[0]).unlink()
    with pytest.raises(DatasetError, match="val has 1 images and not one box; the labels of .*one.png are expected in .*one.txt"):
        check_dataset(dataset)
    dataset.train[0].write_text("no image")
    with pytest.raises(DatasetError, match="one.png: not an image that can be read"):
        check_dataset(dataset)
    dataset.train[0].unlink()
    with pytest.raises(DatasetError, match="train has no images in"):
        load_dataset(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("names: [a\ntrain: x", "line 2: not valid YAML"),
        ("train: images/train\nval: images/val\n", "names must list the classes"),
        ("train: images/train\nval: images/val\nnames: {0: a, 2: b}\n", "names must list the classes"),
        ("train: images/train\nval: images/val\nnames: [a]\nnc: 2\n", "nc is 2 but names has 1"),
        ("train: images/train\nnames: [a]\n", "val must name a folder"),
        ("train: nowhere\nval: images/val\nnames: [a]\n", "train names .*nowhere, which is neither a folder"),
        ("[1]", "must hold the fields"),
    ],
)
def test_wrong_data_files_are_named(tmp_path, text, message):
    path = write_yolo(tmp_path)
    path.write_text(text)
    with pytest.raises(DatasetError, match=message):
        load_dataset(path)


def test_images_without_labels_are_background(tmp_path):
    path = write_yolo(tmp_path)
    Image.new("RGB", (40, 30)).save(tmp_path / "images" / "train" / "two.png")
    summary = check_dataset(load_dataset(path))
    assert summary.background == {"train": 1, "val": 0} and "1 images without a box" in str(summary)


def test_lists_of_images_are_a_split(tmp_path):
    path = write_yolo(tmp_path)
    (tmp_path / "train.txt").write_text("./images/train/one.png\n")
    path.write_text("train: train.txt\nval: images/val\nnames: [a, b]\n")
    assert check_dataset(load_dataset(path)).images == {"train": 1, "val": 1}


def test_what_is_no_dataset_is_named():
    with pytest.raises(DatasetError, match="a dataset is digits, a data.yaml, or COCO json"):
        load_dataset("coco")
    with pytest.raises(DatasetError, match="none.yaml: cannot be read"):
        load_dataset("none.yaml")


def test_annotations_with_entities_are_refused(tmp_path):
    write_voc(tmp_path / "voc", [("cat", 1, 1, 9, 9)])
    (tmp_path / "voc" / "Annotations" / "val0.xml").write_text('<!DOCTYPE a [<!ENTITY b "c">]><annotation>&b;</annotation>')
    with pytest.raises(DatasetError, match="val0.xml: declares a document type"):
        convert_voc(tmp_path / "voc", tmp_path / "out")
