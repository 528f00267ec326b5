"""Whatever is done with a run, of a whole home only the run's folder and the cache change; and a run does without its trials."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from nas import load_run

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
SMALL = [
    "--executor", "here", "--epochs", "1", "--batch", "8", "--references", "yolov8-w1/16", "--algorithm", "random",
    "--restrict", "{image_size: [64], p2_width: [8, 16], p3_width: [16, 32], p4_width: [32], p5_width: [128]}",
]  # fmt: skip
RUN = "project/results/search"
OWN = (f"{RUN}/", ".cache/evoyolo/")


def checksums(home):
    return {
        path.relative_to(home).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in home.rglob("*")
        if path.is_file()
    }


@pytest.fixture(scope="module")
def home(tmp_path_factory, small_data, board):
    """A home with a project, a dataset, and files of the user's own beside them."""
    home = tmp_path_factory.mktemp("home")
    shutil.copytree(small_data.parent, home / "data")
    board.save(home / "board.json")
    for name in ("project/devices/pi.json", "project/front.csv", "project/models/mine.txt", ".config/mine.yaml"):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text("mine")
    return home


@pytest.fixture(scope="module")
def evoyolo(home):
    """The command, run in the project by a user whose home it is; what it prints, once all else was found as it was."""
    set_by_tests = (
        "EVOYOLO_CACHE",
        "YOLO_CONFIG_DIR",
        "XDG_CACHE_HOME",
        "XDG_CONFIG_HOME",
        "MPLCONFIGDIR",
        "TORCH_HOME",
    )
    environment = {name: value for name, value in os.environ.items() if name not in set_by_tests}
    environment |= {"HOME": str(home), "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    before = checksums(home)

    def run(*arguments):
        command = [sys.executable, "-m", "nas.cli", *map(str, arguments)]
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, cwd=home / "project", env=environment
        )
        assert done.returncode == 0, done.stderr
        now = checksums(home)
        changed = {name for name in {*before, *now} if before.get(name) != now.get(name)}
        assert {name for name in changed if not name.startswith(OWN)} == set()
        return done.stdout

    run(
        "search",
        "--data",
        home / "data" / "data.yaml",
        "--device",
        home / "board.json",
        "--max-evaluations",
        "2",
        *SMALL,
    )
    shutil.copytree(home / RUN, home.with_name(f"{home.name}-run"))
    return run


@pytest.fixture
def run(evoyolo, home):
    """The run's folder, as the search left it."""
    shutil.rmtree(home / RUN)
    return shutil.copytree(home.with_name(f"{home.name}-run"), home / RUN)


def test_only_the_run_and_the_cache_change(evoyolo, run):
    for name in ("models/.DS_Store", "models/mine/notes.txt", "notes.txt"):  # what systems and users leave there
        (run / name).parent.mkdir(exist_ok=True)
        (run / name).write_text("mine")
    assert "resumed with 2/3" in evoyolo("resume", run, "--max-evaluations", "3")
    assert {
        path.read_text() for path in (run / "models/.DS_Store", run / "models/mine/notes.txt", run / "notes.txt")
    } == {"mine"}
    assert "3 of 3 evaluated" in evoyolo("status", run)
    assert "of 3 evaluated models" in evoyolo("front", run)


def test_pick_prints_its_document_and_nothing_else_also_where_it_exports_with_fresh_settings(evoyolo, run, home):
    shutil.rmtree(home / ".cache")
    shutil.rmtree(run / "models")
    picked = json.loads(evoyolo("pick", run))
    assert set(picked["files"]) == {"yaml", "checkpoint", "onnx"}


def test_a_run_whose_trials_were_removed_goes_on_with_what_its_models_hold(evoyolo, run):
    evoyolo("resume", run)
    before = load_run(run)
    shutil.rmtree(run / "trials")
    kept = checksums(run / "models")
    assert json.loads(evoyolo("pick", run))["key"] in {e.key for e in before.front}
    assert "evaluated models" in evoyolo("front", run) and "no search is running" in evoyolo("status", run)
    said = evoyolo("resume", run)  # nothing is left to search: the front is delivered again
    assert "keeps no" not in said and checksums(run / "models") == kept
    assert all(model["files"] for model in json.loads((run / "front.json").read_text())["front"])
    evoyolo("resume", run, "--max-evaluations", len(before.evaluations) + 1)
    after = {e.key: (e.ended_at, e.attempts) for e in load_run(run).evaluations}
    assert after.keys() > {e.key for e in before.evaluations}
    assert all(after[e.key] == (e.ended_at, 1) for e in before.evaluations)
