"""Datasets: conversions keep boxes, and everything wrong is named with its file and line."""

import json

import cv2
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

import evaluators.data.dataset
from evaluators.data.dataset import (
    DatasetError,
    check_dataset,
    coco_ground_truth,
    convert_coco,
    convert_voc,
    image_size,
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


box = st.tuples(st.floats(0, 20), st.floats(0, 15), st.floats(1, 30), st.floats(1, 25))


@given(st.lists(st.tuples(st.sampled_from([3, 7]), box), min_size=1, max_size=4))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_coco_boxes_arrive_unchanged(tmp_path_factory, found):
    root = tmp_path_factory.mktemp("coco")
    path = write_coco(root / "x.json", [(category, list(xywh)) for category, xywh in found])
    dataset = load_dataset(f"{path}:{path}", cache_directory=root / "cache")
    arrived = coco_ground_truth(dataset)["annotations"]
    assert [a["category_id"] for a in arrived] == [{3: 0, 7: 1}[category] for category, _ in found]
    for (_, xywh), annotation in zip(found, arrived):
        assert annotation["bbox"] == pytest.approx(xywh, abs=1e-3)
        assert annotation["area"] == pytest.approx(xywh[2] * xywh[3], abs=0.01)


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
        (lambda d: d["images"][0].update(file_name=5), r"images\[0\] has the file_name 5, which COCO does not allow"),
        (lambda d: d["images"][0].update(id=[1]), r"images\[0\] has the id \[1\]"),
        (lambda d: d["images"].append(d["images"][0]), "several images have the same id"),
        (lambda d: d["images"].clear(), "list of images is empty"),
        (lambda d: d["categories"].append({"id": "q", "name": "z"}), r"categories\[2\] has the id 'q'"),
        (lambda d: d["annotations"][0].update(bbox=[float("nan"), 1, 2, 3]), r"bbox \[nan, 1, 2, 3\] is not x, y"),
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


def test_coco_files_that_number_categories_differently_are_refused(tmp_path):
    train = write_coco(tmp_path / "train.json", [(7, [1, 2, 10, 20])])
    val = write_coco(tmp_path / "val.json", [(7, [1, 2, 10, 20])], categories=((7, "z"), (3, "a")))
    with pytest.raises(DatasetError, match="val.json: category 7 is 'z' here and 'b' before"):
        load_dataset(f"{train}:{val}", cache_directory=tmp_path / "cache")


def test_crowds_are_left_out_and_a_byte_order_mark_is_no_matter(tmp_path):
    path = write_coco(tmp_path / "x.json", [(7, [1, 2, 10, 20])])
    document = json.loads(path.read_text())
    document["annotations"].append({"image_id": 11, "category_id": 3, "bbox": [0, 0, 50, 40], "iscrowd": 1})
    path.write_text(json.dumps(document), encoding="utf-8-sig")
    dataset = load_dataset(f"{path}:{path}", cache_directory=tmp_path / "cache")
    assert check_dataset(dataset).boxes_by_class == {"train": {"a": 0, "b": 1}, "val": {"a": 0, "b": 1}}


def test_one_json_is_split_the_same_way_every_time(tmp_path):
    Image.new("RGB", (50, 40)).save(tmp_path / "any.png")
    document = {"images": [], "annotations": [], "categories": [{"id": 1, "name": "a"}]}
    for i in range(60):
        (tmp_path / f"{i}.png").hardlink_to(tmp_path / "any.png")
        document["images"].append({"id": i, "file_name": f"{i}.png"})
        document["annotations"].append({"image_id": i, "category_id": 1, "bbox": [1, 2, 3, 4]})
    path = tmp_path / "all.json"
    path.write_text(json.dumps(document))
    splits = []
    for cache in ("a", "b"):
        dataset = load_dataset(path, cache_directory=tmp_path / cache)
        train, val = ({image.name for image in split} for split in (dataset.train, dataset.val))
        assert not train & val and len(train | val) == 60 and 4 <= len(val) <= 20
        splits.append((train, val))
    assert splits[0] == splits[1]


def test_a_conversion_survives_a_faster_process(tmp_path, monkeypatch):
    path = write_coco(tmp_path / "x.json", [(7, [1, 2, 10, 20])])
    source, cache, read = f"{path}:{path}", tmp_path / "cache", evaluators.data.dataset._read_coco

    def read_while_another_finishes(file):
        monkeypatch.setattr(evaluators.data.dataset, "_read_coco", read)
        load_dataset(source, cache_directory=cache)
        return read(file)

    monkeypatch.setattr(evaluators.data.dataset, "_read_coco", read_while_another_finishes)
    dataset = load_dataset(source, cache_directory=cache)
    assert check_dataset(dataset).boxes == {"train": 1, "val": 1}
    assert list(cache.iterdir()) == [dataset.root]  # no half-made one beside it


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
def test_wrong_labels_are_named_with_their_line(tmp_path, labels, message):
    with pytest.raises(DatasetError, match=message):
        check_dataset(load_dataset(write_yolo(tmp_path, labels)))


def test_missing_labels_images_and_folders_are_named(tmp_path):
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


def test_images_too_small_to_train_on_are_named(tmp_path):
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
        ("train: images/train\nval: images/val\nnames: {0: a, x: b}\n", "names must list the classes"),
        ("train: images/train\nval: images/val\nnames: [a, b, a]\n", "names has 'a' more than once"),
        (
            "train: images/train\nval: images/val\nnames: [a]\nmade: 2020-13-45\n",
            "not valid YAML .month must be in 1..12",
        ),
        ("[" * 1100, "not valid YAML"),
        (
            "path: nowhere\ntrain: images/train\nval: images/val\nnames: [a]\n",
            "path names nowhere, but there is no folder",
        ),
        ("names: !!python/object/apply:os.getcwd []\n", "line 1: not valid YAML"),
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
    assert summary.boxes_by_class == {"train": {"a": 1, "b": 0}, "val": {"a": 1, "b": 0}}
    assert summary.background == {"train": 1, "val": 0} and "1 images without a box" in str(summary)


def test_lists_of_images_are_a_split(tmp_path):
    path = write_yolo(tmp_path)
    (tmp_path / "train.txt").write_text("./images/train/one.png\n\nnotes.md\n", encoding="utf-8-sig")
    path.write_text("train: train.txt\nval: images/val\nnames: [a, b]\n")
    assert check_dataset(load_dataset(path)).images == {"train": 1, "val": 1}


@pytest.mark.parametrize(
    "text",
    [
        "train: ../images/train\nval: ../images/val\nnames: [a, b]\n",  # Roboflow's
        "train: images/train\nvalidation: images/val\nnames: [a, b]\n",
        "path: elsewhere\ntrain: images/train\nval: images/val\nnames: [a, b]\n",  # of the working directory
        "train: images/train\nval: [images/val]\nnames: {0: a, 1: b}\ndownload: raise SystemExit\n",
    ],
)
def test_what_ultralytics_understands_is_understood(tmp_path, monkeypatch, text):
    path = write_yolo(tmp_path / "work" / "elsewhere")
    monkeypatch.chdir(tmp_path / "work")
    if "elsewhere" in text:
        path = tmp_path / "data.yaml"
    path.write_text(text, encoding="utf-8-sig")
    dataset = load_dataset(path)
    assert check_dataset(dataset).images == {"train": 1, "val": 1}
    assert dataset.data_dict()["val"] == [str(tmp_path / "work" / "elsewhere" / "images" / "val")]


def test_hidden_files_are_no_images(tmp_path):
    path = write_yolo(tmp_path)
    (tmp_path / "images" / "train" / "._one.png").write_text("what macOS leaves in archives")
    assert check_dataset(load_dataset(path)).images == {"train": 1, "val": 1}


def test_what_is_no_dataset_is_named():
    with pytest.raises(DatasetError, match="a dataset is digits, a data.yaml, or COCO json"):
        load_dataset("coco")
    with pytest.raises(DatasetError, match="none.yaml: cannot be read"):
        load_dataset("none.yaml")


def test_annotations_with_entities_are_refused(tmp_path):
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
        ("Annotations/val0.xml", '<?xml version="1.0" encoding="klingon"?><annotation/>', "val0.xml.*: not valid XML"),
        ("ImageSets/Main/val.txt", "", "val.txt: lists no image"),
        ("ImageSets/Main/val.txt", "gone", "gone.xml: cannot be read"),
        ("JPEGImages/val0.jpg", "no image", "val0.jpg: not an image that can be read"),
    ],
)
def test_wrong_voc_files_are_named(tmp_path, file, content, message):
    write_voc(tmp_path / "voc", [("cat", 1, 1, 9, 9)])
    (tmp_path / "voc" / file).write_text(content)
    with pytest.raises(DatasetError, match=message):
        convert_voc(tmp_path / "voc", tmp_path / "out")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["voc"]


@pytest.mark.parametrize("value", ["nan", "inf", "x", ""])
def test_voc_boxes_of_no_numbers_are_refused(tmp_path, value):
    write_voc(tmp_path / "voc", [("cat", value, 1, 9, 9)])
    with pytest.raises(DatasetError, match="train0.xml: an object has no name, or no box of four numbers"):
        convert_voc(tmp_path / "voc", tmp_path / "out")


def test_voc_without_objects_or_into_an_existing_folder_is_refused(tmp_path):
    write_voc(tmp_path / "voc", [])
    with pytest.raises(DatasetError, match="hold not one object"):
        convert_voc(tmp_path / "voc", tmp_path / "out")
    with pytest.raises(DatasetError, match="voc exists; name a folder that does not"):
        convert_voc(tmp_path / "voc", tmp_path / "voc")


def test_voc_files_say_their_encoding_and_list_an_image_once(tmp_path):
    write_voc(tmp_path / "voc", [("cat", 1, 1, 9, 9)])
    annotation = (tmp_path / "voc" / "Annotations" / "val0.xml").read_text().replace("cat", "café")
    text = f'<?xml version="1.0" encoding="ISO-8859-1"?>{annotation}'
    (tmp_path / "voc" / "Annotations" / "val0.xml").write_text(text, encoding="latin-1")
    (tmp_path / "voc" / "ImageSets" / "Main" / "val.txt").write_text("val0\nval0\n")
    converted = convert_voc(tmp_path / "voc", tmp_path / "out")
    assert converted.images == {"train": 1, "val": 1}
    assert load_dataset(converted.yaml_path).names == ("café", "cat")
