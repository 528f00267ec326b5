"""COCO json: boxes arrive unchanged, and everything wrong is named."""

import json

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image

from evaluators.data import DatasetError, coco_ground_truth, convert_coco, load_dataset
from search_spaces.files import read_yaml

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
            r"annotations\[0\]: bbox \[None, 1, 2, 3\] is not x, y, width, height",
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


@pytest.fixture
def converted(tmp_path, write_coco):
    """The function (**changes) that converts one image with one box, whose json has these fields changed."""

    def convert(image=(), **changes):
        path = write_coco(tmp_path / "x.json", [(7, [1, 2, 10, 20])])
        document = {**json.loads(path.read_text()), **changes}
        document["images"][0].update(image)
        path.write_text(json.dumps(document), encoding="utf-8-sig")  # a byte-order mark is no matter
        return convert_coco(f"{path}:{path}", tmp_path / "out")

    return convert


def annotation(**fields):
    return {"id": 1, "image_id": 11, "category_id": 7, "bbox": [1, 2, 10, 20], **fields}


def category(number, name, supercategory="none"):
    return {"id": number, "name": name, "supercategory": supercategory}


def labels(conversion, kind="labels"):
    """Class and corners in pixels of the rows that were written for train."""
    rows = []
    for line in (conversion.yaml_path.parent / kind / "train" / "x.txt").read_text().splitlines():
        label, x, y, w, h = map(float, line.split())
        rows.append((int(label), *(round(v, 3) for v in ((x - w / 2) * 50, (y - h / 2) * 40, w * 50, h * 40))))
    return rows


BOX = (1, 2, 10, 20)


@pytest.mark.parametrize(
    ("categories", "names", "told"),
    [
        ([category(0, "cat"), category(7, "cat", "cat")], ["cat"], "category 0 ('cat') is what others belong to"),
        ([category(0, "pets"), category(7, "cat", "pets")], ["cat"], "category 0 ('pets') is what others belong to"),
        ([category(7, "cat"), category(9, "cat")], ["cat"], "category 9 ('cat') has the name of category 7"),
        ([category(0, "dog"), category(7, "cat")], ["dog", "cat"], None),  # a class that nothing was annotated with
        ([category(1, "pets"), category(7, "cat", "pets")], ["pets", "cat"], None),
    ],
)
def test_categories_that_are_no_classes_are_dropped_and_told(converted, categories, names, told):
    conversion = converted(categories=categories)
    content = yaml.safe_load(conversion.yaml_path.read_text())
    assert list(content["names"].values()) == names
    assert labels(conversion) == [(names.index("cat"), *BOX)]
    notes = [note for note in conversion.notes if "category" in note]
    assert len(notes) == (told is not None) and all(note.startswith(told) for note in notes)


def test_two_classes_of_one_name_are_refused(converted):
    with pytest.raises(DatasetError, match="the categories 7 and 8 are both named 'cat'"):
        converted(
            categories=[category(7, "cat"), category(8, "cat")],
            annotations=[annotation(), annotation(category_id=8)],
        )


@pytest.mark.parametrize("number", [1, 1.0, "1"])
@pytest.mark.parametrize("other", [1, 1.0, "1"])
def test_whole_numbers_are_ids_however_they_are_written(converted, number, other):
    conversion = converted(
        image={"id": number},
        categories=[category(number, "cat")],
        annotations=[annotation(image_id=other, category_id=other)],
    )
    assert labels(conversion) == [(0, *BOX)]


def test_ids_that_mean_two_things_are_refused(converted):
    with pytest.raises(DatasetError, match="category 1 is 'dog' here and 'cat' before"):
        converted(categories=[category(1, "cat"), category("1", "dog")])
    with pytest.raises(DatasetError, match=r"categories\[0\] has the id 1.5; it must be a whole number"):
        converted(categories=[category(1.5, "cat")])


def test_crowds_are_kept_apart_from_boxes_and_counted(converted):
    conversion = converted(annotations=[annotation(), annotation(category_id=3, bbox=[0, 0, 50, 40], iscrowd=1)])
    assert labels(conversion) == [(1, *BOX)] and labels(conversion, "crowds") == [(0, 0, 0, 50, 40)]
    assert conversion.crowds == {"train": 1, "val": 1} and "1 crowd regions" in str(conversion)


def test_nothing_but_crowds_is_refused_as_what_it_is(converted):
    with pytest.raises(DatasetError, match="x.json: every annotation is marked iscrowd=1.*set it to 0"):
        converted(annotations=[annotation(iscrowd=1), annotation(iscrowd="1")])
    with pytest.raises(DatasetError, match=r"annotations\[0\] has the iscrowd 'perhaps'; it must be 0 or 1"):
        converted(annotations=[annotation(iscrowd="perhaps")])


@pytest.mark.parametrize(
    ("boxes", "kept", "told"),
    [
        ([[1, 2, 10, 20], [1, 2, 10, 20]], [BOX], "2 duplicates dropped"),
        ([[1, 2, 10, 20], [30, 30, -5, 5]], [BOX], "2 boxes without area dropped"),
        ([[1, 2, 10, 20], [60, 2, 5, 5]], [BOX], "2 boxes without area dropped"),
        ([[45, 2, 10, 20]], [(45, 2, 5, 20)], "2 boxes cut to their image"),
    ],
)
def test_repaired_boxes_are_counted(converted, boxes, kept, told):
    conversion = converted(annotations=[annotation(bbox=box) for box in boxes])
    assert labels(conversion) == [(1, *box) for box in kept]
    assert conversion.notes == ("1 images of val are in train too", told)


@pytest.mark.parametrize(
    ("stated", "kept"),
    [
        ({"width": 50, "height": 40}, BOX),
        ({"width": 100, "height": 80}, tuple(v / 2 for v in BOX)),  # made smaller after it was annotated
        ({"width": 0, "height": 0}, BOX),
        ({"width": None, "height": "?"}, BOX),
    ],
)
def test_boxes_are_in_pixels_of_the_size_that_the_json_states(converted, stated, kept):
    conversion = converted(image=stated)
    assert labels(conversion) == [(1, *kept)]
    assert ("2 images have another size" in str(conversion)) == (kept != BOX)


def test_an_image_of_another_shape_than_stated_is_refused(tmp_path, converted):
    with pytest.raises(DatasetError, match=r"images\[0\]: states 40 x 40 pixels, but .*x.png is shown with 50 x 40"):
        converted(image={"width": 40, "height": 40})
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.new("RGB", (40, 50)).save(tmp_path / "phone.jpg", exif=turned)
    with pytest.raises(DatasetError, match="states 40 x 50 pixels, but .*phone.jpg is shown with 50 x 40"):
        converted(image={"file_name": "phone.jpg", "width": 40, "height": 50})


@pytest.mark.parametrize("name", ["sub/y.png", "sub\\y.png", ".\\sub\\y.png"])
def test_either_separator_leads_to_an_image(tmp_path, converted, name):
    (tmp_path / "sub").mkdir()
    Image.new("RGB", (50, 40)).save(tmp_path / "sub" / "y.png")
    assert (converted(image={"file_name": name}).yaml_path.parent / "images" / "train" / "y.png").exists()


def test_images_of_one_name_are_those_of_the_json_s_own_split(tmp_path, write_coco):
    paths = [
        write_coco(tmp_path / "annotations" / f"{name}.json", [(7, [1, 2, 10, 20])]) for name in ("train", "val", "x")
    ]
    for path in paths:
        document = json.loads(path.read_text())
        document["images"][0]["file_name"] = "1.png"
        path.write_text(json.dumps(document))
    for split, shade in (("train", 10), ("val", 200)):
        (tmp_path / split).mkdir()
        Image.new("RGB", (50, 40), (shade,) * 3).save(tmp_path / split / "1.png")
    out = convert_coco(f"{paths[0]}:{paths[1]}", tmp_path / "out").yaml_path.parent
    shades = {split: Image.open(out / "images" / split / "1.png").getpixel((0, 0))[0] for split in ("train", "val")}
    assert shades == {"train": 10, "val": 200}
    with pytest.raises(DatasetError, match="'1.png' may be .*train/1.png and .*val/1.png; its file_name must say"):
        convert_coco(paths[2], tmp_path / "out2")


def test_one_image_listed_twice_has_the_boxes_of_both(converted, tmp_path):
    images = [{"id": i, "file_name": "x.png"} for i in (11, 12)]
    conversion = converted(images=images, annotations=[annotation(), annotation(image_id=12, category_id=3)])
    assert labels(conversion) == [(1, *BOX), (0, *BOX)] and conversion.images == {"train": 1, "val": 1}


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1), min_size=1, unique=True))
@example(
    ["yes", "no", "null", "~", "1e3", "010", "#", "a: b", "'", "[x]", "\x1b[31m", "\n", "a\x85", "\u2028", "\ufeff"]
)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_class_names_arrive_as_they_are_written(tmp_path_factory, write_coco, names):
    names = [name for name in names if name.strip()] or ["a"]
    root = tmp_path_factory.mktemp("names")
    path = write_coco(root / "x.json", [(0, [1, 2, 10, 20])], categories=tuple(enumerate(names)))
    written = convert_coco(f"{path}:{path}", root / "out").yaml_path
    assert yaml.safe_load(written.read_text(encoding="utf-8"))["names"] == dict(enumerate(names))
    assert read_yaml(written, text=("names",))["names"] == {str(i): name for i, name in enumerate(names)}


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


def test_few_images_are_split_too_and_one_is_refused(tmp_path):
    document = {"images": [], "annotations": [], "categories": [{"id": 1, "name": "a"}]}
    for i in range(3):
        Image.new("RGB", (50, 40)).save(tmp_path / f"{i}.png")
        document["images"].append({"id": i, "file_name": f"{i}.png"})
        document["annotations"].append({"image_id": i, "category_id": 1, "bbox": [1, 2, 3, 4]})
    (tmp_path / "all.json").write_text(json.dumps(document))
    conversion = convert_coco(tmp_path / "all.json", tmp_path / "out")
    assert min(conversion.images.values()) >= 1 and sum(conversion.images.values()) == 3
    assert "a fifth of the images" in str(conversion)
    (tmp_path / "one.json").write_text(json.dumps({**document, "images": document["images"][:1], "annotations": []}))
    with pytest.raises(DatasetError, match="one.json: 1 images are too few to split"):
        convert_coco(tmp_path / "one.json", tmp_path / "out2")
