"""A run's page as a file: where it goes, what it leaves alone, and runs of every kind."""

import os
import shutil
from pathlib import Path

import pytest

from nas import Objective, load_run, search
from nas.cli.main import main
from nas.delivery.page import write_page
from search_spaces import Choice, InputError, SearchSpace

SPACE = SearchSpace("toy", [Choice("depth", [1, 2, 3])])
OLD = Path(__file__).parents[2] / "data" / "run-0.1.0"
STORES = Path(__file__).parents[1] / "storage" / "data"


@pytest.fixture
def run(tmp_path):
    evaluate = lambda architecture: {"map50_95": architecture["depth"] / 9, "params": 10.0 * architecture["depth"]}  # noqa: E731
    objectives = [Objective("map50_95", "max"), Objective("params", "min")]
    return search(SPACE, evaluate, objectives, max_evaluations=3, algorithm="random", directory=tmp_path / "run")


def test_the_command_writes_into_the_run_and_says_where(run, capsys):
    capsys.readouterr()
    for _ in range(2):  # the second time over the first
        assert main(["report", str(run.directory)]) == 0
        said = capsys.readouterr().out
        assert said.startswith(f"wrote {run.directory}/report.html (0.") and run.folder.report.as_uri() in said
    assert run.front[0].key in run.folder.report.read_text(encoding="utf-8")


def test_what_somebody_else_wrote_stays(run, tmp_path, capsys):
    mine = tmp_path / "mine.html"
    mine.write_text("my own")
    assert main(["report", str(run.directory), "--output", str(mine)]) == 1
    assert capsys.readouterr().err == (
        f"evoyolo: {mine} exists and is no page of `evoyolo report`; it is left as it is: name another file\n"
    )
    assert mine.read_text() == "my own"
    with pytest.raises(InputError, match="is no page"):
        write_page(run, tmp_path)
    os.symlink(tmp_path / "nowhere", tmp_path / "link.html")
    with pytest.raises(InputError, match="is no page"):
        write_page(run, tmp_path / "link.html")
    os.symlink(mine, run.folder.path / "report.html")
    with pytest.raises(InputError, match="symbolic link"):
        write_page(run)


def test_a_page_is_there_whole_or_not_at_all(run, tmp_path, monkeypatch):
    path = write_page(run, tmp_path / "page.html")
    before = path.read_bytes()
    monkeypatch.setattr("search_spaces.writing.move", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left")))
    with pytest.raises(OSError):
        write_page(run, path)
    assert path.read_bytes() == before and [each.name for each in tmp_path.iterdir() if each.is_file()] == ["page.html"]


def test_a_folder_without_a_run(tmp_path, capsys):
    assert main(["report", str(tmp_path)]) == 1
    assert "holds no run" in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_files_of_models_are_named_where_they_are(run):
    model = run.folder.model(run.front[0].key)
    model.mkdir(parents=True)
    (model / "best.pt").touch()
    assert f'"{model / "best.pt"}"' in write_page(run).read_text(encoding="utf-8")


def test_runs_of_earlier_versions(tmp_path):
    old = shutil.copytree(OLD, tmp_path / "run")
    text = write_page(load_run(old)).read_text(encoding="utf-8")
    assert all(e.key in text for e in load_run(old).evaluations) and '"stem"' in text
    for store in STORES.glob("store-v*.sqlite"):
        folder = tmp_path / store.stem
        folder.mkdir()
        shutil.copy(store, folder / "store.sqlite")
        assert write_page(load_run(folder)).stat().st_size > 20_000
