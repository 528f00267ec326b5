"""The house rule: search_spaces <- evaluators <- nas; nothing imports upward and nothing imports the command line."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAY_IMPORT = {
    "search_spaces": {"search_spaces"},
    "evaluators": {"search_spaces", "evaluators"},
    "nas": {"search_spaces", "evaluators", "nas"},
}


def imported(path: Path):
    """Dotted names that the module imports, relative ones resolved."""
    package = path.relative_to(ROOT).with_suffix("").parts[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            yield from (".".join([*base, *filter(None, [node.module]), alias.name]) for alias in node.names)


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_imports_go_one_way(room):
    modules = [p for p in (ROOT / room).rglob("*.py")]
    assert modules
    for path in modules:
        for name in imported(path):
            top = name.split(".")[0]
            assert top not in MAY_IMPORT or top in MAY_IMPORT[room], f"{path} imports {name}"
            assert not name.startswith("nas.cli"), f"{path} imports the command line"
