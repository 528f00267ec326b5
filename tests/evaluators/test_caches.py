"""Where caches and locks are, for users with and without a name, a home, and a right to write there."""

import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest

from evaluators.caches import ELSEWHERE, cache_directory, keep_caches_together, user_folder
from evaluators.locks import machine_lock
from search_spaces import InputError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def nobody(monkeypatch, tmp_path):
    """A user without a name and a home, as in many a container."""

    def no_entry(user):
        raise KeyError(f"getpwuid(): uid not found: {user}")

    for name in ("HOME", "USER", "LOGNAME", "LNAME", "USERNAME", "EVOYOLO_CACHE", *ELSEWHERE):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", no_entry)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


def test_a_user_without_a_name_has_locks_of_their_own(nobody, tmp_path):
    with machine_lock("labels"):
        assert (tmp_path / f"evoyolo-{os.getuid()}" / "labels.lock").exists()
    assert user_folder().stat().st_mode & 0o777 == 0o700


def test_without_a_home_it_is_said_how_to_name_a_cache(nobody):
    with pytest.raises(InputError, match="no home folder to keep a cache in; set EVOYOLO_CACHE"):
        cache_directory()


@pytest.mark.parametrize("why", ["a file is in the way", "it cannot be written"])
def test_a_cache_that_cannot_be_used_is_named(monkeypatch, tmp_path, why):
    path = tmp_path / "file" / "cache" if why.startswith("a file") else tmp_path / "cache"
    (tmp_path / "file").touch()
    monkeypatch.setenv("EVOYOLO_CACHE", str(path))
    monkeypatch.setattr(os, "access", lambda place, mode: False)
    with pytest.raises(InputError, match=f"the cache {path} cannot be used .*; set EVOYOLO_CACHE to a folder"):
        cache_directory()


def test_libraries_keep_theirs_in_our_cache_and_nothing_is_made_for_it(monkeypatch, tmp_path):
    for name in ELSEWHERE:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("EVOYOLO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("MPLCONFIGDIR", "/the/users/own")
    keep_caches_together()
    assert os.environ["YOLO_CONFIG_DIR"] == str(tmp_path / "cache" / "ultralytics")
    assert os.environ["MPLCONFIGDIR"] == "/the/users/own" and not (tmp_path / "cache").exists()


@pytest.mark.slow
def test_a_program_that_asks_for_it_leaves_a_home_as_it_was(tmp_path):
    script = "from evaluators.caches import keep_caches_together; keep_caches_together(); import nas, ultralytics"
    environment = {name: value for name, value in os.environ.items() if name not in {"EVOYOLO_CACHE", *ELSEWHERE}}
    environment |= {"HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", script], check=True, env=environment, cwd=tmp_path)
    kept = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert kept and all(path.is_relative_to(tmp_path / ".cache" / "evoyolo") for path in kept)


def test_without_a_home_they_keep_theirs_in_a_temporary_folder(nobody):
    keep_caches_together()
    assert Path(os.environ["YOLO_CONFIG_DIR"]).parent == user_folder() / "cache"


@pytest.mark.parametrize("kind", ["somebody else's", "link"])
def test_a_temporary_folder_of_somebody_else_is_not_used(monkeypatch, tmp_path, kind):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    if kind == "link":
        (tmp_path / f"evoyolo-{os.getuid()}").symlink_to(tmp_path)
    else:
        user_folder()
        monkeypatch.setattr(os, "getuid", lambda: 54321)
        (tmp_path / "evoyolo-54321").symlink_to(tmp_path)
    with pytest.raises(InputError, match="belongs to somebody else; set TMPDIR"):
        user_folder()
