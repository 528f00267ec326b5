"""Where everything in a run's folder is."""

import pytest

from nas.storage.folder import RunFolder
from search_spaces import InputError


def test_the_layout_of_a_run_is_what_users_know(tmp_path):
    folder = RunFolder(str(tmp_path))
    trial = folder.trial("0a1b")
    named = {
        folder.store: "store.sqlite",
        folder.config: "search.yaml",
        trial.path: "trials/0a1b",
        trial.error: "trials/0a1b/error.txt",
        trial.outcome(None): "trials/0a1b/outcome.json",
        trial.outcome(2.5): "trials/0a1b/outcome-2.5.json",
        trial.hung(60.0): "trials/0a1b/hung-60.txt",
        folder.model("0a1b"): "models/0a1b",
        folder.device("pi4"): "devices/pi4.json",
        folder.front_json: "front.json",
        folder.front_csv: "front.csv",
        folder.front_png: "front.png",
    }
    assert {path.relative_to(tmp_path).as_posix(): name for path, name in named.items()} == {
        name: name for name in named.values()
    }


def test_whether_there_is_a_run_and_how_to_go_on(tmp_path):
    folder = RunFolder(tmp_path)
    assert not folder.exists
    with pytest.raises(InputError, match="holds no run .there is no store.sqlite in it"):
        folder.check_exists()
    folder.store.touch()
    folder.check_exists()
    assert folder.how_to_resume() == f"call `search` again with directory={str(tmp_path)!r} and resume=True"
    folder.config.touch()
    assert folder.how_to_resume() == f"run `evoyolo resume {tmp_path}`"


@pytest.mark.parametrize(
    "name", ["store.sqlite", "search.yaml", "trials", "models", "devices", "front.csv", ".written.json"]
)
def test_no_path_of_a_strangers_run_leads_out_of_it(tmp_path, name):
    run, mine = RunFolder(tmp_path / "run"), tmp_path / "mine"
    mine.mkdir()
    run.path.mkdir()
    (run.path / name).symlink_to(mine)
    paths = {
        "store.sqlite": lambda: run.exists,
        "search.yaml": lambda: run.config,
        "trials": lambda: run.trial("0a1b"),
        "models": lambda: run.model("0a1b"),
        "devices": lambda: run.device("pi"),
        "front.csv": lambda: run.front_csv,
        ".written.json": lambda: run.written,
    }
    with pytest.raises(InputError, match=f"{name} is a symbolic link"):
        paths[name]()
    with pytest.raises(InputError, match=f"{name} is a symbolic link"):
        run.check()
    with pytest.raises(InputError, match="leads out of"):
        RunFolder(tmp_path).device("../../pi")
