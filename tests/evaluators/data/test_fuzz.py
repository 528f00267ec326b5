"""Fuzzed data.yaml, labels, COCO json and VOC folders: read, or refused in one line; and what is read can be judged."""

import json

import pytest
from hypothesis import given

from evaluators.data import check_dataset, coco_ground_truth, convert_coco, convert_voc, load_dataset
from search_spaces.documents import to_yaml
from tests.fuzzing import Tally, fuzzed, mutated_bytes, mutated_document, mutated_json

pytestmark = pytest.mark.slow

YAML = {
    "path": ".",
    "train": "images/train",
    "val": ["images/val"],
    "names": {0: "a", 1: "b"},
    "nc": 2,
    "kpt_shape": [1, 3],
}
LABELS = b"0 0.5 0.5 0.2 0.2\n1 .1 .1 .3 .1 .3 .3\n1 0.25 0.75 0.1 0.1 0.2 0.2 2\n"
XML = (
    b"<annotation><filename>train0.jpg</filename><size><width>50</width><height>40</height><depth>3</depth></size><object>"
    b"<name>cat</name><difficult>0</difficult><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>9</xmax><ymax>9.5</ymax></bndbox></object></annotation>"
)


def use(path):
    dataset = load_dataset(path)
    check_dataset(dataset)
    for split in ("train", "val"):
        coco_ground_truth(dataset, split)


def test_data_yaml(tmp_path, write_yolo):
    path = write_yolo(tmp_path)
    with Tally("data.yaml") as tally:

        @fuzzed
        @given(
            mutated_bytes(to_yaml(YAML).encode())
            | mutated_document(YAML).map(lambda content: to_yaml(content).encode())
        )
        def check(content):
            tally.read(use, path, content)

        check()


def test_labels(tmp_path, write_yolo):
    path = write_yolo(tmp_path)
    path.write_text(to_yaml(YAML))
    label = tmp_path / "labels" / "val" / "one.txt"
    with Tally("labels") as tally:

        @fuzzed
        @given(mutated_bytes(LABELS))
        def check(content):
            tally.read(lambda _: use(path), label, content)

        check()


def test_lists_of_images(tmp_path, write_yolo):
    path = write_yolo(tmp_path)
    path.write_text(to_yaml({**YAML, "val": "val.txt"}))
    with Tally("list of images") as tally:

        @fuzzed
        @given(mutated_bytes(b"./images/val/one.png\nimages/val/one.png 1\n\n# none\n"))
        def check(content):
            tally.read(lambda _: use(path), tmp_path / "val.txt", content)

        check()


def test_coco(tmp_path_factory, write_coco):
    root = tmp_path_factory.mktemp("coco")
    path = write_coco(root / "x.json", [(7, [1, 2, 10, 20]), (3, [5, 5, 9, 9])])
    document = json.loads(path.read_text())
    document["annotations"][0] |= {"segmentation": [[1, 1, 9, 1, 9, 9]], "iscrowd": 0, "area": 5}
    document["annotations"].append({"image_id": 11, "category_id": 7, "segmentation": {"size": [2, 2], "counts": "13"}})
    _convertible(
        "COCO json", lambda out: convert_coco(f"{path}:{path}", out), path, mutated_json(document), tmp_path_factory
    )


@pytest.mark.parametrize(
    ("file", "original"), [("Annotations/train0.xml", XML), ("ImageSets/Main/val.txt", b"val0 1\n")]
)
def test_voc(tmp_path_factory, write_voc, file, original):
    voc = write_voc(tmp_path_factory.mktemp("voc"), [("cat", 1, 1, 9, 9), ("dog", 5, 5, 20, 20)])
    name = f"VOC {file.rpartition('/')[0]}"
    _convertible(name, lambda out: convert_voc(voc, out), voc / file, mutated_bytes(original), tmp_path_factory)


def _convertible(name, convert, path, contents, tmp_path_factory):
    """What is refused leaves nothing behind, and what is converted can be used."""

    def read(_):
        out = tmp_path_factory.mktemp("out") / "out"
        try:
            use(convert(out).yaml_path)
        except Exception as error:
            assert not out.exists() or "not one box" in str(error)
            raise

    with Tally(name) as tally:

        @fuzzed
        @given(contents)
        def check(content):
            tally.read(read, path, content)

        check()
