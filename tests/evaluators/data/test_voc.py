"""Pascal VOC: boxes arrive unchanged, and everything wrong is named with its file and line."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from evaluators.data import DatasetError, check_dataset, coco_ground_truth, convert_voc, load_dataset
from evaluators.data.voc import is_voc

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
    told = ["2 boxes cut to their image", "2 boxes without area dropped"]
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
        ("Annotations/val0.xml", "<project/>", "val0.xml: is .project., not an <annotation>"),
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


@pytest.fixture
def convert_files(tmp_path):
    """The function (names) that writes XML with one box, lists and images of these names, and converts them."""

    def convert(*names, **content):
        for name in names:
            path = tmp_path / "voc" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.suffix in (".xml", ".txt"):
                path.write_text(content.get(path.stem, ONE_BOX))
            else:
                Image.new("RGB", (50, 40)).save(path)
        return convert_voc(tmp_path / "voc", tmp_path / "out")

    return convert


ONE_BOX = """<annotation><object><name>king</name><bndbox><xmin>5</xmin><ymin>6</ymin><xmax>30</xmax><ymax>40</ymax>
</bndbox></object></annotation>"""


def beside(folder, names="ab"):
    return [f"{folder}{name}{suffix}" for name in names for suffix in (".xml", ".JPG")]


@pytest.mark.parametrize(
    ("files", "images", "told"),
    [
        (
            [*beside("train/"), *beside("test/", "c")],
            {"train": 2, "val": 1},
            "test serves as val, since there is no val",
        ),
        ([*beside("train/"), *beside("valid/", "c"), *beside("test/", "d")], {"train": 2, "val": 1, "test": 1}, None),
        (["train/Annotations/a.xml", "train/images/a.jpg", *beside("val/", "b")], {"train": 1, "val": 1}, None),
        (["Annotations/train/a.xml", "images/train/a.png", *beside("images/val/", "b")], {"train": 1, "val": 1}, None),
        (["annotations/a.xml", "images/a.jpg", *beside("", "b")], {"train": 1, "val": 1}, "a fifth of the images"),
        ([*beside("train/", "ab")], {"train": 1, "val": 1}, "a fifth of the images"),
        (
            [*beside("train/"), *beside("val/"), *beside("", "cd")],
            {"train": 2, "val": 2},
            "2 annotations outside of the",
        ),
    ],
)
def test_splits_are_found_where_people_have_them(convert_files, files, images, told):
    converted = convert_files(*files)
    assert converted.images == converted.boxes == images
    assert len(converted.notes) == (told is not None) and all(note.startswith(told) for note in converted.notes)
    assert load_dataset(converted.yaml_path).names == ("king",)


def test_images_without_annotation_are_images_without_objects(convert_files):
    converted = convert_files(*beside("train/"), *beside("val/"), "val/c.png")
    assert converted.images["val"] == 3 and converted.background == {"train": 0, "val": 1}
    assert converted.notes == ("1 images have no annotation; taken as images without objects",)


@pytest.mark.parametrize(
    ("lists", "images"),
    [
        ({"train": "a\nb\na\n", "val": "c"}, {"train": 2, "val": 1}),
        ({"train": "a  1\nb -1\n", "val": "c  0"}, {"train": 2, "val": 1}),  # flags of a class
        ({"train": '"a"\nb.JPG\n\n', "val": "JPEGImages/c.JPG 1"}, {"train": 2, "val": 1}),
        ({"trainval": "a\nb", "test": "c"}, {"train": 2, "val": 1}),
        ({"default": "a\nb\nc"}, {"train": 2, "val": 1}),  # of no split that is known
    ],
)
def test_lists_are_read_as_tools_write_them(convert_files, lists, images):
    files = [name for stem in "abc" for name in (f"Annotations/{stem}.xml", f"JPEGImages/{stem}.JPG")]
    converted = convert_files(*files, *(f"ImageSets/Main/{name}.txt" for name in lists), **lists)
    assert converted.images == images and sum(converted.boxes.values()) == 3


def test_names_with_spaces_are_no_flags(convert_files):
    files = ["Annotations/my 1.xml", "JPEGImages/my 1.jpg", "Annotations/my.xml", "JPEGImages/my.jpg"]
    lists = {"train": "my 1", "val": "my -1"}
    converted = convert_files(*files, *(f"ImageSets/Main/{name}.txt" for name in lists), **lists)
    written = {split: next((converted.yaml_path.parent / "images" / split).iterdir()).stem for split in lists}
    assert written == {"train": "my 1", "val": "my"}


def test_an_annotation_finds_its_image_by_its_own_name_or_by_what_it_says(convert_files):
    named = ONE_BOX.replace("<object>", "<filename>C:\\photos\\other.jpg</filename><object>")
    converted = convert_files(
        "train/a.xml", "train/other.jpg", "val/b.xml", "val/b.jpg", "val/other.jpg", a=named, b=named
    )
    assert converted.images == {"train": 1, "val": 2} and converted.background == {"train": 0, "val": 1}


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([*beside("train/"), "train/c.xml"], "train/c.xml: there is no image of its name"),
        ([*beside("train/", "a"), "train/a.png"], "a.xml: its image may be .*a.JPG or .*a.png"),
        (["a.xml", "Annotations/a.xml", "a.jpg"], "a.xml and .*a.xml annotate the same image"),
        ([*beside("test/")], "voc: has test, but no train"),
        (["x/a.xml"], "voc: has no annotations"),
    ],
)
def test_files_that_do_not_belong_together_are_named(convert_files, files, message):
    with pytest.raises(DatasetError, match=message):
        convert_files(*files)


def test_an_image_that_is_named_but_missing_is_in_the_message(convert_files):
    named = ONE_BOX.replace("<object>", "<filename>c.jpg</filename><object>")
    with pytest.raises(DatasetError, match="train/b.xml: there is no image of its name, and no 'c.jpg'"):
        convert_files(*beside("train/", "a"), "train/b.xml", b=named)


@pytest.mark.parametrize("declared", ["utf-16", "klingon", "us-ascii"])
def test_utf8_is_read_whatever_it_declares(convert_files, declared):
    text = f'<?xml version="1.0" encoding="{declared}"?>{ONE_BOX}'.replace("king", "könig")
    converted = convert_files(
        *beside("train/", "a"), *beside("val/", "b"), a=text, b="\ufeff" + text.replace(declared, "utf-8")
    )
    assert load_dataset(converted.yaml_path).names == ("könig",)
    assert converted.notes == ("1 annotations are read as UTF-8, although they declare another encoding",)


def test_boxes_are_repaired_and_counted(convert_files):
    box = ONE_BOX[ONE_BOX.index("<object>") : ONE_BOX.index("</annotation>")]
    boxes = [
        box,
        box,
        box.replace("<xmin>5<", "<xmin>31<"),  # left and right exchanged
        box.replace("<xmin>5<", "<xmin>4.5<").replace("</name>", "</name><difficult>1</difficult>"),
    ]
    text = f"<annotation><size><width>0</width><height>0</height></size>{''.join(boxes)}</annotation>"
    converted = convert_files(*beside("train/", "a"), *beside("val/", "b"), a=text)
    assert (converted.boxes["train"], converted.duplicates, converted.dropped) == (2, 1, 1)
    assert converted.notes[0] == "1 objects marked difficult are kept"


def test_boxes_are_in_pixels_of_the_size_that_the_annotation_states(convert_files):
    text = ONE_BOX.replace("<object>", "<size><width>{}</width><height>{}</height></size><object>")
    converted = convert_files(*beside("train/", "a"), *beside("val/", "b"), a=text.format(100, 80))
    rows = [(converted.yaml_path.parent / "labels" / name).read_text().split() for name in ("train/a.txt", "val/b.txt")]
    assert float(rows[0][3]) == pytest.approx(float(rows[1][3]) / 2, abs=1e-6) and "1 images have another" in str(
        converted
    )


def test_an_image_of_another_shape_than_its_annotation_states_is_refused(convert_files):
    text = ONE_BOX.replace("<object>", "<size><width>40</width><height>50</height></size><object>")
    with pytest.raises(DatasetError, match="a.xml: states 40 x 50 pixels, but .*a.JPG is shown with 50 x 40"):
        convert_files(*beside("train/", "a"), *beside("val/", "b"), a=text)


def test_polygons_without_a_box_are_refused(convert_files):
    text = "<annotation><object><name>king</name><polygon><x1>1</x1><y1>1</y1></polygon></object></annotation>"
    with pytest.raises(DatasetError, match="a.xml: object 1 has the xmin '' in its bndbox; it must be a number"):
        convert_files(*beside("train/", "a"), *beside("val/", "b"), a=text)


def test_a_folder_is_voc_if_it_has_annotations_where_they_are_looked_for(tmp_path, write_voc):
    write_voc(tmp_path / "voc", [("cat", 1, 1, 9, 9)])
    (tmp_path / "voc" / "JPEGImages" / "round").symlink_to(tmp_path / "voc")  # links may go in circles
    (tmp_path / "voc" / "JPEGImages" / "self.jpg").symlink_to("self.jpg")
    assert is_voc(tmp_path / "voc")
    (tmp_path / "other" / "src").mkdir(parents=True)
    (tmp_path / "other" / "src" / "pom.xml").write_text("<project/>")
    assert not is_voc(tmp_path / "other")
    assert convert_voc(tmp_path / "voc", tmp_path / "out").images == {"train": 1, "val": 1}
