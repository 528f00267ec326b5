"""The house rules: imports go one way and in no circle, the terminal is at the top, what must start quickly loads little."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAY_IMPORT = {
    "search_spaces": {"search_spaces"},
    "evaluators": {"search_spaces", "evaluators"},
    "nas": {"search_spaces", "evaluators", "nas"},
}
# Rooms of nas, from the lowest up; a room may import those of its own floor and below.
FLOORS = [
    {"objectives", "formatting", "options", "durations", "noise"},
    {"storage"},
    {"algorithms"},
    {"schedulers"},
    {"session"},
    {"executors"},
    {"simulation"},
    {"report"},
    {"delivery", "devices"},
    {"launch"},
    {"cli"},
]
TERMINAL = {"report", "delivery", "devices", "launch", "cli"}  # rooms of nas that may import rich
HEAVY = {"torch", "ultralytics", "ray", "pandas", "matplotlib", "sklearn", "scipy"}
LIGHT = [
    "search_spaces",
    "evaluators",
    "evaluators.latency",
    "evaluators.latency.profile",
    "nas",
    "nas.algorithms",
    "nas.cli",
    "nas.delivery.handover",
    "nas.delivery.selection",
    "nas.launch.config",
    "nas.report.devices",
    "nas.report.front",
    "nas.report.page.collect",
    "nas.report.page.render",
    "nas.report.status",
    "nas.storage.run",
]


def house(root: Path = ROOT) -> dict[str, Path]:
    """Dotted name -> file, of all modules."""
    found = {}
    for package in MAY_IMPORT:
        for path in (root / package).rglob("*.py"):
            parts = path.relative_to(root).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def nodes(tree: ast.AST, typing: bool) -> Iterator[ast.AST]:
    """All nodes, inside of functions too; without `typing`, not those that only a type checker sees."""
    for node in ast.iter_child_nodes(tree):
        if not typing and isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        yield node
        yield from nodes(node, typing)


def imported(path: Path, root: Path = ROOT, typing: bool = True) -> Iterator[str]:
    """Dotted names that the module imports, relative ones resolved."""
    package = path.relative_to(root).parts[:-1]
    for node in nodes(ast.parse(path.read_text(encoding="utf-8")), typing):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            yield from (".".join([*base, *filter(None, [node.module]), alias.name]) for alias in node.names)


def module_of(name: str, modules: dict[str, Path]) -> str | None:
    """The module of the house that a dotted name is, or is in."""
    while name and name not in modules:
        name = name.rpartition(".")[0]
    return name or None


def circle(root: Path = ROOT) -> list[str]:
    """Modules that import one another in turn; empty where there are none."""
    modules = house(root)
    graph = {}
    for name, path in modules.items():
        targets = {module_of(target, modules) for target in imported(path, root, typing=False)}
        graph[name] = targets - {None, name}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return []


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_imports_go_one_way(package: str) -> None:
    paths = [path for name, path in house().items() if name.split(".")[0] == package]
    assert paths
    for path in paths:
        for name in imported(path):
            top = name.split(".")[0]
            assert top not in MAY_IMPORT or top in MAY_IMPORT[package], f"{path} imports {name}"


def test_no_room_of_nas_imports_a_higher_one() -> None:
    floor = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
    modules, wrong = house(), []
    for name, path in modules.items():
        if not name.startswith("nas."):
            continue
        for target in imported(path):
            module = module_of(target, modules)
            if module and module.startswith("nas.") and floor[module.split(".")[1]] > floor[name.split(".")[1]]:
                wrong.append(f"{name} imports {module}")
            if module == "nas":
                wrong.append(f"{name} imports nas itself, which is for users")
    assert not wrong


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert circle() == []


def test_a_circle_inside_of_a_function_is_found(tmp_path: Path) -> None:
    (tmp_path / "nas").mkdir()
    (tmp_path / "nas" / "a.py").write_text("from .b import this\n")
    (tmp_path / "nas" / "b.py").write_text("def this():\n    from . import a\n")
    assert set(circle(tmp_path)) == {"nas.a", "nas.b"}


def test_only_what_reports_imports_the_terminal() -> None:
    for name, path in house().items():
        if "rich" in {target.split(".")[0] for target in imported(path)}:
            package, room = (*name.split("."), "")[:2]
            assert package == "nas" and room in TERMINAL, f"{name} imports rich"


@pytest.mark.parametrize("module", LIGHT)
def test_nothing_heavy_is_imported_where_it_has_no_place(module: str) -> None:
    script = f"import sys, {module}; print(*sorted({HEAVY!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.split() == []
