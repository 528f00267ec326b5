"""A run's folder that holds files of the user's: nothing of them is replaced, and a refused search leaves all as it was."""

import pytest

from nas.launch.config import commented_yaml, load_config, make_config
from nas.launch.kept import settings_kept
from nas.storage.folder import RunFolder
from nas.storage.written import Written
from search_spaces import InputError


@pytest.fixture
def config(tmp_path):
    return make_config({"directory": str(tmp_path), "max_evaluations": 3}, "test")


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def keep(config, profiles=(), ending=None, stored=False):
    with settings_kept(config, profiles):
        if stored:
            RunFolder(config.run_directory).store.touch()
        if ending:
            raise ending


OTHERS = {"trials.txt": "mine", "devices/pi.json": "mine", "models/mine.txt": "mine"}


@pytest.mark.parametrize("name", ["front.csv", "front.json", "front.png", "search.yaml", "devices/board.json"])
def test_a_file_of_the_users_is_refused_up_front_by_its_name(config, board, tmp_path, name):
    mine = "# mine\nepochs: 3\n" if name == "search.yaml" else "mine"
    for path, text in {**OTHERS, name: mine}.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
    before = contents(tmp_path)
    with pytest.raises(
        InputError, match=f"{tmp_path / name} (was not written by this run|is not as this run wrote it)"
    ):
        keep(config, [board])
    assert contents(tmp_path) == before


@pytest.mark.parametrize("name", ["trials", "models", "devices", "search.yaml", "front.png"])
def test_a_link_in_a_strangers_run_is_refused_before_anything_is_trained(config, tmp_path, name):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / name).symlink_to(elsewhere)
    with pytest.raises(InputError, match=f"{name} is a symbolic link"):
        keep(config)
    assert not list(elsewhere.iterdir())


def test_the_refusal_of_settings_says_what_to_put_there(config, tmp_path):
    (tmp_path / "search.yaml").write_text("# mine\nepochs: 3\n")
    with pytest.raises(InputError, match="put there epochs: 6, max_evaluations: 3, or name another folder"):
        keep(config)


def test_the_users_own_settings_stay_as_they_are_where_they_say_the_same(config, tmp_path):
    (tmp_path / "search.yaml").write_text("# mine\nmax_evaluations: 3\n")
    keep(config)
    assert (tmp_path / "search.yaml").read_text() == "# mine\nmax_evaluations: 3\n"


@pytest.mark.parametrize("named", ["data/data.yaml", "other.yaml", "gone"])
def test_the_users_own_settings_may_name_their_data_from_where_they_are(tmp_path, monkeypatch, named):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "search.yaml").write_text(f"# mine\ndata: {named}\n")
    config = make_config({"directory": ".", "data": str(tmp_path / "data" / "data.yaml")}, "test")
    if named == "data/data.yaml":
        keep(config)
    else:
        with pytest.raises(InputError, match=f"put there data: {tmp_path}/data/data.yaml, or name another"):
            keep(config)
    assert (tmp_path / "search.yaml").read_text() == f"# mine\ndata: {named}\n"


def test_a_file_as_init_writes_it_takes_the_settings_of_the_command_line(config, tmp_path):
    (tmp_path / "search.yaml").write_text(commented_yaml())
    keep(config)
    assert load_config(tmp_path / "search.yaml").max_evaluations == 3


@pytest.mark.parametrize("ending", [InputError("refused"), KeyboardInterrupt()])
def test_of_a_search_that_never_began_nothing_stays(config, board, tmp_path, ending):
    (tmp_path / "search.yaml").write_text(commented_yaml())
    (tmp_path / "devices").mkdir()
    before = contents(tmp_path)
    with pytest.raises(type(ending)):
        keep(config, [board], ending)
    assert contents(tmp_path) == before and (tmp_path / "devices").is_dir()


def test_a_run_begun_anew_where_one_was_removed_can_write_its_front(config, tmp_path):
    folder = RunFolder(tmp_path)
    keep(config, stored=True)
    Written(folder).write_text(folder.front_csv, "the first")
    folder.store.unlink()
    with pytest.raises(InputError, match="refused"):
        keep(config, ending=InputError("refused"))
    keep(config, stored=True)
    Written(folder).write_text(folder.front_csv, "the second")
    assert folder.front_csv.read_text() == "the second"


def test_settings_changed_by_hand_are_neither_replaced_nor_refused_on_resume(config, tmp_path):
    keep(config, stored=True)
    file = tmp_path / "search.yaml"
    changed = file.read_text().replace("max_evaluations: 3", "max_evaluations: 4  # mine")
    file.write_text(changed)
    more = make_config({"directory": str(tmp_path), "max_evaluations": 9}, "test")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nas.launch.kept.Run", lambda path: type("Run", (), {"events": []}))
        keep(more)  # options hold for this time
    assert file.read_text() == changed
