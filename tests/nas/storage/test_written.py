"""Only what a run wrote, and what is still as it wrote it, is replaced or removed."""

import pytest

from nas.storage.folder import RunFolder
from nas.storage.written import Written, digest
from search_spaces import InputError, writing


@pytest.fixture
def folder(tmp_path):
    return RunFolder(tmp_path)


def test_what_is_as_it_was_written_is_replaced_and_what_was_changed_is_left(folder):
    written = Written(folder)
    written.begin()
    written.write_text(folder.front_csv, "one")
    written.write_text(folder.front_csv, "two")
    assert Written(folder).is_ours(folder.front_csv) and written.holds(digest(folder.front_csv))
    folder.front_csv.write_text("mine")
    with pytest.raises(InputError, match="front.csv was not written by this run, or was changed since"):
        Written(folder).write_text(folder.front_csv, "three")
    written.remove(folder.front_csv, folder.front_json)
    assert folder.front_csv.read_text() == "mine"
    folder.front_csv.write_text("two")
    written.remove(folder.front_csv)
    assert not folder.front_csv.exists()


def test_a_run_begun_anew_in_a_folder_replaces_what_the_one_before_it_wrote(folder):
    for text in ("one", "two"):
        Written(folder).begin()
        Written(folder).write_text(folder.front_csv, text)
    assert folder.front_csv.read_text() == "two"


@pytest.mark.parametrize("kind", ["file", "folder", "dangling link"])
def test_what_was_there_before_the_run_is_refused(folder, kind):
    if kind == "file":
        folder.front_csv.write_text("mine")
    elif kind == "folder":
        folder.front_csv.mkdir()
    else:
        folder.front_csv.symlink_to("nowhere")
    path = folder.path / "front.csv"
    for begun in (False, True):
        if begun:
            Written(folder).begin()
        with pytest.raises(InputError, match="front.csv was not written by this run"):
            Written(folder).check(path)


def test_a_crash_before_the_file_takes_its_place_leaves_one_that_is_known(folder, monkeypatch):
    written = Written(folder)
    written.begin()
    written.write_text(folder.front_csv, "one")

    def dies(source, target):
        if target == folder.front_csv:
            raise KeyboardInterrupt
        move(source, target)

    move = writing.move
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(writing, "move", dies)
        written.write_text(folder.front_csv, "two")
    assert folder.front_csv.read_text() == "one" and written.is_ours(folder.front_csv)


def test_a_run_of_an_earlier_version_takes_what_has_our_names_for_its_own(folder):
    folder.store.touch()
    folder.front_csv.write_text("one")
    Written(folder).write_text(folder.front_csv, "two")
    assert folder.front_csv.read_text() == "two" and not folder.written.exists()
    folder.written.write_text("{[")  # damaged: as none
    Written(folder).check(folder.front_csv)
