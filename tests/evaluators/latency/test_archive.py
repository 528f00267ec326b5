"""The archive that goes to a board: what is in it, what it needs, and that Python runs it as one file."""

import ast
import subprocess
import sys
import zipfile

import pytest

from evaluators.latency.archive import PACKAGE, write_archive
from evaluators.runtimes import RUNTIMES


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    path = tmp_path_factory.mktemp("archive") / "run.py"
    write_archive(path)
    return path


def test_it_holds_the_agent_and_the_runtimes_and_nothing_else(archive):
    rooms = {name.rpartition("/")[0] for name in zipfile.ZipFile(archive).namelist()}
    assert rooms == {"", PACKAGE, f"{PACKAGE}/latency", f"{PACKAGE}/latency/agent", f"{PACKAGE}/runtimes"}


def test_it_needs_nothing_but_numpy_and_a_runtime(archive):
    """It must go to a board alone: no import of ours, no syntax after Python 3.8."""
    imported = set()
    for name in zipfile.ZipFile(archive).namelist():
        tree = ast.parse(zipfile.ZipFile(archive).read(name), name, feature_version=(3, 8))
        imported |= {n.name for node in ast.walk(tree) if isinstance(node, ast.Import) for n in node.names}
        imported |= {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and not n.level}
    theirs = {"onnxruntime", "openvino", "ncnn", "torch"}
    tops = {name.split(".")[0] for name in imported}
    assert theirs < tops
    assert tops - theirs - {"numpy", PACKAGE} <= sys.stdlib_module_names


def test_annotations_are_never_evaluated(archive):
    """Python 3.8 knows none of the forms that they are written in."""
    for name in zipfile.ZipFile(archive).namelist():
        text = zipfile.ZipFile(archive).read(name).decode()
        annotated = any(isinstance(node, (ast.AnnAssign, ast.arg)) for node in ast.walk(ast.parse(text)))
        assert not annotated or "from __future__ import annotations" in text, name


def test_the_same_modules_make_the_same_bytes(archive, tmp_path):
    write_archive(tmp_path / "again.py")
    assert (tmp_path / "again.py").read_bytes() == archive.read_bytes()


def test_python_runs_it_as_one_file_and_its_help_needs_no_pack(archive):
    done = subprocess.run([sys.executable, str(archive), "--help"], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "resumes where it stopped" in done.stdout
    assert all(name in done.stdout for name in RUNTIMES)


def test_without_a_pack_beside_it_it_says_what_is_missing(archive):
    done = subprocess.run([sys.executable, str(archive)], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "manifest.json: cannot be read" in done.stderr and "Traceback" not in done.stderr
