"""Conversions: the user's files stay as they are, the cache knows its images, and nothing half made stays."""

import json
import os
from pathlib import Path

import pytest
from PIL import Image

from evaluators.data import DatasetError, convert_coco, convert_voc
from evaluators.data.coco_json import cached_coco
from evaluators.data.layout import AnnotatedImage, AnnotatedImages, write_layout
from evaluators.data.voc import cached_voc


@pytest.fixture(params=["coco", "voc"])
def annotated(request, tmp_path, write_coco, write_voc):
    """The function (directory) -> data.yaml in the cache, with the annotations' file and an image of train."""
    if request.param == "coco":
        path = write_coco(tmp_path / "own" / "x.json", [(7, [1, 2, 10, 20])])
        return lambda directory: cached_coco(f"{path}:{path}", directory), path, path.with_suffix(".png")
    root = write_voc(tmp_path / "own", [("cat", 1, 1, 10, 20)])
    xml = root / "Annotations" / "train0.xml"
    return lambda directory: cached_voc(root, directory), xml, root / "JPEGImages" / "train0.jpg"


def later(path: Path) -> None:
    """As if it was written a second later."""
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 10**9))


def image_of(yaml_path: Path) -> Path:
    return next((yaml_path.parent / "images" / "train").iterdir())


def test_a_replaced_image_is_not_its_old_copy(tmp_path, annotated):
    cached, _, image = annotated
    before = cached(tmp_path / "cache")
    assert cached(tmp_path / "cache") == before and len(list((tmp_path / "cache").iterdir())) == 1  # made once
    assert Image.open(image_of(before)).size == (50, 40)
    Image.new("RGB", (100, 80)).save(image)
    later(image)
    after = cached(tmp_path / "cache")
    assert after != before and Image.open(image_of(after)).size == (100, 80)


def test_changed_annotations_are_not_the_old_ones(tmp_path, annotated):
    cached, file, _ = annotated
    before = cached(tmp_path / "cache")
    file.write_text(file.read_text().replace("20", "30"))
    later(file)
    assert cached(tmp_path / "cache") != before


def test_a_new_image_without_annotation_makes_a_new_conversion(tmp_path, write_voc):
    root = write_voc(tmp_path / "voc", [("cat", 1, 1, 10, 20)])
    for path in (root / "ImageSets" / "Main").iterdir():
        path.unlink()
    before = cached_voc(root, tmp_path / "cache")
    Image.new("RGB", (50, 40)).save(root / "JPEGImages" / "new.JPG")
    assert "1 images have no annotation" in (cached_voc(root, tmp_path / "cache").parent / "notes.json").read_text()
    assert "have no annotation" not in (before.parent / "notes.json").read_text()


def test_what_is_written_into_a_conversion_reaches_no_file_of_the_user_s(tmp_path, annotated, write_voc):
    cached, _, image = annotated
    content = image.read_bytes()
    copy = image_of(cached(tmp_path / "cache"))
    assert image.stat().st_nlink == 1  # a hard link would be changed with it
    os.replace(_written(tmp_path / "other.jpg"), copy)  # as Ultralytics repairs images
    root = write_voc(tmp_path / "voc", [("cat", 1, 1, 10, 20)])
    converted = image_of(convert_voc(root, tmp_path / "out").yaml_path)
    assert not converted.is_symlink()
    converted.write_bytes(b"")
    assert image.read_bytes() == content and (root / "JPEGImages" / "train0.jpg").read_bytes()


def _written(path: Path) -> Path:
    path.write_bytes(b"other")
    return path


def test_where_links_cannot_be_made_images_are_copied(tmp_path, annotated, monkeypatch):
    def refuse(*_):
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(os, "symlink", refuse)
    cached, _, image = annotated
    copy = image_of(cached(tmp_path / "cache"))
    assert copy.read_bytes() == image.read_bytes() and not copy.is_symlink() and image.stat().st_nlink == 1


def test_nothing_stays_of_what_fails(tmp_path, annotated):
    cached, _, image = annotated
    image.write_bytes(b"no image")
    with pytest.raises(DatasetError, match="not an image"):
        cached(tmp_path / "cache")
    assert not list((tmp_path / "cache").iterdir())


def test_a_conversion_survives_a_faster_process(tmp_path, annotated, monkeypatch):
    cached, _, _ = annotated
    others = []

    def write_after_another(folder, found, *, link):
        monkeypatch.undo()
        others.append(cached(tmp_path / "cache"))
        return write_layout(folder, found, link=link)

    monkeypatch.setattr("evaluators.data.conversion.write_layout", write_after_another)
    assert [cached(tmp_path / "cache")] == others
    assert list((tmp_path / "cache").iterdir()) == [others[0].parent]  # no half-made one beside it


def test_folders_that_cannot_be_written_are_named(tmp_path, write_coco):
    path = write_coco(tmp_path / "x.json", [(7, [1, 2, 10, 20])])
    (tmp_path / "file").write_text("")
    with pytest.raises(DatasetError, match="file exists; name a folder that does not"):
        convert_coco(f"{path}:{path}", tmp_path / "file")
    for make in (convert_coco, cached_coco):
        with pytest.raises(DatasetError, match="file.* cannot be read or written"):
            make(f"{path}:{path}", tmp_path / "file" / "out")


def test_images_of_one_name_keep_their_own_labels(tmp_path):
    entries = []
    for i, name in enumerate(["a/1.png", "b/1.jpg", "a/1.jpg", "c/.hidden.png", "c/1.JPG", "d/1.jpg", "d/d-1.jpg"]):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (50, 40), (30 * i,) * 3).save(tmp_path / name)
        entries.append(AnnotatedImage(tmp_path / name, name, boxes=[("a", i, 0, 40, 40)]))
    write_layout(tmp_path / "out", AnnotatedImages(["a"], {"train": entries, "val": []}))
    images = sorted((tmp_path / "out" / "images" / "train").iterdir())
    assert len({path.stem for path in images}) == len(entries) and not any(path.name[0] == "." for path in images)
    for path in images:
        _, x, _, width, _ = map(float, (tmp_path / "out" / "labels" / "train" / f"{path.stem}.txt").read_text().split())
        shade = Image.open(path).convert("RGB").getpixel((0, 0))[0]
        assert (x - width / 2) * 50 == pytest.approx(round(shade / 30), abs=1e-3)


def test_notes_are_kept_beside_the_data_yaml(tmp_path, write_coco):
    path = write_coco(tmp_path / "x.json", [(7, [1, 2, 10, 20]), (7, [1, 2, 10, 20])])
    conversion = convert_coco(f"{path}:{path}", tmp_path / "out")
    assert json.loads((tmp_path / "out" / "notes.json").read_text()) == list(conversion.notes)
    assert conversion.duplicates == 2 and "2 duplicates dropped" in conversion.notes


def test_an_image_that_training_does_not_read_is_refused(tmp_path):
    Image.new("RGB", (50, 40)).save(tmp_path / "x.gif")
    found = AnnotatedImages(["a"], {"train": [AnnotatedImage(tmp_path / "x.gif", "x.json: images[0]")], "val": []})
    with pytest.raises(DatasetError, match=r"images\[0\]: .*x.gif is no image that training reads \(.*\.png"):
        write_layout(tmp_path / "out", found)
