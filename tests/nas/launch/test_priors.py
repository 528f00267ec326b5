"""The accuracy prior of a search: which one, and that a run that is resumed goes on with its own."""

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

import evaluators.prior
from evaluators.ground_truth.features import NAMES
from evaluators.prior import AccuracyPrior, Seen
from nas import Objective, search
from nas.algorithms import ALGORITHMS
from nas.algorithms.random import RandomSearch
from nas.launch.config import SearchConfig
from nas.launch.priors import find_prior
from nas.launch.start import start
from nas.storage.folder import RunFolder
from nas.storage.store import Store
from search_spaces import InputError, YoloSpace

OLD = Path(__file__).parents[2] / "data" / "run-0.1.0"


@pytest.fixture
def prior():
    """More MACs, more accuracy."""
    zeros = [0.0] * len(NAMES)
    return AccuracyPrior(
        family="yolov8",
        features=list(NAMES),
        means=zeros,
        scales=[1.0] * len(NAMES),
        lows=[-100.0] * len(NAMES),
        highs=[100.0] * len(NAMES),
        coefficients=[float(name == "log_macs") for name in NAMES],
        strength=1.0,
        deviation=0.5,
        data_sets={"scenes": Seen(data="scenes", architectures=60, epochs=9, num_classes=3, kendall_tau=0.7)},
    )


@pytest.fixture
def shipped(prior, tmp_path, monkeypatch):
    monkeypatch.setattr(evaluators.prior, "SHIPPED", tmp_path)
    (tmp_path / "yolov8.json").write_text(prior.to_json())
    return tmp_path


def test_auto_is_the_one_that_ships_and_none_is_none(shipped, prior, tmp_path):
    space = YoloSpace()
    assert find_prior(SearchConfig(), space, resume=False) == prior
    assert find_prior(SearchConfig(prior="none"), space, resume=False) is None
    assert find_prior(SearchConfig(objectives=["params:min", "map50_95:max"]), space, resume=False) is None
    (tmp_path / "mine.json").write_text(prior.model_copy(update={"deviation": 0.25}).to_json())
    assert find_prior(SearchConfig(prior=str(tmp_path / "mine.json")), space, resume=False).deviation == 0.25
    (shipped / "yolov8.json").unlink()
    assert find_prior(SearchConfig(), space, resume=False) is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"family": "yolox"}, "model family 'yolox', not of 'yolov8'"), ({"evoyolo_prior": 9}, "version 9 is not known")],
)
def test_one_that_does_not_fit_is_refused(prior, tmp_path, changes, said):
    (tmp_path / "mine.json").write_text(json.dumps({**prior.model_dump(), **changes}))
    with pytest.raises(InputError, match=rf"mine\.json.* {said}"):
        find_prior(SearchConfig(prior=str(tmp_path / "mine.json")), YoloSpace(), resume=False)
    with pytest.raises(InputError, match=r"prior: nothing\.json: cannot be read.*auto, none or a file"):
        find_prior(SearchConfig(prior="nothing.json"), YoloSpace(), resume=False)


def test_a_run_that_is_resumed_keeps_the_one_that_it_was_begun_with(shipped, prior, tmp_path):
    run = Path(shutil.copytree(OLD, tmp_path / "run"))
    config = SearchConfig(directory=str(run))
    assert find_prior(config, YoloSpace(), resume=True) is None  # there was none then, whatever ships now

    def keep(content):
        with Store.open(RunFolder(run).store, YoloSpace()) as store:
            store.set_meta("settings", {**store.get_meta("settings"), "prior": content})

    kept = prior.model_copy(update={"deviation": 0.125})
    keep(kept.model_dump())
    assert find_prior(config, YoloSpace(), resume=True) == kept
    for wrong in (3, {"evoyolo_prior": 1}, {**kept.model_dump(), "means": "x"}):
        keep(wrong)
        with pytest.raises(InputError, match="accuracy prior that this run was begun with"):
            find_prior(config, YoloSpace(), resume=True)


def test_a_search_begins_with_it_says_so_and_keeps_it(shipped, prior, tmp_path, small_data, board, monkeypatch):
    board.save(tmp_path / "board.json")
    given = {}

    def caught(*positional, **named):
        given.update(named)
        raise InputError("no further")

    monkeypatch.setattr("nas.launch.start.search", caught)
    config = SearchConfig(
        directory=str(tmp_path / "run"),
        data=str(small_data),
        restrict={"image_size": [320]},
        device=[str(tmp_path / "board.json")],
        executor="here",
    )
    said = io.StringIO()
    with pytest.raises(InputError, match="no further"):
        start(config, Console(file=said, width=200))
    some = [YoloSpace().preset(name, image_size=320) for name in ("yolov8n", "csppc")]
    np.testing.assert_array_equal(given["prior"](some), prior.predict(some, 4))
    assert AccuracyPrior.from_content(json.loads(json.dumps(given["settings"]["prior"]))) == prior
    assert "as trainings on scenes tell; on each, unseen, its Kendall tau with accuracy was 0.70" in said.getvalue()


def test_the_algorithm_is_told_it(tmp_path, monkeypatch):
    told = []

    class Told(RandomSearch):
        name = "told"

        def __init__(self, *args, **options):
            super().__init__(*args, **options)
            told.append(self.prior)

    monkeypatch.setitem(ALGORITHMS, "told", Told)

    def believed(architectures):
        return np.zeros(len(architectures))

    for prior in (None, believed):
        search(
            YoloSpace().restrict({"image_size": [96]}),
            lambda architecture: {"gain": 1.0},
            [Objective("gain", "max")],
            max_evaluations=1,
            algorithm="told",
            prior=prior,
            directory=tmp_path / f"run{len(told)}",
        )
    assert told == [None, believed]
