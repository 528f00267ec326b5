"""Files are there whole or not at all, and nothing is written through a link."""

import os
import re
from pathlib import Path, PureWindowsPath

import pytest

from search_spaces import InputError
from search_spaces.writing import check_tree, new_folder, own, replacing, unusable_name, write_text


def test_a_file_that_is_not_finished_leaves_the_one_before_and_nothing_else(tmp_path):
    path = tmp_path / "kept.txt"
    write_text(path, "before")
    with pytest.raises(ZeroDivisionError), replacing(path) as temporary:
        temporary.write_text("half")
        raise ZeroDivisionError
    assert path.read_text() == "before" and list(tmp_path.iterdir()) == [path]


def test_the_folder_where_the_user_is_is_filled_and_stays(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with new_folder(Path(".")) as made:
        (made / "a").mkdir()
        (made / "a" / "b.txt").write_text("b")
    assert Path("a/b.txt").read_text() == "b" and list(tmp_path.iterdir()) == [tmp_path / "a"]


def test_a_new_folder_takes_no_other_s_place(tmp_path):
    path = tmp_path / "new"
    for _ in ("made meanwhile", "there before"):
        with pytest.raises(OSError, match="not empty"), new_folder(path) as made:
            (made / "ours.txt").touch()
            path.mkdir(exist_ok=True)
            (path / "mine.txt").touch()
    assert list(tmp_path.iterdir()) == [path] and list(path.iterdir()) == [path / "mine.txt"]


def test_a_file_and_its_folder_are_synchronised_around_the_renaming(tmp_path, monkeypatch):
    done, replace = [], os.replace
    monkeypatch.setattr(os, "fsync", lambda handle: done.append(Path(os.readlink(f"/proc/self/fd/{handle}")).suffix))
    monkeypatch.setattr(os, "replace", lambda *paths: (done.append("rename"), replace(*paths)))
    write_text(tmp_path / "kept.txt", "text")
    assert done == [".txt", "rename", ""]


def test_a_link_is_replaced_and_not_followed(tmp_path):
    mine, path = tmp_path / "mine.txt", tmp_path / "run" / "front.csv"
    mine.write_text("mine")
    path.parent.mkdir()
    path.symlink_to(mine)
    write_text(path, "ours")
    assert mine.read_text() == "mine" and path.read_text() == "ours" and not path.is_symlink()


def test_the_permissions_are_those_of_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        write_text(tmp_path / "kept.txt", "text")
    finally:
        os.umask(before)
    assert (tmp_path / "kept.txt").stat().st_mode & 0o777 == 0o640


def odd(kind, path, elsewhere):
    """Something at `path` that is neither a file nor a folder of its own."""
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to({"link to a file": elsewhere / "mine.txt", "link to a folder": elsewhere}.get(kind, "nowhere"))


@pytest.mark.parametrize("kind", ["link to a file", "link to a folder", "dangling link", "pipe"])
@pytest.mark.parametrize("below", ["store.lock", "trials/best.pt"])
def test_what_leads_elsewhere_is_refused_by_name(tmp_path, kind, below):
    elsewhere, root = tmp_path / "home", tmp_path / "run"
    elsewhere.mkdir()
    (elsewhere / "mine.txt").write_text("mine")
    path = root / below
    path.parent.mkdir(parents=True)
    assert own(path, root) == path  # nothing is there yet
    check_tree(root)
    odd(kind, path, elsewhere)
    for refuse in (lambda: own(path, root), lambda: own(path / "deeper", root), lambda: check_tree(root)):
        with pytest.raises(InputError, match=f"{path} is (a symbolic link, and none|neither a file nor a folder)"):
            refuse()


@pytest.mark.parametrize("name", ["../mine.txt", "devices/../../mine.txt", "/etc/passwd"])
def test_a_name_that_leads_out_of_the_folder_is_refused(tmp_path, name):
    with pytest.raises(InputError, match="leads out of"):
        own(tmp_path / name, tmp_path)


@pytest.mark.parametrize(
    "name",
    ["", "..", "a/b", "a\\b", "what?", "c:", "a*", "pi\n", "pi.", "pi ", "CON", "nul.json", "Com1.x.json", "x" * 300],
)
def test_names_that_are_none_somewhere_are_refused(name):
    assert unusable_name(name)
    if name and name != "..":  # as Windows itself sees it
        path = PureWindowsPath(name)
        assert path.is_reserved() or path.name != name or path.drive or re.search(r"[?*\s.]$|\n|x{300}", name)


@pytest.mark.parametrize(
    "name", ["search", "mis [v2]", "größer", "console", "com10", ".hidden", "fe274a9ad389", "a;b & c"]
)
def test_names_that_serve_everywhere_pass(name):
    assert unusable_name(name) is None and not PureWindowsPath(name).is_reserved()


def test_the_folder_itself_may_be_a_link_or_the_working_directory(tmp_path, monkeypatch):
    (tmp_path / "run").mkdir()
    (tmp_path / "linked").symlink_to("run")
    assert own(tmp_path / "linked" / "store", tmp_path / "linked") == tmp_path / "linked" / "store"
    monkeypatch.chdir(tmp_path / "run")
    assert own(Path("store"), Path(".")) == Path("store")
