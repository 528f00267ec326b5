"""The command: the whole job on a small dataset, resumed after a kill; and one line for everything wrong."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from nas.cli.main import main
from nas.launch.config import load_config
from nas.storage.run import load_run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]  # measuring waits for a busy machine

SMALL = [
    "--epochs", "1", "--batch", "8", "--profile-models", "5", "--references", "yolov8-w1/16",
    "--restrict", "{image_size: [64], p2_width: [8, 16], p3_width: [16, 32], p4_width: [32], p5_width: [128]}",
]  # fmt: skip


def evoyolo(*arguments, **options):
    command = [sys.executable, "-m", "nas.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


@pytest.fixture(autouse=True)
def known_machine(monkeypatch, board):
    """Searches in this process take the made-up board for this machine; that it is measured, `finished` shows."""
    here = board.model_copy(update={"name": "this-machine"})
    monkeypatch.setattr("nas.launch.machine.quick_profile", lambda *arguments, **options: here)


@pytest.fixture(scope="module")
def finished(small_data, tmp_path_factory):
    """A search that was killed with SIGKILL after two results and then resumed: (folder, keys before, output)."""
    folder = tmp_path_factory.mktemp("cli")
    environment = {**os.environ, "PYTHONPATH": os.getcwd(), "PYTHONUNBUFFERED": "1"}
    command = [
        sys.executable,
        "-m",
        "nas.cli",
        "search",
        "--name",
        "job",
        "--data",
        str(small_data),
        "--max-evaluations",
        "5",
    ]
    for _ in range(4):  # on a machine that is too busy to be measured, the same command goes on with measuring
        killed = subprocess.Popen([*command, *SMALL], stdout=subprocess.PIPE, text=True, cwd=folder, env=environment)
        results = 0
        for line in killed.stdout:
            results += "/5 evaluated" in line
            if results == 2:
                break
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        if results:
            break
    before = load_run(folder / "results" / "job")
    time.sleep(2)
    resumed = evoyolo("resume", "results/job", cwd=folder, env=environment)
    assert resumed.returncode == 0, resumed.stderr
    return folder, [e.key for e in before.evaluations], resumed.stdout


@pytest.mark.ray
def test_a_reference_outside_the_restricted_space_is_evaluated_all_the_same(finished):
    folder, _, _ = finished
    run = load_run(folder / "results" / "job")
    named = {e.key: e for e in run.evaluations}
    (reference,) = run.settings["references"].values()
    assert named[reference].architecture["p5_width"] == 64
    assert {e.architecture["p5_width"] for key, e in named.items() if key != reference} == {128}


@pytest.mark.ray
def test_the_killed_search_ends_with_everything(finished):
    folder, before, output = finished
    run = load_run(folder / "results" / "job")
    assert len(before) >= 2 and len(run.evaluations) == 5
    assert set(before) <= {e.key for e in run.evaluations}
    assert all(e.attempts == 1 for e in run.evaluations if e.key in before)
    assert "5 models trained, 0 failed" in output and "resumed with" in output


@pytest.mark.ray
def test_every_front_model_has_its_files_and_they_work(finished, small_data):
    from evaluators.latency import onnx_difference
    from evaluators.training.checkpoint import checkpoint_architecture, load_checkpoint
    from search_spaces import YoloSpace
    from search_spaces.models import load_yaml

    folder, _, output = finished
    root = folder / "results" / "job"
    document = json.loads((root / "front.json").read_text())
    assert document["front"]
    for model in document["front"]:
        files = {kind: root / path for kind, path in model["files"].items()}
        architecture, content = load_yaml(files["yaml"], YoloSpace())
        assert architecture.key == model["key"] and content["nc"] == 4
        assert checkpoint_architecture(files["checkpoint"], YoloSpace()) == architecture
        assert onnx_difference(load_checkpoint(files["checkpoint"]), files["onnx"], 64) < 1e-3
        assert model["metrics"]["latency_ms"] > 0 and model["metrics"]["params"] > 0
        assert str(files["checkpoint"].relative_to(folder)) in output
    assert (root / "front.csv").exists() and (root / "front.png").exists()


@pytest.mark.ray
def test_front_pick_and_show_read_the_run(finished, capsys, monkeypatch):
    folder, _, _ = finished
    monkeypatch.chdir(folder)
    assert main(["front", "results/job"]) == 0
    assert "of 5 evaluated models" in capsys.readouterr().out
    assert main(["pick", "results/job", "--max-params", "10000000"]) == 0
    picked = json.loads(capsys.readouterr().out)
    assert main(["show", f"results/job:{picked['key']}"]) == 0
    assert f"{picked['metrics']['params']:,} parameters" in capsys.readouterr().out
    for file in ("best.pt", "model.yaml"):
        assert main(["show", f"results/job/models/{picked['key']}/{file}"]) == 0
        assert f"{picked['metrics']['params']:,} parameters" in capsys.readouterr().out


@pytest.mark.ray
def test_resuming_a_finished_run_trains_nothing(finished):
    folder, _, _ = finished
    environment = {**os.environ, "PYTHONPATH": os.getcwd()}
    before = [(e.key, e.ended_at) for e in load_run(folder / "results" / "job").evaluations]
    again = evoyolo("resume", "results/job", "--executor", "here", cwd=folder, env=environment)
    assert again.returncode == 0, again.stderr
    assert [(e.key, e.ended_at) for e in load_run(folder / "results" / "job").evaluations] == before


def test_a_search_with_rungs_puts_aside_and_says_so(small_data, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    rungs = [
        "--rungs",
        "1",
        "4",
        "--epochs",
        "4",
        "--max-evaluations",
        "2",
        "--executor",
        "here",
        "--algorithm",
        "random",
    ]
    assert main(["search", "--name", "rungs", "--data", str(small_data), *SMALL, *rungs]) == 0
    output = capsys.readouterr().out
    run = load_run(tmp_path / "results" / "rungs")
    paused = [e for e in run.all_evaluations if e.status == "paused"]
    assert run.evaluations and paused and all(e.fidelity == 1 for e in paused)
    assert f"{len(run.evaluations)} models trained, {len(paused)} begun and put aside, 0 failed" in output
    for e in run.all_evaluations:
        trial = run.directory / "trials" / e.key
        assert (trial / "paused-1.pt").exists() == (e.status == "paused")
        assert len((trial / "results.csv").read_text().splitlines()) == 1 + e.fidelity
    assert main(["status", "results/rungs"]) == 0
    assert f"no search is running; {run.spent:.1f} of 2 evaluated" in capsys.readouterr().out


def test_ctrl_c_once_ends_after_what_runs_and_resume_goes_on(small_data, board, tmp_path):
    board.save(tmp_path / "board.json")  # so that nothing is measured, which a busy machine may not allow
    environment = {**os.environ, "PYTHONPATH": os.getcwd(), "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "nas.cli", "search", "--data", str(small_data), "--executor", "here", *SMALL]
    process = subprocess.Popen(
        [*command, "--device", "board.json", "--max-evaluations", "4"],
        stdout=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env=environment,
    )
    next(line for line in process.stdout if "1/4 evaluated" in line)
    process.send_signal(signal.SIGINT)
    rest = process.stdout.read()
    assert process.wait() == 130
    assert "stopping: nothing more is started" in rest
    assert "stopped; every result is kept: `evoyolo front results/search` shows them, `evoyolo resume" in rest
    before = [e.key for e in load_run(tmp_path / "results" / "search").evaluations]
    resumed = evoyolo("resume", "results/search", "--max-evaluations", "3", cwd=tmp_path, env=environment)
    assert resumed.returncode == 0, resumed.stderr
    after = load_run(tmp_path / "results" / "search")
    assert 1 <= len(before) <= 2 and len(after.evaluations) == 3
    assert [e.key for e in after.evaluations][: len(before)] == before


def test_a_refused_search_leaves_the_settings_as_they_were(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["init"]) == 0
    before = (tmp_path / "search.yaml").read_text()
    assert main(["search", "search.yaml", "--directory", ".", "--max-macs", "1"]) == 1
    assert (tmp_path / "search.yaml").read_text() == before and [p.name for p in tmp_path.iterdir()] == ["search.yaml"]


@pytest.mark.ray
def test_a_refused_resume_leaves_the_settings_as_they_were(finished):
    folder, _, _ = finished
    file = folder / "results" / "job" / "search.yaml"
    before = file.read_text()
    refused = evoyolo(
        "resume", "results/job", "--max-evaluations", "99", "--executor", "ray", "--address", "127.0.0.1:1", cwd=folder,
        env={**os.environ, "PYTHONPATH": os.getcwd()},
    )  # fmt: skip
    assert refused.returncode == 1 and "no Ray cluster at" in refused.stderr and file.read_text() == before


@pytest.mark.ray
def test_what_was_measured_may_not_change_on_resume(finished):
    folder, _, _ = finished
    file = folder / "results" / "job" / "search.yaml"
    before = file.read_text()
    try:
        file.write_text(before.replace("epochs: 1\n", "epochs: 2\n"))
        refused = evoyolo("resume", "results/job", cwd=folder, env={**os.environ, "PYTHONPATH": os.getcwd()})
    finally:
        file.write_text(before)
    assert refused.returncode == 1
    assert "search.yaml: field epochs: is 2, and what this run holds was made with 1" in refused.stderr


def test_a_search_that_ends_early_keeps_the_settings_it_ran_with(tmp_path, small_data, monkeypatch, capsys):
    """Every evaluation fails alike, as with a setting that cannot work: it says so and gives up."""
    from evaluators.detector import DetectorEvaluator

    def evaluate(*arguments):
        raise RuntimeError("no such thing")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(DetectorEvaluator, "evaluate", evaluate)
    assert main(["init"]) == 0
    settings = ["--directory", ".", "--data", str(small_data), "--executor", "here", "--max-evaluations", "20"]
    assert main(["search", "search.yaml", *settings, "--max-concurrent", "2"]) == 1
    output, error = capsys.readouterr()
    assert "executor here does without Ray: max_concurrent is not used" in output and "address is" not in output
    assert "the first 5 evaluations all failed, because: RuntimeError: no such thing; trials tells more" in error
    assert load_config("search.yaml").data == str(small_data)
    advice = (
        "mend the cause and start anew in another folder; what failed is not tried again, other architectures are: "
    )
    assert f"{advice}run `evoyolo resume .`" in error and main(["status", "."]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"nothing but failures: {advice}run `evoyolo resume .`"
    assert main(["resume", ".", "--max-evaluations", "5"]) == 1
    assert "no evaluation has finished, so there is no front; `evoyolo status .` tells" in capsys.readouterr().err
    assert main(["status", "."]) == 0  # the budget is spent: to go on without a larger one would do nothing
    assert capsys.readouterr().out.splitlines()[-1].endswith(f"{advice}run `evoyolo resume . --max-evaluations 10`")


def test_show_a_preset(capsys):
    assert main(["show", "light-recipe", "--classes", "1"]) == 0
    output = capsys.readouterr().out
    assert "1,436,977 parameters" in output and "12.99 GFLOPs" in output and "836,385" in output


def test_init_writes_a_file_that_search_reads_and_never_overwrites(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["init"]) == 0 and main(["init"]) == 1
    assert "search.yaml exists" in capsys.readouterr().err
    (tmp_path / "link.yaml").symlink_to(tmp_path / "elsewhere.yaml")
    assert main(["init", "link.yaml"]) == 1 and not (tmp_path / "elsewhere.yaml").exists()


def test_datasets_are_checked_and_converted(tmp_path, small_data, capsys):
    assert main(["dataset", "check", str(small_data)]) == 0
    assert "train: 16 images" in capsys.readouterr().out
    assert main(["dataset", "convert", "voc", str(tmp_path), str(tmp_path / "out")]) == 1
    assert "has no annotations (.xml)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["search", "--epochs", "0"], "field epochs: 0"),
        (["search", "--restrict", "{neck: ["], "--restrict {neck: [: not valid YAML"),
        (["search", "--rungs", "4", "2"], "rungs must ascend and end at epochs (6), not [4, 2]"),
        (["search", "--rungs", "[", "2"], "--rungs [: not valid YAML"),
        pytest.param(
            ["search", "--gpus-per-trial", "1"],
            "a trial wants 1 CPUs and 1 GPUs and no node of the cluster has as much",
            marks=pytest.mark.ray,
        ),
        (["search", "--cpus-per-trial", "1.5"], "cpus_per_trial must be between 0 and 1 or a whole number, not 1.5"),
        (["search", "--cpus-per-trial", "inf"], "field cpus_per_trial: inf"),
        (["search", "--training-device", "gpu"], "field training_device: 'gpu': must be cpu, or one CUDA device"),
        (["search", "--training", "{lr: 0.1}"], "training: 'lr' is not to be set; what may be is optimizer, lr0"),
        (["search", "--training", "{epochs: 9}"], "training: epochs decides how long a training lasts"),
        (["search", "--training", "{lr0: fast}"], "training: lr0: "),
        (["search", "--start-from", "nowhere"], "nowhere holds no run"),
        (["status", "nowhere"], "nowhere holds no run"),
        (["status", "nowhere", "--watch", "-1"], "--watch must be a number of seconds above 0, not -1"),
        (["search", "none.yaml"], "none.yaml: cannot be read"),
        (["search", "--data", "none.yaml"], "none.yaml: cannot be read"),
        (["search", "--max-params", "1000"], "has params <= 1,000; the nearest found has"),
        (["search", "--address", "127.0.0.1:1"], "no Ray cluster at '127.0.0.1:1'"),
        (["search", "--directory", "/dev/null/run"], "/dev/null/run: Not a directory"),
        (["resume", "nowhere"], "nowhere holds no run"),
        (["front", "nowhere"], "nowhere holds no run"),
        (["show", "yolov9"], "'yolov9' is no architecture: give a preset"),
        (["show", "none.pt"], "none.pt: no such file"),
        (["show", "yolov8n", "--classes", "0"], "--classes must be a whole number from 1 to 100,000, not 0"),
        (
            ["show", "yolov8n", "--image-size", "3200000000"],
            "multiple of 32 pixels up to 16,384 (or a pair of them), not ",
        ),
        (["show", "yolov8n", "--classes", "-1"], "--classes must be a whole number from 1 to 100,000, not -1"),
        (["search", "--restrict", "{p5_width: [64], p5_width: [128]}"], "'p5_width' is there twice"),
    ],
)
def test_wrong_input_is_one_line(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 1
    error = capsys.readouterr().err
    assert message in error and error.startswith("evoyolo: ") and error.count("\n") == 1


def test_a_dataset_without_boxes_is_refused_before_anything_is_written(tmp_path, monkeypatch, capsys, small_data):
    import shutil

    shutil.copytree(small_data.parent, tmp_path / "data")
    for path in (tmp_path / "data" / "labels" / "val").glob("*.txt"):
        path.write_text("")
    monkeypatch.chdir(tmp_path)
    assert main(["search", "--data", "data/data.yaml"]) == 1
    assert "val has 8 images and not one box" in capsys.readouterr().err
    assert not (tmp_path / "results").exists()


def test_a_search_for_two_devices_one_of_which_is_here(board, small_data, tmp_path, monkeypatch, capsys):
    from evaluators.latency import agent
    from evaluators.latency.agent import protocol
    from evaluators.runtimes import runtime

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(protocol, "WIDEST", 50.0)  # the tests share a machine
    this = {"machine": agent.device_name(), "threads": 1, "version": runtime("onnxruntime").installed_version()}
    here = board.model_copy(update={"name": "here", **this})
    here.save(tmp_path / "here.json")
    board.save(tmp_path / "board.json")
    command = [
        "search",
        "--name",
        "two",
        "--data",
        str(small_data),
        "--executor",
        "here",
        "--max-evaluations",
        "2",
        *SMALL,
    ]
    limits = ["--max-latency-ms", "{here: 1000, board: 2000}"]
    assert main([*command, "--device", "here.json", "--device", "board.json", *limits]) == 0
    output = capsys.readouterr().out
    assert "latency is predicted for here: " in output and "latency is predicted for board: a made-up board" in output
    assert "the latencies of board stay predictions: it is of a made-up board, and this machine is " in output
    with open("results/two/front.csv") as stream:
        written = stream.readline().strip().split(",")
    assert {"latency_ms@here", "latency_low_ms@here", "latency_measured_ms@here", "latency_ms@board"} <= set(written)
    assert "latency_measured_ms@board" not in written

    run = load_run("results/two")
    e = run.front[0]
    assert f"{e.metrics['latency_low_ms@board']:.2f} to {e.metrics['latency_high_ms@board']:.2f}" in output
    assert [o.metric for o in run.objectives] == ["map50_95", "latency_ms@here", "latency_ms@board"]
    for e in run.front:
        value, low, high = (float(column[0]) for column in here.predict([e.architecture], 4))
        assert e.metrics["latency_ms@here"] == pytest.approx(value)
        assert (e.metrics["latency_low_ms@here"], e.metrics["latency_high_ms@here"]) == pytest.approx((low, high))
        measured = e.metrics["latency_measured_ms@here"]
        assert e.metrics["latency_difference_percent@here"] == pytest.approx(100 * (measured / value - 1))

    # a run keeps its profiles: what is resumed means the same whatever became of the files
    (tmp_path / "here.json").unlink()
    (tmp_path / "board.json").write_text("{")
    assert main(["resume", "results/two", "--max-evaluations", "3"]) == 0
    capsys.readouterr()
    assert len(load_run("results/two").evaluations) == 3
    assert [o.metric for o in load_run("results/two").objectives] == ["map50_95", "latency_ms@here", "latency_ms@board"]

    bound = ["--device", "results/two/devices/board.json", "--max-latency-ms", "1000"]
    assert main(["pick", "results/two", *bound, "--output", "handed"]) == 0
    picked = json.loads(capsys.readouterr().out)
    assert "latency_ms@board " in picked["within"]["max_latency_ms"] and picked["given_up"] == []
    assert {p.name for p in (tmp_path / "handed").glob("[!.]*")} == {"best.pt", "model.yaml", "model.onnx"}
    assert all(str(path).startswith("handed/") for path in picked["files"].values())
    assert main(["pick", "results/two", "--device", "results/two/devices/board.json", "--max-latency-ms", "0.01"]) == 1
    assert "surely has latency_ms <= 0.01; the fastest is " in capsys.readouterr().err


def test_a_latency_that_nothing_reaches_names_the_fastest(board, small_data, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    board.save(tmp_path / "board.json")
    command = ["search", "--data", str(small_data), "--device", "board.json", "--max-latency-ms", "0.001", *SMALL]
    assert main(command) == 1
    error = capsys.readouterr().err
    assert (
        "has latency_ms <= 0.001" in error
        and "the nearest found has latency_ms " in error
        and "'image_size': 64" in error
    )
    assert not (tmp_path / "results").exists()
