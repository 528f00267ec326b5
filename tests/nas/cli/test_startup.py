"""What only reads answers at once: which modules are loaded afterwards, by a process of its own."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from nas import Objective, search
from search_spaces import Choice, SearchSpace

ROOT = Path(__file__).parents[3]
HEAVY = {"torch", "ultralytics", "ray", "pandas", "matplotlib", "sklearn", "scipy", "cv2", "onnx", "onnxruntime"}
SCRIPT = """
import sys
from nas.cli import main
status = main(sys.argv[1:])
print("LOADED", *sorted({module.partition(".")[0] for module in sys.modules}))
sys.exit(status)
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The folder of a finished run whose front has its files."""
    space = SearchSpace("toy", [Choice("depth", [1, 2, 3])])
    done = search(
        space,
        lambda a: {"map50_95": a["depth"] / 10, "latency_ms": float(a["depth"])},
        [Objective("map50_95", "max"), Objective("latency_ms", "min")],
        max_evaluations=3,
        algorithm="random",
        directory=tmp_path_factory.mktemp("start") / "run",
    )
    for evaluation in done.front:
        folder = done.directory / "models" / evaluation.key
        folder.mkdir(parents=True)
        for name in ("model.yaml", "best.pt", "model.onnx"):
            (folder / name).write_text(evaluation.key)
    return done.directory


def started(*arguments):
    """(what it printed, names of the packages that are loaded)."""
    command = [sys.executable, "-c", SCRIPT, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    said, _, loaded = done.stdout.rpartition("LOADED ")
    return said, set(loaded.split())


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["status", "--help"], ["device", "pack", "--help"]])
def test_help_loads_nothing_but_the_command_line(arguments):
    said, loaded = started(*arguments)
    assert said and not loaded & {*HEAVY, "numpy", "rich", "yaml", "search_spaces", "evaluators"}


def test_status_loads_neither_frameworks_nor_the_terminal(run):
    said, loaded = started("status", run)
    assert "3 of 3 evaluated" in said and not loaded & {*HEAVY, "rich", "yaml"}


def test_front_loads_no_frameworks(run):
    said, loaded = started("front", run)
    assert "3 of 3 evaluated models" in said and not loaded & HEAVY


def test_pick_loads_no_frameworks_for_files_that_are_there(run, tmp_path):
    said, loaded = started("pick", run, "--max-latency-ms", "2", "--output", tmp_path / "out")
    assert not loaded & HEAVY
    picked = json.loads(said)
    assert picked["map50_95"] == 0.2
    for path in picked["files"].values():
        assert Path(path).parent == tmp_path / "out" and Path(path).read_text() == picked["key"]


@pytest.mark.parametrize(("name", "option"), [("search", "--max-latency-ms"), ("resume", "--trial-minutes")])
def test_the_options_of_a_search_load_no_frameworks(name, option):
    said, loaded = started(name, "--help")
    assert option in said and not loaded & (HEAVY - {"cv2"})
