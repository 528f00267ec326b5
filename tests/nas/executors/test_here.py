"""Evaluations in this process on a terminal: what they make of stdout is theirs, and the terminal stays the search's."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pty = pytest.importorskip("pty")
pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]

SEARCH = """
import contextlib, sys, time
from nas import Objective, search
from nas.report.terminal import make_console
from nas.report.progress import Progress
from search_spaces import Choice, SearchSpace

def evaluate(architecture):  # as a training does: its own log is stdout for a while
    with open(sys.argv[1], "a") as log, contextlib.redirect_stdout(log), contextlib.redirect_stderr(log):
        print("epoch 1", flush=True)
        time.sleep(3)
    return {"gain": 1.0}

objectives = [Objective("gain", "max")]
space = SearchSpace("toy", [Choice("a", list(range(9)))])
progress = Progress(objectives, 9, make_console())
search(space, evaluate, objectives, max_evaluations=9, algorithm="random", directory=sys.argv[2], progress=progress)
"""


def test_the_table_and_what_is_said_are_on_the_terminal_and_not_in_the_log(tmp_path):
    ours, theirs = pty.openpty()
    log = tmp_path / "train.log"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": "100"}
    process = subprocess.Popen(
        [sys.executable, "-c", SEARCH, log, tmp_path / "run"],
        stdin=theirs, stdout=theirs, stderr=theirs, env=environment, start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    while not log.exists() or "epoch 1" not in log.read_text():
        assert process.poll() is None
        time.sleep(0.05)
    time.sleep(1.2)  # the table is drawn twice a second
    process.send_signal(signal.SIGINT)
    seen = b""
    try:
        while part := os.read(ours, 65536):
            seen += part
    except OSError:  # the other end is closed
        pass
    os.close(ours)
    assert process.wait() == 0
    terminal = seen.decode(errors="replace")
    assert terminal.count("0/9 evaluated") >= 2 and "stopping: nothing more is started" in terminal
    assert log.read_text() == "epoch 1\n"
