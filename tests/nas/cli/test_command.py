"""What all commands share: several values after a flag, help that can be read anywhere, and one line for what is wrong."""

import os
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
import typer

from nas.cli.command import at_home, repeat_flags
from nas.cli.main import app, main


def commands(command=None, path=()):
    """(words, command) of everything that has a help text."""
    command = command or typer.main.get_command(app)
    yield path, command
    for name, below in getattr(command, "commands", {}).items():
        yield from commands(below, (*path, name))


COMMANDS = [path for path, _ in commands()]
SINGLE = [path for path, command in commands() if not hasattr(command, "commands")]


def test_every_command_of_before_is_there():
    names = ["search", "resume", "status", "front", "pick", "show", "init", "dataset", "device"]
    device = [f"device {name}" for name in ("profile", "list", "show", "check", "pack", "fit")]
    assert {" ".join(path) for path in COMMANDS} >= {*names, "dataset check", "dataset convert", *device}


@pytest.mark.parametrize(
    ("given", "repeated"),
    [
        ("--rungs 3 9", "--rungs 3 --rungs 9"),
        ("a --rungs 3 9 --epochs 9 b", "a --rungs 3 --rungs 9 --epochs 9 b"),
        ("--device a --device b", "--device a --device b"),
        ("--device a b --device c", "--device a --device b --device c"),
        ("--rungs -1 .5 - --epochs 1", "--rungs -1 --rungs .5 --rungs - --epochs 1"),
        ("--device=a b", "--device=a b"),
        ("--rungs 3 -- --rungs 9", "--rungs 3 -- --rungs 9"),
        ("--epochs 3 9", "--epochs 3 9"),
    ],
)
def test_several_values_after_a_flag(given, repeated):
    assert repeat_flags(given.split(), {"--rungs", "--device"}) == repeated.split()


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("--output=~/out", "--output=/somewhere/out"),
        ("/a.json:~/b.json", "/a.json:/somewhere/b.json"),
        ("~/a", "/somewhere/a"),
        ("~", "~"),
        ("{a: ~}", "{a: ~}"),
        ("https://host/~me/a", "https://host/~me/a"),
        ("--x=~nobody-of-that-name/a", "--x=~nobody-of-that-name/a"),
    ],
)
def test_homes_that_a_shell_leaves_are_expanded(given, meant, monkeypatch):
    monkeypatch.setenv("HOME", "/somewhere")
    assert at_home(given) == meant


def test_a_flag_without_values_has_an_empty_one():
    assert repeat_flags(["--references", "--epochs", "3"], {"--references"}) == ["--references", "", "--epochs", "3"]


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_help_can_be_read_in_80_columns_and_ends_with_examples(path, capsys, monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    assert main([*path, "--help"]) == 0
    text = capsys.readouterr().out
    assert all(len(line) <= 80 for line in text.splitlines()) and "\x1b" not in text
    heading, examples = text.split("  Examples:\n")
    assert heading.startswith(" ".join(["Usage: evoyolo", *path]))
    lines = [line.strip() for line in examples.splitlines()]
    assert lines and lines[0].startswith(" ".join(["evoyolo", *path]))


@pytest.mark.parametrize("path", SINGLE, ids=" ".join)
def test_examples_use_options_that_there_are(path, capsys):
    main([*path, "--help"])
    heading, examples = capsys.readouterr().out.split("  Examples:\n")
    flags = set(re.findall(r"(?<![\w-])--[\w-]+", examples))
    assert flags <= set(re.findall(r"--[\w-]+", heading))


def test_help_shows_brackets_as_they_are(capsys):
    main(["search", "--help"])
    assert "such as [2, 6, 18];" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("arguments", "suggestion"),
    [
        (["stauts", "x"], "Did you mean 'status'?"),
        (["device", "shwo", "x"], "Did you mean 'show'?"),
        (["search", "--epoch", "3"], "--epochs"),
        (["resume", "x", "--max-evaluation", "3"], "--max-evaluations"),
        (["pick", "x", "--max-latency", "3"], "--max-latency-ms"),
        (["device", "pack", "x", "--runtimes", "ncnn", "openvino"], "--runtime"),
    ],
)
def test_what_is_mistyped_gets_a_suggestion(arguments, suggestion, capsys):
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert suggestion in error.splitlines()[-1] and "Traceback" not in error


@pytest.mark.parametrize(
    "arguments",
    [[], ["dataset"], ["status"], ["pick", "x", "--max-params", "few"], ["dataset", "convert", "yolo", "a", "b"]],
)
def test_usage_errors(arguments, capsys):
    assert main(arguments) == 2
    assert "Usage: evoyolo" in capsys.readouterr().err


def test_the_version_and_those_that_figures_depend_on(capsys):
    assert main(["--version"]) == 0
    told = dict(line.split() for line in capsys.readouterr().out.splitlines())
    assert told["python"] == sys.version.split()[0]
    for package in ("evoyolo", "torch", "ultralytics", "ray", "onnxruntime"):
        assert told[package] == version(package)


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        ("evoyolo sta", "status"),
        ("evoyolo device pro", "profile"),
        ("evoyolo search --exe", "--executor"),
        ("evoyolo search --executor h", "here"),
    ],
)
def test_the_shell_completes(words, completed):
    asked = {"_EVOYOLO_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split()) - 1)}
    command = [sys.executable, "-m", "nas.cli"]
    done = subprocess.run(command, env={**os.environ, **asked}, capture_output=True, text=True, check=False)
    assert done.stdout.split() == [completed]


@pytest.mark.parametrize(
    ("raised", "status", "said"),
    [
        (KeyboardInterrupt(), 130, "\nevoyolo: interrupted; the same command goes on, or begins again\n"),
        (KeyboardInterrupt("all is kept"), 130, "\nevoyolo: interrupted; all is kept\n"),
        (PermissionError(13, "Permission denied", "some/file"), 1, "evoyolo: some/file: Permission denied\n"),
        (OSError(28, "No space left on device"), 1, "evoyolo: status: No space left on device\n"),
    ],
)
def test_what_goes_wrong_is_one_line(raised, status, said, monkeypatch, capsys):
    def describe_status(directory):
        raise raised

    monkeypatch.setattr("nas.report.status.describe_status", describe_status)
    assert main(["status", "x"]) == status
    assert capsys.readouterr().err == said


def test_our_own_mistakes_keep_their_traceback(monkeypatch):
    monkeypatch.setattr("nas.report.status.describe_status", lambda directory: [].pop())
    with pytest.raises(IndexError):
        main(["status", "x"])


def test_a_reader_that_has_had_enough_is_no_error(tmp_path):
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "nas.cli", "init"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, cwd=tmp_path, env=environment)
    os.close(write)
    assert done.returncode == 0 and done.stderr == "" and (tmp_path / "search.yaml").exists()
