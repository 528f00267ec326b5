"""COCO json: boxes arrive unchanged, and everything wrong is named."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from evaluators.data import DatasetError, check_dataset, coco_ground_truth, coco_json, convert_coco, load_dataset

box = st.tuples(st.floats(0, 20), st.floats(0, 15), st.floats(1, 30), st.floats(1, 25))


@given(st.lists(st.tuples(st.sampled_from([3, 7]), box), min_size=1, max_size=4, unique=True))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_coco_boxes_arrive_unchanged(tmp_path_factory, write_coco, found):
    root = tmp_path_factory.mktemp("coco")
    path = write_coco(root / "x.json", [(category, list(xywh)) for category, xywh in found])
    dataset = load_dataset(f"{path}:{path}", cache_directory=root / "cache")
    arrived = coco_ground_truth(dataset)["annotations"]
    assert [a["category_id"] for a in arrived] == [{3: 0, 7: 1}[category] for category, _ in found]
    for (_, xywh), annotation in zip(found, arrived):
        assert annotation["bbox"] == pytest.approx(xywh, abs=1e-3)
        assert annotation["area"] == pytest.approx(xywh[2] * xywh[3], abs=0.01)


def test_coco_json_is_a_dataset(tmp_path, monkeypatch, write_coco):
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
        (lambda d: d["images"][0].update(file_name="gone.png"), "image 'gone.png' was found neither"),
        (lambda d: d["images"][0].update(file_name=5), r"images\[0\] has the file_name 5; it must be text"),
        (lambda d: d["images"][0].update(id=[1]), r"images\[0\] has the id \[1\]"),
        (lambda d: d["images"].append(d["images"][0]), "several images have the same id"),
        (lambda d: d["images"].clear(), "list of images is empty"),
        (lambda d: d["categories"].append({"id": "q", "name": "z"}), r"categories\[2\] has the id 'q'"),
        (
            lambda d: d["annotations"][0].update(bbox=[float("nan"), 1, 2, 3]),
            r"x.json: not valid JSON \(NaN is no finite number",
        ),
    ],
)
def test_wrong_coco_json_is_named(tmp_path, change, message, write_coco):
    path = write_coco(tmp_path / "x.json", [(7, [1, 2, 10, 20])])
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))
    with pytest.raises(DatasetError, match=message):
        convert_coco(f"{path}:{path}", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_coco_files_that_number_categories_differently_are_refused(tmp_path, write_coco):
    train = write_coco(tmp_path / "train.json", [(7, [1, 2, 10, 20])])
    val = write_coco(tmp_path / "val.json", [(7, [1, 2, 10, 20])], categories=((7, "z"), (3, "a")))
    with pytest.raises(DatasetError, match="val.json: category 7 is 'z' here and 'b' before"):
        load_dataset(f"{train}:{val}", cache_directory=tmp_path / "cache")


def test_crowds_are_left_out_and_a_byte_order_mark_is_no_matter(tmp_path, write_coco):
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


def test_a_conversion_survives_a_faster_process(tmp_path, monkeypatch, write_coco):
    path = write_coco(tmp_path / "x.json", [(7, [1, 2, 10, 20])])
    source, cache, read = f"{path}:{path}", tmp_path / "cache", coco_json._read_coco

    def read_while_another_finishes(file):
        monkeypatch.setattr(coco_json, "_read_coco", read)
        load_dataset(source, cache_directory=cache)
        return read(file)

    monkeypatch.setattr(coco_json, "_read_coco", read_while_another_finishes)
    dataset = load_dataset(source, cache_directory=cache)
    assert check_dataset(dataset).boxes == {"train": 1, "val": 1}
    assert list(cache.iterdir()) == [dataset.root]  # no half-made one beside it
