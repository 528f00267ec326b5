"""Which dataset it is: a move leaves it the same, and whatever else changes is named."""

import json
import os
import shutil

import pytest
from PIL import Image

from evaluators.data import dataset_identity, load_dataset, what_changed


def identity(path):
    return json.loads(json.dumps(dataset_identity(load_dataset(path))))


def test_a_dataset_that_moved_is_the_same(tmp_path, monkeypatch, write_yolo):
    path = write_yolo(tmp_path / "here")
    before = identity(path)
    monkeypatch.chdir(tmp_path)
    assert identity("here/data.yaml") == before and before["root"] == str(tmp_path / "here")
    shutil.move(tmp_path / "here", tmp_path / "there")
    now = identity(tmp_path / "there")
    assert now["root"] == str(tmp_path / "there") and what_changed(before, now) is None


CHANGES = {
    "1 images of train have other labels now, such as images/train/one.png": lambda root: (
        root / "labels" / "train" / "one.txt"
    ).write_text("1 0.5 0.5 0.2 0.2\n"),
    "1 images of val are other files now, such as images/val/one.png": lambda root: Image.new("RGB", (50, 30)).save(
        root / "images" / "val" / "one.png"
    ),
    "1 images of val are new, such as images/val/two.png": lambda root: shutil.copy(
        root / "images" / "val" / "one.png", root / "images" / "val" / "two.png"
    ),
    "1 images of train are gone, such as images/train/one.png": lambda root: [
        os.rename(root / kind / "train" / f"one.{suffix}", root / kind / "train" / f"two.{suffix}")
        for kind, suffix in (("images", "png"), ("labels", "txt"))
    ],
    "its classes are a, b, c now, and were a, b": lambda root: (root / "data.yaml").write_text(
        (root / "data.yaml").read_text().replace("- b", "- b\n- c")
    ),
}


@pytest.mark.parametrize("said", CHANGES)
def test_what_has_changed_is_named(tmp_path, write_yolo, said):
    path = write_yolo(tmp_path)
    before = identity(path)
    assert what_changed(before, identity(path)) is None
    CHANGES[said](tmp_path)
    assert what_changed(before, identity(path)) == said


def test_other_ways_to_write_the_same_boxes_are_no_change(tmp_path, write_yolo):
    path = write_yolo(tmp_path, "0 0.5 0.5 0.2 0.2\n")
    before = identity(path)
    (tmp_path / "labels" / "train" / "one.txt").write_text("0  .50 .5 2e-1 .2\r\n")
    assert what_changed(before, identity(path)) is None


def test_names_that_are_no_utf8_are_kept_apart(tmp_path, write_yolo):
    path = write_yolo(tmp_path)
    for name in (b"caf\xe9", b"caf\\xe9"):
        folder = os.fsencode(tmp_path / "images" / "val")
        shutil.copy(os.path.join(folder, b"one.png"), os.path.join(folder, name + b".png"))
    before = identity(path)
    assert what_changed(before, identity(path)) is None
    os.remove(os.path.join(folder, b"caf\xe9.png"))
    assert what_changed(before, identity(path)) == "1 images of val are gone, such as images/val/caf\\xe9.png"


def test_one_of_a_million_images_is_kept_and_found(tmp_path):
    """What a run keeps of a dataset of that size can be read back by it."""
    from evaluators.data.identity import _packed
    from nas.storage.store import Store
    from search_spaces import Choice, SearchSpace

    def of(labels):
        entries = [(f"images/train/{i:07}.jpg", 10**5 + i, f"{i:012x}") for i in range(500_000)]
        entries[77] = (*entries[77][:2], labels)
        return {"root": "/data", "names": ["a"], "train": _packed(entries), "val": _packed(entries[:1])}

    with Store.create(tmp_path / "store.sqlite", space=SearchSpace("s", [Choice("a", (1, 2))]), settings={}) as store:
        store.set_meta("subject", of("x"))
        kept = store.get_meta("subject")
    assert what_changed(kept, of("x")) is None
    assert what_changed(kept, of("y")) == "1 images of train have other labels now, such as images/train/0000077.jpg"
