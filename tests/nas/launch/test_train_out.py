"""Models trained out: which are named, what is refused, and a run of them from start to end, through kills."""

import csv
import io
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from rich.console import Console

from evaluators.training import load_checkpoint
from nas import load_run, pick, train_out
from nas.launch.listed import find_models, kept_models
from nas.launch.train_config import TrainConfig, make_train_config
from nas.launch.train_out import resume, start
from nas.report.status import describe_status
from nas.storage.folder import RunFolder
from nas.storage.store import Store
from search_spaces import InputError, YoloSpace
from search_spaces.models import save_yaml

ROOT = Path(__file__).parents[3]
OLD = Path(__file__).parents[2] / "data" / "run-0.1.0"
SMALLEST = "yolov8-w1/16@64"


@pytest.fixture
def searched(tmp_path):
    """A finished search of four models, two of them on its front."""
    return Path(shutil.copytree(OLD, tmp_path / "searched"))


def named(*subjects, **options):
    return find_models([str(subject) for subject in subjects], **options)[0]


# -- which models ------------------------------------------------------------------------------------------------


def test_the_front_comes_with_what_its_search_said(searched):
    run = load_run(searched)
    models = named(searched, front=True)
    assert [model.key for model in models] == [e.key for e in run.front]
    for model, evaluation in zip(models, run.front):
        assert model.network() == evaluation.architecture and model.metrics == evaluation.metrics
        assert model.weights is None and model.run == str(searched)


def test_a_preset_without_a_size_takes_the_largest_of_the_others(searched):
    sizes = {model.values["image_size"] for model in named(searched, front=True)}
    (compared,) = [m for m in named(searched, front=True, compare=["adown"]) if m.compared]
    assert compared.values["image_size"] == max(sizes)
    assert [m.values["image_size"] for m in named("adown", "yolov8n@160")] == [160, 160]
    assert [m.values["image_size"] for m in named("adown")] == [640]
    assert [m.values["image_size"] for m in named("adown", "yolov8n@160", image_size=96)] == [96, 96]


def test_every_network_once_and_no_name_twice(searched):
    key = load_run(searched).front[0].key
    assert len(named(f"{searched}:{key}", f"{searched}:{key[:6]}", searched, front=True)) == len(
        load_run(searched).front
    )
    assert [m.name for m in named("yolov8n@64", "yolov8n@96", "yolov8n@64")] == ["yolov8n@64", "yolov8n@96"]


def test_a_preset_that_the_run_knows_has_what_it_said(searched):
    run = load_run(searched)
    name, key = next(iter(run.settings["references"].items()))
    evaluation = next(e for e in run.evaluations if e.key == key)
    other = next(e for e in run.evaluations if e.key != key)
    models = named(f"{searched}:{other.key}", f"{name}@{evaluation.architecture['image_size']}")
    assert models[1].key == key and models[1].metrics == evaluation.metrics


def test_architectures_and_model_files_are_models(tmp_path):
    architecture = YoloSpace().preset("adown", image_size=96)
    save_yaml(tmp_path / "mine.yaml", architecture, 4)
    (model,) = named(tmp_path / "mine.yaml")
    assert model.name == "mine" and model.network() == architecture
    assert find_models([architecture])[0][0].network() == architecture


def test_what_a_run_keeps_of_them_is_read_back_and_checked(searched):
    models = named(searched, front=True, compare=["adown"])
    settings = json.loads(json.dumps({"trained_out": [model.model_dump() for model in models]}))
    assert kept_models(settings, "x") == models
    settings["trained_out"][0]["values"]["p3_width"] = 7
    with pytest.raises(InputError, match="p3_width"):
        kept_models(settings, "x")
    for broken in ({}, {"trained_out": 3}, {"trained_out": [{}]}, {"trained_out": [[]]}):
        with pytest.raises(InputError, match="^x: "):
            kept_models(broken, "x")


@pytest.mark.parametrize(
    ("subjects", "options", "message"),
    [
        ([], {}, "name what is to be trained"),
        (["RUN"], {}, r"is a run: name one of its models \(.*:KEY\), or all of its front \(--front\)"),
        (["RUN:zzz"], {}, "no architectures whose key starts with 'zzz'"),
        (["yolov8n"], {"front": True}, "none of what is named is a run"),
        (["yolov9"], {}, "'yolov9' is no architecture"),
        (["yolov8n@65"], {}, "cannot be 65"),
        (["yolov8n"], {"image_size": 65}, "cannot be 65"),
        (["yolov8n"], {"compare": ["yolov9"]}, "compare: 'yolov9' is no preset"),
        (["yolov8n"], {"weights": "search"}, "none of the models comes with a checkpoint of its own"),
        (["yolov8n"], {"weights": "nowhere.pt"}, "nowhere.pt: no such file"),
        (["yolov8n"], {"weights": "RUN"}, "is a run; name the model whose weights are meant"),
        (["RUN"], {"front": True, "weights": "search"}, "keeps no checkpoint"),
    ],
)
def test_what_is_no_model_is_named(searched, subjects, options, message):
    options = {name: str(searched) if value == "RUN" else value for name, value in options.items()}
    with pytest.raises(InputError, match=message):
        named(*(subject.replace("RUN", str(searched)) for subject in subjects), **options)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"epochs": 0}, "epochs"),
        ({"seeds": 0}, "seeds"),
        ({"patience": -1}, "patience"),
        ({"training_device": "gpu"}, "training_device"),
        ({"amp": "bf16"}, "a CPU trains in fp32"),
        ({"rungs": [3]}, "no field 'rungs'"),
    ],
)
def test_wrong_settings_are_named(fields, message):
    with pytest.raises(InputError, match=message):
        make_train_config(fields, "command line")


def test_where_it_runs_and_whether_digits_are_mirrored_is_settled():
    alone, several = (
        TrainConfig().settled(1, "digits", 400),
        TrainConfig(cpus_per_trial=2).settled(3, "/d/data.yaml", 10_000),
    )
    assert (alone.executor, alone.mirrored) == ("here", False) and alone.cpus_per_trial >= 1
    assert (several.executor, several.mirrored, several.cpus_per_trial) == ("ray", True, 2)
    assert (several.batch, alone.batch, TrainConfig(batch=2).settled(1, "digits", 400).batch) == (16, 8, 2)
    assert TrainConfig(mirrored=True).settled(1, "digits", 400).mirrored


# -- from start to end -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def profile(board, tmp_path_factory):
    path = tmp_path_factory.mktemp("profile") / "board.json"
    board.save(path)
    return str(path)


def train(models, small_data, profile, output, **options):
    """A short one, in this process, and what it printed."""
    said = io.StringIO()
    options = {"epochs": 2, "batch": 8, "device": [profile], "executor": "here", "cpus_per_trial": 1, **options}
    run = train_out(models, data=str(small_data), output=str(output), console=Console(file=said, width=220), **options)
    return run, said.getvalue()


@pytest.mark.slow
def test_models_are_trained_ranked_and_delivered_as_a_run(small_data, tiny, profile, tmp_path):
    run, said = train([tiny, "yolov8-w1/16"], small_data, profile, tmp_path / "out")
    assert len(run.evaluations) == len(run.settings["trained_out"]) == 2 and run.complete
    for evaluation in run.evaluations:
        folder = run.directory / "models" / evaluation.key
        assert {path.name for path in folder.iterdir()} == {
            "best.pt", "last.pt", "model.yaml", "model.onnx", "results.csv", "train.log",
        }  # fmt: skip
        assert evaluation.metrics["epochs"] == 2 and evaluation.metrics["latency_ms"] > 0
        assert not list((run.directory / "trials" / evaluation.key).glob("paused-*"))  # nothing needs them any more
    document = json.loads((run.directory / "trained.json").read_text())
    assert [model["rank"] for model in document["models"]] == [1, 2]
    with open(run.directory / "trained.csv") as file:
        assert [row["key"] for row in csv.DictReader(file)] == [model["key"] for model in document["models"]]
    assert (run.directory / "trained.png").read_bytes().startswith(b"\x89PNG")
    assert "2 models trained out, best first" in said and "2 epochs, batch 8, 4 steps each: " in said
    assert pick(run.directory, max_latency_ms=1e4).key in {e.key for e in run.front}
    lines, alive = describe_status(run.directory)
    assert not alive and "2 of 2 evaluated" in lines[0] and not any("exported" in line for line in lines)

    written = {path: path.stat().st_mtime_ns for path in (run.directory / "trials").rglob("*.pt")}
    again, said = train([tiny, "yolov8-w1/16"], small_data, profile, tmp_path / "out")  # nothing is trained again
    assert [e.metrics for e in again.evaluations] == [e.metrics for e in run.evaluations]
    assert written == {path: path.stat().st_mtime_ns for path in (run.directory / "trials").rglob("*.pt")}

    for options, message in (
        ({"epochs": 3}, "epochs is 2 there, and 3 now"),
        ({"training": {"lr0": 0.002}}, "training is"),
        ({"seeds": 2}, "seeds is 1 there"),
    ):
        with pytest.raises(InputError, match=message):
            train([tiny, "yolov8-w1/16"], small_data, profile, tmp_path / "out", **options)
    with pytest.raises(InputError, match="out trains .*, not yolov8-w1/16"):
        train(["yolov8-w1/16@96"], small_data, profile, tmp_path / "out")
    with pytest.raises(InputError, match="max_evaluations is nothing that may change"):
        resume(tmp_path / "out", Console(quiet=True), max_evaluations=4)


@pytest.mark.slow
def test_seeds_are_trainings_of_their_own_and_weights_are_begun_with(small_data, tiny, checkpoint, profile, tmp_path):
    run, said = train([str(checkpoint)], small_data, profile, tmp_path / "out", seeds=2, epochs=1)
    assert {e.architecture["train_out.seed"] for e in run.evaluations} == {0, 1}
    assert {tuple(sorted(e.architecture.network_values().items())) for e in run.evaluations} == {
        tuple(sorted(tiny.to_dict().items()))
    }
    first, second = (
        load_checkpoint(run.directory / "models" / e.key / "best.pt").state_dict() for e in run.evaluations
    )
    assert not all(torch.equal(first[name], second[name]) for name in first)
    assert f"begins with {checkpoint}: " in said and "±" in said
    records = json.loads((run.directory / "trained.json").read_text())["models"]
    assert [(record["rank"], record["model"]) for record in records] == [(1, "best"), (1, "best")]
    checkpoint_elsewhere = shutil.copy(checkpoint, tmp_path / "mine.pt")
    with pytest.raises(InputError, match="trains best from other weights"):
        start([str(checkpoint_elsewhere)], _config(run), Console(quiet=True), weights="none")


def _config(run):
    return make_train_config({k: v for k, v in run.settings["config"].items() if k != "recipe"}, "x")


@pytest.mark.slow
def test_weights_that_are_gone_are_named_before_anything_is_trained(small_data, checkpoint, profile, tmp_path):
    mine = Path(shutil.copy(checkpoint, tmp_path / "mine.pt"))
    config = make_train_config(
        {
            "output": str(tmp_path / "out"),
            "data": str(small_data),
            "epochs": 1,
            "device": [profile],
            "executor": "here",
        },
        "x",
    )
    models, _ = find_models([str(mine)])
    from nas.launch.train_out import _run

    mine.write_bytes(b"changed")
    with pytest.raises(
        InputError, match="mine: .*mine.pt, which it begins with, is not there any more, or was changed"
    ):
        _run(config.settled(1, str(small_data), 16), models, Console(quiet=True), resume=False)
    assert not (tmp_path / "out").exists()


def test_a_search_s_folder_is_no_place_for_it(searched, small_data):
    config = make_train_config({"output": str(searched), "data": str(small_data)}, "x")
    with pytest.raises(InputError, match="holds a search; name another folder with --output"):
        start([SMALLEST], config, Console(quiet=True))
    with pytest.raises(InputError, match="holds a search"):
        resume(searched, Console(quiet=True))


def test_a_file_in_the_way_is_left_alone(tmp_path, small_data, profile):
    (tmp_path / "trained.json").write_text("mine")
    config = make_train_config({"output": str(tmp_path), "data": str(small_data), "device": [profile]}, "x")
    with pytest.raises(InputError, match="trained.json was not written by this run"):
        start([SMALLEST], config, Console(quiet=True))
    assert [path.name for path in tmp_path.iterdir()] == ["trained.json"]


def test_data_must_be_said_where_no_run_says_it():
    with pytest.raises(InputError, match="data: say what is to be trained on"):
        start([SMALLEST], TrainConfig(), Console(quiet=True))


# -- killed ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="sends signals")
def test_a_run_that_is_killed_goes_on_from_its_last_epoch(small_data, profile, tmp_path):
    """Really killed, in the middle of its second model; the end is bit for bit that of one that nothing disturbed."""
    options = ["--data", small_data, "--epochs", "4", "--batch", "8", "--device", profile, "--executor", "here"]
    models = [SMALLEST, "adown@64", *options, "--cpus-per-trial", "1"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "nas.cli", "train", *map(str, models), "--output"]
    process = subprocess.Popen([*command, tmp_path / "out"], env=environment, stdout=subprocess.PIPE, text=True)
    second = RunFolder(tmp_path / "out").trial(find_models(["adown@64"])[0][0].network().key).path
    deadline = time.monotonic() + 120
    while not (second / "paused-2.pt").exists():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    process.kill()
    process.communicate()
    lines, alive = describe_status(tmp_path / "out")
    assert not alive and lines[-1] == f"to go on, run `evoyolo resume {tmp_path / 'out'}`"
    first = (tmp_path / "out" / "trials" / find_models([SMALLEST])[0][0].network().key / "best.pt").stat().st_mtime_ns
    done = subprocess.run(
        [sys.executable, "-m", "nas.cli", "resume", tmp_path / "out"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "goes on after epoch" in done.stdout and "going on after epoch" in (second / "train.log").read_text()
    run, _ = train([SMALLEST, "adown@64"], small_data, profile, tmp_path / "undisturbed", epochs=4)
    resumed = load_run(tmp_path / "out")
    for one, other in zip(run.evaluations, resumed.evaluations):
        assert one.key == other.key
        for name in ("best.pt", "last.pt"):
            weights = [
                load_checkpoint(each.directory / "models" / one.key / name).state_dict() for each in (run, resumed)
            ]
            assert all(torch.equal(weights[0][tensor], weights[1][tensor]) for tensor in weights[0])
    trained_once = RunFolder(tmp_path / "out").trial(run.evaluations[0].key).path / "best.pt"
    assert trained_once.stat().st_mtime_ns == first


@pytest.mark.slow
@pytest.mark.ray
def test_the_front_of_a_search_is_trained_as_trials_of_ray(searched, small_data, profile, tmp_path):
    with Store.open(RunFolder(searched).store, YoloSpace()) as store:  # where a run of this version keeps its data
        settings = store.get_meta("settings")
        store.set_meta("settings", {**settings, "config": {**settings["config"], "data": str(small_data)}})
    said = io.StringIO()
    run = train_out(
        searched, front=True, compare=["yolov8-w1/16"], epochs=1, batch=8, device=[profile], output=str(tmp_path / "out"),
        console=Console(file=said, width=220),
    )  # fmt: skip
    before = {e.key: e for e in load_run(searched).front}
    records = {r["key"]: r for r in json.loads((run.directory / "trained.json").read_text())["models"]}
    assert before.keys() <= records.keys() and run.settings["config"]["data"] == str(small_data)
    ranked = sorted(before, key=lambda key: -before[key].metrics["map50_95"])
    assert [records[key]["rank_in_search"] for key in ranked] == list(range(1, len(ranked) + 1))
    for key, evaluation in before.items():
        assert records[key]["search"]["metrics"]["map50_95"] == evaluation.metrics["map50_95"]
    assert all((run.directory / "models" / key / "best.pt").exists() for key in records)
