"""Ctrl-C at any moment of a search: one line that says how to go on, nothing half written, and a second try works."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name != "posix", reason="sends signals")]

ROOT = Path(__file__).parents[3]
SMALL = [
    "--executor", "here", "--epochs", "1", "--batch", "8", "--references", "yolov8-w1/16", "--max-evaluations", "1",
    "--restrict", "{image_size: [64], p2_width: [8, 16], p3_width: [16, 32], p4_width: [32], p5_width: [128]}",
]  # fmt: skip
BEGUN = (130, -signal.SIGINT)  # Python, interrupted in a module of C, ends by the signal, which a shell calls 130 too


def heed_interrupts():
    """Undo what a shell does to a job in the background, which its children inherit: Python would have no KeyboardInterrupt."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.fixture
def begin(tmp_path, small_data):
    """The function that starts a search in its own group of processes, as a terminal does."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",
        "EVOYOLO_CACHE": str(tmp_path / "cache"),
    }

    def begin(*arguments):
        command = [sys.executable, "-m", "nas.cli", *map(str, arguments or ("search", "--data", small_data, *SMALL))]
        return subprocess.Popen(
            command, cwd=tmp_path, env=environment, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, preexec_fn=heed_interrupts,
        )  # fmt: skip

    return begin


def interrupt(process):
    """Interrupt it and let it end; what it says then."""
    os.killpg(process.pid, signal.SIGINT)
    try:
        output, error = process.communicate(timeout=60)
    except subprocess.TimeoutExpired:  # it fell into a hook of the interpreter, which tells of it and goes on
        os.killpg(process.pid, signal.SIGINT)
        output, error = process.communicate(timeout=60)
    error = re.sub(r"Exception ignored in.*?\nKeyboardInterrupt: *\n+", "", error, flags=re.DOTALL)
    assert process.returncode in BEGUN, error
    assert "Traceback" not in output + error and error.count("\n") == 2, error  # ^C stands on the first
    return error.strip()


def until(process, text):
    assert any(text in line for line in process.stdout), process.stderr.read()


@pytest.mark.parametrize("seconds", [0.3, 1.0, 1.8])
def test_while_it_is_being_imported(begin, tmp_path, seconds):
    process = begin()
    time.sleep(seconds)
    assert "evoyolo: interrupted; " in interrupt(process)
    # on a fast machine it has come to measuring, of which nothing half made may stay
    assert {path.name for path in tmp_path.iterdir()} <= {"cache"}
    assert not list((tmp_path / "cache" / "profiles").rglob(".*"))


def test_while_this_machine_is_measured(begin, tmp_path, small_data):
    search = ("search", "--data", small_data, *SMALL, "--profile-models", "5")
    process = begin(*search)
    until(process, "exported 2/")
    assert "no search was begun" in interrupt(process) and not (tmp_path / "results").exists()
    assert not [
        path for path in (tmp_path / "cache" / "profiles").rglob("*") if path.is_file()
    ]  # half a pack is of no use
    process = begin(*search)
    until(process, "exported 6/6")
    time.sleep(2)
    assert "what was measured of this machine is kept; the same command goes on" in interrupt(process)
    process = begin(*search)
    until(process, "going on with what")
    interrupt(process)


def test_during_the_export_after_the_search(begin, tmp_path, small_data, board):
    board.save(tmp_path / "board.json")
    process = begin("search", "--data", small_data, *SMALL, "--device", "board.json")
    until(process, "the front is exported")
    assert "every result is kept, `evoyolo resume results/search` goes on" in interrupt(process)
    models = tmp_path / "results" / "search" / "models"
    assert all(path.name in ("model.yaml", "best.pt", "model.onnx") for path in models.rglob("*") if path.is_file())
    resumed = begin("resume", "results/search")
    output, error = resumed.communicate(timeout=120)
    assert resumed.returncode == 0, error
    assert "checkpoints of the front" in output and (tmp_path / "results" / "search" / "front.csv").exists()


@pytest.mark.ray
def test_while_ray_starts(begin, tmp_path, small_data, board):
    board.save(tmp_path / "board.json")
    process = begin("search", "--data", small_data, *SMALL, "--device", "board.json", "--executor", "ray")
    until(process, "run folder results/search")
    time.sleep(1)
    os.killpg(process.pid, signal.SIGINT)
    if any("stopping: nothing more is started" in line for line in process.stdout):
        assert "evoyolo: interrupted; " in interrupt(process)
    else:  # on a busy machine it has not come to Ray by then, and ends at once
        assert process.wait(60) in BEGUN and "evoyolo: interrupted; " in process.stderr.read()
