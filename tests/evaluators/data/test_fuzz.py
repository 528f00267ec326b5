"""Fuzzed data.yaml, labels and lists of images: read, or refused in one line; and what is read can be judged."""

import pytest
from hypothesis import given

from evaluators.data import check_dataset, coco_ground_truth, load_dataset
from search_spaces.yaml_text import to_yaml
from tests.fuzzing import Tally, fuzzed, mutated_bytes, mutated_document

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
