"""The README's Python runs as it stands, and its commands exist."""

import re
from pathlib import Path

import pytest

from nas.cli.main import main

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_python_blocks_run(block, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(compile(block, "README.md", "exec"), names)
    assert names


def test_commands_exist(capsys):
    commands = set(re.findall(r"^    evoyolo (\w+)", README, flags=re.MULTILINE))
    assert {"search", "resume", "front", "pick", "show", "init", "dataset"} <= commands
    for command in commands:
        with pytest.raises(SystemExit) as ended:
            main([command, "--help"])
        assert ended.value.code == 0 and "usage: evoyolo" in capsys.readouterr().out
