"""Pixels: decoded once, remembered by size and time of change, and never believed blindly."""

import json
import os
from pathlib import Path

import pytest
from PIL import Image

from evaluators.data import DatasetError, pixels
from evaluators.data.pixels import check_pixels


@pytest.fixture
def images(tmp_path, monkeypatch):
    monkeypatch.setenv("EVOYOLO_CACHE", str(tmp_path / "cache"))
    paths = [tmp_path / "images" / f"{i}.png" for i in range(3)]
    for i, path in enumerate(paths):
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (40 + i, 30)).save(path)
    return paths


@pytest.fixture
def decoded(monkeypatch):
    """The names of the images that have been decoded."""
    found, check = [], pixels.check_image
    monkeypatch.setattr(pixels, "check_image", lambda path: found.append(path.name) or check(path))
    return found


def test_what_was_decoded_is_remembered_until_it_changes(images, decoded):
    told = []
    first = check_pixels(images, lambda *counts: told.append(counts), of="here")
    assert first.sizes.tolist() == [[40, 30], [41, 30], [42, 30]] and told == [(1, 3), (2, 3), (3, 3)]
    assert first.file_bytes.tolist() == [path.stat().st_size for path in images]
    decoded.clear()
    assert check_pixels(images, of="here").sizes.tolist() == first.sizes.tolist() and decoded == []
    Image.new("RGB", (99, 77)).save(images[1])
    assert check_pixels(images, of="here").sizes[1].tolist() == [99, 77] and decoded == ["1.png"]
    decoded.clear()
    os.utime(images[2], ns=(1, 1))
    check_pixels(images, of="here")
    assert decoded == ["2.png"]


def test_images_that_are_gone_are_forgotten_and_those_of_others_are_apart(images, decoded, tmp_path):
    check_pixels(images, of="here")
    check_pixels(images[:1], of="there")
    check_pixels(images[1:], of="here")
    memories = [json.loads(path.read_text())["images"] for path in (tmp_path / "cache" / "pixels").iterdir()]
    names = [str(path) for path in images]
    assert sorted(sorted(memory) for memory in memories) == [names[:1], names[1:]]


def test_a_name_that_is_no_utf8_is_remembered_too(images, decoded):
    odd = Path(os.fsdecode(os.fsencode(images[0].parent) + b"/caf\xe9.png"))
    images[0].rename(odd)
    check_pixels([odd])
    decoded.clear()
    assert check_pixels([odd]).sizes.tolist() == [[40, 30]] and decoded == []


@pytest.mark.parametrize("text", ["", "[]", "{", '{"readers": 3}', "MINE"])
def test_a_memory_that_is_damaged_is_none(images, decoded, tmp_path, text):
    right = check_pixels(images).sizes.tolist()
    (memory,) = (tmp_path / "cache" / "pixels").iterdir()
    if text == "MINE":  # entries of no use
        text = memory.read_text().replace("40, 30", '40, "30"')
    memory.write_text(text)
    decoded.clear()
    assert check_pixels(images).sizes.tolist() == right and decoded


def test_a_cache_that_cannot_be_written_only_costs_time(images, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("EVOYOLO_CACHE", str(tmp_path / "file"))
    assert len(check_pixels(images).sizes) == 3


def test_the_first_wrong_image_is_named_and_the_others_counted(images):
    for path in images[1:]:
        path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(DatasetError, match=r"1\.png: the file is cut off .*; 1 more files cannot be used either"):
        check_pixels(images)
