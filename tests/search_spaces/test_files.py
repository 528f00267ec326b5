"""Reading files: whatever a path leads to ends as text or in one line that names it."""

import os

import pytest

from search_spaces import InputError
from search_spaces.files import expanded, read_json, read_text, read_yaml


def test_what_is_no_text_file_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "utf16").write_text("a: 1", encoding="utf-16")
    (tmp_path / "wide").write_text("a: 1", encoding="utf-16-le")
    (tmp_path / "latin").write_bytes(b"a: \xe4")
    for name, message in {
        ".": "is a folder",
        "pipe": "is not a regular file",
        "utf16": "not UTF-8 text",
        "wide": "not UTF-8 text",
        "latin": "not UTF-8 text",
        "gone": "cannot be read .No such file",
        "x" * 5000: "cannot be read .File name too long",
        "a\0b": "cannot be read .embedded null byte",
        "\udce4\ud800": "cannot be read",
    }.items():
        with pytest.raises(InputError, match=message):
            read_text(tmp_path / name)
    with pytest.raises(InputError, match="/dev/zero: is not a regular file"):
        read_text("/dev/zero")


def test_a_byte_order_mark_is_no_text(tmp_path):
    (tmp_path / "f").write_text("a: 1", encoding="utf-8-sig")
    assert read_yaml(tmp_path / "f") == {"a": 1}


def test_a_file_that_is_too_large_is_not_read(tmp_path):
    with open(tmp_path / "f", "wb") as file:
        file.truncate(100_000_000_000)  # takes no room
    for read in (read_yaml, read_json):
        with pytest.raises(InputError, match="has 100,000 MB; what is read here has at most 10"):
            read(tmp_path / "f")


def test_home_folders_are_expanded(monkeypatch):
    monkeypatch.setenv("HOME", "/somewhere")
    assert expanded("~/a") == "/somewhere/a"
    assert expanded("a/~") == "a/~" and expanded("~nobody-of-that-name/a") == "~nobody-of-that-name/a"
