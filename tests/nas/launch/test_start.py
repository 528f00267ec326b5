"""The search from start to end: what is done for a run of an earlier version, and what is refused before it takes time."""

import io
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from rich.console import Console

import evaluators.detector
from evaluators import complexity
from evaluators.formats.onnx import onnx_facts
from evaluators.latency import agent
from nas import Run, load_run, pick
from nas.launch.config import SearchConfig, make_config
from nas.launch.start import _check_predictable, _predict_again, _recipe, resume, start
from nas.storage.folder import RunFolder
from nas.storage.store import Store
from search_spaces import InputError, YoloSpace

OLD = Path(__file__).parents[2] / "data" / "run-0.1.0"


@pytest.fixture
def old_run(tmp_path):
    """A run of version 0.1.0, which measured latency beside its trainings."""
    return Path(shutil.copytree(OLD, tmp_path / "run"))


def test_a_run_that_measured_beside_its_trainings_gets_predictions(old_run, board):
    before = {e.key: e.metrics for e in load_run(old_run).evaluations}
    said = []
    for _ in range(2):  # once more, as after a power cut in the middle
        _predict_again(RunFolder(old_run), YoloSpace(), board, 4, said.append)
    run = load_run(old_run)
    assert {"latency_iqr_ms" in metrics for metrics in before.values()} == {True, False}
    assert run.profiles == [board] and said[1:] == [
        f"{len(before)} latencies that were measured beside trainings are replaced by predictions"
    ]
    assert list(run.settings["devices"]) == ["board"]
    values, lows, highs = board.predict([e.architecture for e in run.evaluations], 4)
    for e, value, low, high in zip(run.evaluations, values, lows, highs):
        found = (e.metrics["latency_ms"], e.metrics["latency_low_ms"], e.metrics["latency_high_ms"])
        assert found == pytest.approx((value, low, high))
        if "latency_iqr_ms" in before[e.key]:  # the front's were measured once more, undisturbed
            assert e.metrics["latency_measured_ms"] == before[e.key]["latency_ms"]
        else:
            assert "latency_measured_ms" not in e.metrics
        assert e.metrics["map50_95"] == before[e.key]["map50_95"]
    assert pick(old_run, max_latency_ms=1e4).key in before


def test_one_that_was_judged_on_rungs_cannot_and_says_what_can(old_run):
    folder = RunFolder(old_run)
    with Store.open(folder.store, YoloSpace()) as store:
        store.set_meta("settings", {**store.get_meta("settings"), "fidelities": [1, 3]})
    with pytest.raises(InputError, match="judged them on rungs; begin a new run with `evoyolo search --start-from "):
        _check_predictable(folder, YoloSpace())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"algorithm_options": {"seed": 3}}, "algorithm 'surrogate' has no option 'seed': the search sets it itself"),
        ({"scheduler_options": {"always": ["x"]}}, "the scheduler has no option 'always': the search sets it itself"),
        ({"algorithm_options": {"inital": 3}}, "algorithm 'surrogate' has no option 'inital'; it has initial"),
    ],
)
def test_options_that_are_not_the_user_s_to_give_are_named(tmp_path, small_data, options, message):
    config = SearchConfig(directory=str(tmp_path / "run"), data=str(small_data), executor="here", **options)
    with pytest.raises(InputError, match=message):
        start(config, Console(quiet=True))
    assert not (tmp_path / "run").exists()


def test_another_profile_in_the_folder_is_refused_before_anything_is_written(tmp_path, board):
    from nas.launch.kept import settings_kept

    (tmp_path / "devices").mkdir()
    board.model_copy(update={"machine": "another board"}).save(tmp_path / "devices" / "board.json")
    before = (tmp_path / "devices" / "board.json").read_bytes()
    refused = pytest.raises(
        InputError, match="board.json was not written by this run, or was changed since; it is left as it is"
    )
    with refused, settings_kept(SearchConfig(directory=str(tmp_path)), [board]):
        raise AssertionError("it went on")
    assert [path.name for path in tmp_path.iterdir()] == ["devices"]
    assert (tmp_path / "devices" / "board.json").read_bytes() == before


def _with_settings(run, **changes):
    """What the run's record says of how it was made, and its search.yaml, with other values of some fields."""
    with Store.open(RunFolder(run).store, YoloSpace()) as store:
        settings = store.get_meta("settings")
        store.set_meta("settings", {**settings, "config": {**settings["config"], **changes}})
    settings = yaml.safe_load((run / "search.yaml").read_text(encoding="utf-8"))
    (run / "search.yaml").write_text(yaml.safe_dump({**settings, **changes}), encoding="utf-8")


def test_a_run_goes_on_with_the_data_it_began_with_where_the_file_names_it_from_the_folder_of_that_time(
    old_run, monkeypatch
):
    seen = []
    monkeypatch.setattr("nas.launch.start._run", lambda config, console, resume: seen.append(config.data))
    _with_settings(old_run, data="/begun/data.yaml")
    text = (old_run / "search.yaml").read_text()
    for named in ("data.yaml", "/begun/data.yaml"):
        (old_run / "search.yaml").write_text(text.replace("/begun/data.yaml", named))
        resume(old_run, Console(quiet=True))
    assert seen == ["/begun/data.yaml"] * 2
    (old_run / "search.yaml").write_text(text.replace("/begun/data.yaml", "digits"))
    with pytest.raises(InputError, match="field data: is 'digits'"):
        resume(old_run, Console(quiet=True))


def test_a_run_whose_accuracy_was_of_another_image_size_than_its_latency_cannot_go_on(old_run):
    _with_settings(old_run, image_size=96)
    with pytest.raises(InputError, match="an earlier version took accuracy at image_size 96, .*: --start-from .*run$"):
        resume(old_run, Console(quiet=True))
    assert len(load_run(old_run).evaluations) == 4  # and is read as ever


def test_settings_that_do_nothing_are_said_and_no_run_is_lost_to_them(old_run, monkeypatch):
    def no_further(source):
        raise InputError("no further")

    monkeypatch.setattr("nas.launch.machine.load_dataset", no_further)
    said = io.StringIO()
    without = (old_run / "search.yaml").read_text()
    _with_settings(old_run, training={"erasing": 0.4, "pose": 12.0})
    for _ in range(2):
        with pytest.raises(InputError, match="no further"):
            resume(old_run, Console(file=said, width=200))
        (old_run / "search.yaml").write_text(without)
    assert said.getvalue() == "training: erasing and pose do nothing in the training of a detector: left out\n"


def test_a_run_does_not_go_on_in_another_precision(old_run, monkeypatch):
    monkeypatch.setattr("nas.launch.machine.precision_on", lambda device, amp: "fp32" if device == "cpu" else "fp16")
    with pytest.raises(InputError, match="trained in fp32, and on training_device 0 here they would be in fp16"):
        resume(old_run, Console(quiet=True), training_device="0")
    _with_settings(old_run, training_device="0")  # then in bf16, as earlier versions did
    with pytest.raises(InputError, match="trained in bf16, and on training_device cpu here they would be in fp32"):
        resume(old_run, Console(quiet=True), training_device="cpu")


@pytest.mark.slow
@pytest.mark.parametrize("size", [96, 288])
def test_with_one_image_size_everything_is_of_that_size(small_data, tmp_path, board, monkeypatch, size):
    seen = []
    detect = evaluators.detector.detect
    monkeypatch.setattr(
        "evaluators.detector.detect", lambda p, images, pixels: seen.append(pixels) or detect(p, images, pixels)
    )
    board.save(tmp_path / "board.json")
    config = make_config(
        {
            "directory": str(tmp_path / "run"), "data": str(small_data), "epochs": 1, "image_size": size, "executor": "here",
            "recipe": ["train", "export"], "references": ["yolov8-w1/16"], "max_evaluations": 1, "batch": 8,
            "device": [str(tmp_path / "board.json")],
        }, "x",
    )  # fmt: skip
    run = start(config, Console(quiet=True))
    (evaluation,) = run.evaluations
    architecture, metrics = evaluation.architecture, evaluation.metrics
    assert architecture["image_size"] == size and seen == [size]
    assert metrics["macs"] == complexity([architecture], 4).macs[0]
    assert metrics["latency_ms"] == pytest.approx(board.predict([architecture], 4)[0][0])
    checkpoint = torch.load(run.directory / "models" / evaluation.key / "best.pt", weights_only=False)
    assert checkpoint["train_args"]["imgsz"] == size
    assert onnx_facts(run.directory / "models" / evaluation.key / "model.onnx").image_size == (size, size)
    assert run.settings["training_precision"] == "fp32"
    assert Run(run.directory).evaluations[0].architecture == architecture  # read without the space


def test_a_run_keeps_the_form_of_int8_that_it_began_with(old_run, board, monkeypatch):
    recipe = ["train", "export", "quantise"]
    monkeypatch.setattr(agent, "suiting_activations", lambda: "unsigned-reduced")
    quantised = board.model_copy(update={"precision": "INT8", "activations": "unsigned"})
    new = SearchConfig(recipe=recipe)
    assert _recipe(new, [], resume=False).int8 == "unsigned-reduced"  # what suits this machine
    assert _recipe(new, [board, quantised], resume=False).int8 == "unsigned"  # what was measured
    resumed = SearchConfig(recipe=recipe, directory=str(old_run))
    assert _recipe(resumed, [], resume=True).int8 == "signed"  # what there was before
    with Store.open(RunFolder(old_run).store, YoloSpace()) as store:
        store.set_meta("settings", {**store.get_meta("settings"), "int8": "unsigned"})
    assert _recipe(resumed, [], resume=True).int8 == "unsigned"
    given = SearchConfig(recipe=[*recipe[:2], {"quantise": {"activations": "signed"}}])
    assert _recipe(given, [quantised], resume=False).int8 == "signed"


def test_a_run_of_an_earlier_version_goes_on_without_what_there_was_not(old_run, monkeypatch):
    seen = []
    monkeypatch.setattr("nas.launch.start._run", lambda config, console, resume: seen.append(config))
    resume(old_run, Console(quiet=True))
    settings = yaml.safe_load((old_run / "search.yaml").read_text())
    assert not {"within", "scalings", "hours"} & set(settings)
    # a file that says little: what it does not say is as it was, whatever the default is now
    _with_settings(old_run, max_macs=120_000_000, references=["yolov8n", "csppc"])
    settings = yaml.safe_load((old_run / "search.yaml").read_text())
    del settings["max_macs"], settings["references"]
    (old_run / "search.yaml").write_text(yaml.safe_dump(settings))
    resume(old_run, Console(quiet=True), hours=2.0)
    for config in seen:
        assert (config.within, config.scalings) == (None, 0)
    assert seen[1].max_macs == 120_000_000 and seen[1].references == ["yolov8n", "csppc"] and seen[1].hours == 2
