"""The README's Python does what it says, and its commands and their options exist."""

import re
import shlex
from pathlib import Path

import pytest

from nas.cli.main import main

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
LINES = re.findall(r"^    (evoyolo .*?)(?:  +#.*)?$", README, flags=re.MULTILINE)
SUBCOMMANDS = ("dataset", "device")


def ran(block):
    """The names that a block defines."""
    names = {}
    exec(compile(block, "README.md", "exec"), names)
    return names


def test_the_toy_search_is_what_it_says(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (block,) = (block for block in BLOCKS if "search(" in block)
    names = ran(block)
    printed = capsys.readouterr().out
    run, evaluate = names["run"], names["evaluate"]
    assert run.directory == Path("results/toy") and (tmp_path / "results/toy/store.sqlite").exists()
    assert len(run.all_evaluations) == 10 and run.front
    for evaluation in run.evaluations:
        assert evaluation.metrics == evaluate(evaluation.architecture)
        assert ("skip" in evaluation.architecture.to_dict()) == (evaluation.architecture["depth"] > 1)
    within = [e.metrics for e in run.evaluations if e.metrics["latency_ms"] <= 2.0]
    for evaluation in run.front:
        figures = evaluation.metrics
        assert figures["latency_ms"] <= 2.0
        assert not any(
            m["map50_95"] > figures["map50_95"]
            and m["latency_ms"] <= figures["latency_ms"]
            or m["map50_95"] >= figures["map50_95"]
            and m["latency_ms"] < figures["latency_ms"]
            for m in within
        )
        assert f"{evaluation.architecture.to_dict()} {figures}" in printed


def test_the_recipe_has_the_parameters_that_it_says(tmp_path, monkeypatch):
    from ultralytics.nn.tasks import DetectionModel

    monkeypatch.chdir(tmp_path)
    (block,) = (block for block in BLOCKS if "build_model(" in block)
    names = ran(block)
    (said,) = map(int, re.findall(r"# array\(\[(\d+)\]\)", block))
    assert names["complexity"]([names["recipe"]], num_classes=1).params.tolist() == [said]
    assert isinstance(names["model"], DetectionModel)
    assert sum(parameter.numel() for parameter in names["model"].parameters()) == said
    assert "light-recipe" in names["yolo"].presets


def test_every_block_is_tested():
    assert len(BLOCKS) == 2


def test_the_commands_are_there():
    named = {line.split()[1] for line in LINES}
    assert {"search", "resume", "status", "front", "pick", "show", "init", "dataset", "device"} <= named


@pytest.mark.parametrize("line", LINES)
def test_commands_and_options_exist(line, capsys):
    words = shlex.split(line)[1:]
    path = words[: 1 + (words[0] in SUBCOMMANDS)]
    path = [word for word in path if not word.startswith("-")]
    assert main([*path, "--help"]) == 0
    options = set(re.findall(r"--[\w-]+", capsys.readouterr().out))
    assert {word for word in words if word.startswith("--")} <= options


def test_the_tests_that_documents_name_are_there():
    root = Path(__file__).parents[1]
    for document in (*root.glob("docs/*.md"), *root.glob("results/**/*.md"), root / "CONTRIBUTING.md"):
        text, file = "", ""
        for path, name in re.findall(r"`(tests/[\w/]+\.py)?(?:::(test_\w+))?", document.read_text(encoding="utf-8")):
            if path:
                file, text = path, (root / path).read_text(encoding="utf-8")
            assert not name or f"def {name}(" in text, f"{document}: {file}::{name}"
