"""The benchmark for GPUs stays ready: it runs on a CPU, with little to do."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LITTLE = ["--device", "cpu", "--preset", "yolov8-w1/16", "--size", "64", "--epochs", "1", "--train", "16", "--val", "8"]

pytestmark = pytest.mark.slow


def run(*options):
    environment = {**os.environ, "PYTHON": sys.executable}
    command = [ROOT / "benchmarks" / "gpu.sh", *options]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


def test_it_trains_and_judges(tmp_path):
    done = run(tmp_path / "t", *LITTLE, "--one", "auto", "--folder", tmp_path / "one")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["precision"] == "fp32" and found["seconds"] > 0 and 0 <= found["map50_95"] <= 1
    assert Path(found["checkpoint"]).parent == tmp_path / "one"


def test_it_ends_in_time_with_a_table_that_says_what_could_not_be_done(tmp_path):
    done = run(tmp_path / "folder" / "table.txt", *LITTLE, "--seconds", "0")
    assert done.returncode == 0, done.stderr
    table = (tmp_path / "folder" / "table.txt").read_text()
    assert table in done.stdout and "yolov8-w1/16 at 64 px" in table
    assert table.count("the time was up") == 6  # three precisions, three runtimes
