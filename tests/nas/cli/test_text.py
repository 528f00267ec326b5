"""What strangers wrote, in files and folders and messages, is printed as text by every command that shows it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nas.cli.main import main
from nas.storage.store import Store
from search_spaces import Choice, InputError, SearchSpace
from search_spaces.text import printable

HOSTILE = st.text(st.sampled_from("ab [/]:$`'\\\x1b\x9b\x07\n\r\t\u202e図"), min_size=1, max_size=30)
OBEYED = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]")


def folder_of(tmp_path, text):
    """A run's folder that holds `text` wherever a stranger's run can."""
    directory = tmp_path / f"run {text.replace('/', '|')}"
    directory.mkdir()
    space = SearchSpace("toy", [Choice("depth", [1, 2, 3])])
    first, second, third = space.enumerate()
    sought = {"objectives": [["map50_95", "max"]], "references": {text: first.key}}
    with Store.create(directory / "store.sqlite", space=space, settings=sought) as store:
        for architecture in (first, second, third):
            store.asked(architecture, {})
            store.running(architecture, node=text)
        store.finished(first, {"map50_95": 0.5, text: 1.0}, seconds=1.0, node=text)
        store.failed(second, text, seconds=1.0, node=text)
        store.retried(third, text, node=text)
    return directory


@given(HOSTILE)
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_runs_of_strangers_are_shown_as_text(tmp_path_factory, capsys, text):
    directory = folder_of(tmp_path_factory.mktemp("stranger"), text)
    assert main(["status", str(directory)]) == 0
    status = capsys.readouterr().out
    assert main(["front", str(directory)]) == 0
    front = capsys.readouterr().out
    assert not OBEYED.search(status) and not OBEYED.search(front)
    shown = " ".join(printable(text).split())
    assert f"failed once: {shown}" in " ".join(status.split())
    assert f"the last time because {shown}" in " ".join(status.split())
    assert printable(directory) in status and printable(directory) in front


def test_an_error_is_one_line_of_text(monkeypatch, capsys):
    def describe_status(directory):
        raise InputError("photos/\x1b]0;x\x07\nb.jpg: [red]:smile:")

    monkeypatch.setattr("nas.report.status.describe_status", describe_status)
    assert main(["status", "x"]) == 1
    assert capsys.readouterr().err == "evoyolo: photos/\\x1b]0;x\\x07 b.jpg: [red]:smile:\n"


def test_an_error_of_the_system_is_one_line_of_text(monkeypatch, capsys):
    def describe_status(directory):
        raise PermissionError(13, "Permission denied", "some\x1b[31m/file")

    monkeypatch.setattr("nas.report.status.describe_status", describe_status)
    assert main(["status", "x"]) == 1
    assert capsys.readouterr().err == "evoyolo: some\\x1b[31m/file: Permission denied\n"


@pytest.mark.slow
def test_a_terminal_that_lacks_the_letters_ends_nothing(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3]), "PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "-m", "nas.cli", "init", "é.yaml"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, check=False)
    assert done.returncode == 0 and done.stdout.startswith("wrote \\xe9.yaml; change it, then run `evoyolo search")


def test_suggested_commands_name_the_file_that_was_written(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["init", "--", "-my [v2].yaml"]) == 0
    assert "then run `evoyolo search './-my [v2].yaml'`" in capsys.readouterr().out
    assert (tmp_path / "-my [v2].yaml").exists()
