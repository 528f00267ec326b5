"""The `evoyolo device` commands: profiles made for real (and killed on the way), from results, shown, checked, packed."""

import json
import os
import shutil
import signal
import subprocess
import sys
import zipfile
from dataclasses import asdict
from pathlib import Path

import pytest

from evaluators.latency import agent
from evaluators.latency.profile import DeviceProfile
from nas.cli.main import main
from nas.devices import make
from search_spaces import InputError, YoloSpace

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.timeout(900)  # measuring waits for a busy machine
def test_a_profile_of_this_machine_that_was_killed_on_the_way(tmp_path, capsys):
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(__file__).parents[3]),
        "PYTHONUNBUFFERED": "1",
    }
    options = ["--count", "7", "--image-size", "64", "96", "--threads", "1", "--classes", "3"]
    command = [sys.executable, "-m", "nas.cli", "device", "profile", "here", *options]
    killed = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, start_new_session=True)
    for line in killed.stdout:
        if line.startswith("2/7"):
            break
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    kept = json.loads((tmp_path / "devices" / "here.measuring" / "results.json").read_text())["measurements"]
    assert len(kept) >= 2
    assert main(["device", "profile", "here", "--count", "12"]) == 1
    assert "here.measuring holds a measurement with other settings" in capsys.readouterr().err
    said = ""
    for _ in range(5):  # a machine that is too busy for some of the models: what is missing is measured the next time
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        said += done.stdout
        if done.returncode == 0 or "measurements or more" not in done.stderr:
            break
    assert done.returncode == 0, done.stderr
    assert "going on with what devices/here.measuring holds" in said
    assert "1/7" not in said and "7/7" in said and " left" in said
    assert "held-out error (" in done.stdout and "wrote devices/here.json" in done.stdout
    assert not (tmp_path / "devices" / "here.measuring").exists()
    profile = DeviceProfile.load("here")
    assert profile.image_sizes[0] == 64 and profile.image_sizes[1] == 96 and profile.is_here()
    by_key = {YoloSpace().architecture(**m.architecture).key: m for m in profile.measured}
    for m in kept:
        if "failed" not in m and m["name"] in by_key:
            assert by_key[m["name"]].raw_ms == m["raw_ms"] or m["name"] in said  # unless it was taken once more
    assert main(["device", "profile", "here"]) == 1
    assert "devices/here.json exists" in capsys.readouterr().err


def test_fit_list_and_show(results_file, capsys, tmp_path):
    shutil.copy(results_file, tmp_path / "results.json")
    assert main(["device", "fit", "results.json", "--name", "pi9"]) == 0
    output = capsys.readouterr().out
    assert "wrote devices/pi9.json" in output and "a made-up board, onnxruntime 1.0, FP32, 4 thread(s)" in output
    profile = DeviceProfile.load("pi9")
    held = profile.held_out
    assert f"held-out error (10-fold): {100 * held.within_10:.0f}% of 40 within 10%" in output
    assert main(["device", "list"]) == 0
    assert "pi9" in capsys.readouterr().out
    assert main(["device", "show", "pi9"]) == 0
    assert "plot pi9.png" in capsys.readouterr().out
    assert (tmp_path / "pi9.png").read_bytes().startswith(b"\x89PNG")
    assert main(["device", "fit", "results.json", "--name", "pi9"]) == 1
    assert "devices/pi9.json exists" in capsys.readouterr().err


def test_a_picture_replaces_one_of_ours_and_nothing_else(board, tmp_path, capsys):
    board.save(tmp_path / "board.json")
    assert main(["device", "show", "board.json"]) == 0 and main(["device", "show", "board.json"]) == 0
    (tmp_path / "board.png").write_text("mine")
    capsys.readouterr()
    refused = "board.png exists and is no picture of a profile; it is left as it is"
    assert main(["device", "show", "board.json"]) == 0
    said = capsys.readouterr().out
    assert refused in said and "held-out error (" in said and "plot " not in said
    assert main(["device", "show", "board.json", "--plot", "board.png"]) == 1
    assert refused in capsys.readouterr().err
    assert (tmp_path / "board.png").read_text() == "mine"


def test_a_folder_of_the_users_is_not_taken_for_a_measurement(tmp_path, capsys):
    folder = tmp_path / "devices" / "here.measuring"
    folder.mkdir(parents=True)
    (folder / "mine.txt").write_text("mine")
    assert main(["device", "profile", "here", "--count", "7"]) == 1
    assert "here.measuring exists and is no measurement of ours" in capsys.readouterr().err
    assert (folder / "mine.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("precision", "options", "goes_on"),
    [
        ("FP32", (), True),
        ("FP32", ("--threads", "2"), False),
        ("INT8", ("--precision", "INT8", "--activations", "signed"), True),  # the only form that there was
        ("INT8", ("--precision", "INT8"), False),
    ],
)
def test_what_an_earlier_version_had_begun_to_measure_goes_on(
    tmp_path, monkeypatch, capsys, precision, options, goes_on
):
    def starts(*arguments, **options):
        raise InputError("measuring")

    monkeypatch.setattr(make.subprocess, "Popen", starts)
    folder = tmp_path / "devices" / "here.measuring"
    folder.mkdir(parents=True)
    request = {**asdict(make.Plan(precision=precision, threads=1)), "prior": None}
    del request["activations"]
    (folder / "request.json").write_text(json.dumps(request))
    assert main(["device", "profile", "here", "--threads", "1", *options]) == 1
    said = capsys.readouterr().err
    assert said == "evoyolo: measuring\n" if goes_on else '"activations": ' in said and "with other settings" in said


def test_what_was_added_to_a_measured_pack_stays(tmp_path):
    folder = tmp_path / "here.measuring"
    (folder / "models").mkdir(parents=True)
    manifest = {"reference": {"files": {"onnx": "models/r.onnx"}}, "models": [{"files": {"ncnn": "models/a.param"}}]}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    for name in (
        "models/r.onnx",
        "models/a.param",
        "models/a.bin",
        "run.py",
        "request.json",
        "results.json",
        "mine.txt",
    ):
        (folder / name).touch()
    make._remove_pack(folder)
    assert [path.name for path in folder.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize("runtime", ["onnxruntime", "pytorch"])
def test_nothing_that_lies_in_the_folder_of_a_measurement_is_run(runtime, tmp_path, capsys):
    ours = {"runtimes": (runtime,), "threads": 1, "count": 5, "restrict": {"image_size": [64]}}
    folder, document = tmp_path / "devices" / "here.measuring", tmp_path / "document"
    (folder / "models").mkdir(parents=True)
    document.write_text("mine")
    hostile = f"open({str(tmp_path / 'ran')!r}, 'w')"
    (folder / "request.json").write_text(json.dumps({**asdict(make.Plan(**ours)), "prior": None}))
    for name in ("run.py", "models/reference.torchscript"):
        (folder / name).write_text(hostile)
    files = {"torchscript": "models/reference.torchscript", "onnx": "../../document"}
    settings = {"runtime": "pytorch", "device": "cpu", "precision": "FP32", "threads": 1}
    manifest = {"evoyolo_pack": 1, "formats": list(files), "settings": settings, "reference": {"files": files}}
    (folder / "manifest.json").write_text(json.dumps({**manifest, "models": [], "id": ""}))
    (folder / "results.json").write_text("{}")  # which the runner refuses: nothing is measured here
    options = ["--runtime", runtime, "--count", "5", "--threads", "1", "--image-size", "64"]
    assert main(["device", "profile", "here", *options]) == 1
    said = capsys.readouterr()
    assert "going on with" in said.out and "was changed after it was measured" in said.out, said
    assert not (tmp_path / "ran").exists() and zipfile.is_zipfile(folder / "run.py")
    programs = [path.read_bytes() for path in (folder / "models").glob("*.torchscript")]
    assert runtime == "onnxruntime" or len(programs) == 6 and hostile.encode() not in programs
    (folder / "manifest.json").write_text(json.dumps({**manifest, "models": []}))
    make._remove_pack(folder)
    assert document.read_text() == "mine"


def test_a_link_in_the_folder_of_a_measurement_is_not_written_through(tmp_path, capsys):
    folder = tmp_path / "devices" / "here.measuring"
    folder.mkdir(parents=True)
    (tmp_path / "document").write_text("mine")
    (folder / "request.json").write_text(json.dumps({**asdict(make.Plan(threads=1)), "prior": None}))
    (folder / "run.py").symlink_to(tmp_path / "document")
    assert main(["device", "profile", "here", "--threads", "1"]) == 1
    assert "run.py is a symbolic link" in capsys.readouterr().err
    assert (tmp_path / "document").read_text() == "mine"


def test_a_pack_fills_the_empty_folder_where_the_user_is(tmp_path):
    assert main(["device", "pack", ".", "--count", "5", "--threads", "1", "--image-size", "64"]) == 0
    assert {path.name for path in Path().iterdir()} == {"manifest.json", "run.py", "models"}
    assert tmp_path.samefile(Path())


def test_a_profile_takes_its_name_from_where_the_results_lie(results_file):
    assert main(["device", "fit", str(results_file)]) == 0
    name = results_file.parent.name
    assert DeviceProfile.load(name).name == name


def test_list_names_a_file_that_is_no_profile_and_goes_on(board, tmp_path, capsys):
    (tmp_path / "devices").mkdir()
    (tmp_path / "devices" / "broken.json").write_text("{")
    board.save(tmp_path / "devices" / "board.json")
    assert main(["device", "list"]) == 0
    output = capsys.readouterr().out
    assert "devices/broken.json, line 1: not valid JSON" in output and "board" in output


class Meter:
    """Measures what a profile says, times a factor."""

    factor, version = 1.0, "1.0"

    def __init__(self, *settings, **options):
        self.reference_ms = 3.0

    def measure(self, model, image_size, images=None):
        class Latency:
            median_ms = self.figures.pop(0) * self.factor

        return Latency


@pytest.mark.parametrize(("factor", "status", "says"), [(1.02, 0, "is still true"), (1.3, 2, "is not true any more")])
def test_check(board, tmp_path, monkeypatch, capsys, factor, status, says):
    here = agent.accelerator_name(board.device)
    board.model_copy(update={"machine": here}).save(tmp_path / "board.json")
    values = sorted(m.latency_ms for m in board.measured)
    chosen = [values[round(i * (len(values) - 1) / (make.CHECKED - 1))] for i in range(make.CHECKED)]
    monkeypatch.setattr(Meter, "factor", factor)
    monkeypatch.setattr(Meter, "figures", chosen, raising=False)
    monkeypatch.setattr(make, "LatencyMeter", Meter)
    assert main(["device", "check", "board.json"]) == status
    output = capsys.readouterr().out
    assert f"typical change {100 * (factor - 1):.1f}%: the profile {says}" in output


def test_another_machine_s_profile_cannot_be_checked_here(board, tmp_path, capsys):
    board.save(tmp_path / "board.json")
    assert main(["device", "check", "board.json"]) == 1
    assert "profile board is of a made-up board; this machine is " in capsys.readouterr().err


def test_pack_writes_a_zip(tmp_path, capsys):
    options = ["--count", "5", "--image-size", "64", "--classes", "3"]
    assert main(["device", "pack", "board.zip", *options]) == 0
    output = capsys.readouterr().out
    assert "exported 6/6 models" in output and "`evoyolo device fit results.json --name NAME`" in output
    with zipfile.ZipFile(tmp_path / "board.zip") as archive:
        names = archive.namelist()
    assert {"run.py", "manifest.json", "models/reference.onnx"} <= set(names)
    assert sum(name.endswith(".onnx") for name in names) == 6
    assert main(["device", "pack", "board.zip", *options]) == 1
    assert "board.zip exists" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["pack", "x", "--runtime", "tflite"], "no runtime 'tflite'; there are ncnn, onnxruntime, openvino, pytorch"),
        (["pack", "x", "--on", "tpu"], "onnxruntime runs on cpu, cuda, tensorrt, not on 'tpu'"),
        (["pack", "x", "--runtime", "ncnn", "--precision", "INT8"], "ncnn is measured in FP32, FP16, not in INT8"),
        (["pack", "x", "--count", "2"], "count 2: must be 5 or more"),
        (["pack", "x", "--threads", "0"], "threads 0: must be 1 or more"),
        (["pack", "x", "--image-size", "100"], "image size must be a positive multiple of 32"),
        (["pack", "x", "--adapt-from", "none"], "no device profile 'none'"),
        (["profile", "x", "--on", "cuda"], "has no provider for 'cuda' here"),
        (["profile", "my board"], "profile name 'my board': must be letters, digits"),
        (["profile", "con"], "profile name 'con': names a device on Windows"),
        (["pack", "x", "--seed", "-1"], "seed -1: must be 0 or more"),
        (["pack", "x", "--classes", "0"], "num_classes 0: must be 1 or more"),
        (["pack", "x", "--precision", "FP16"], "onnxruntime runs these models in FP16 on tensorrt only, not on cpu"),
        (["fit", "none.json"], "none.json: cannot be read"),
        (["show", "none"], "no device profile 'none'"),
    ],
)
def test_wrong_input_is_one_line(tmp_path, capsys, arguments, message):
    assert main(["device", *arguments]) == 1
    error = capsys.readouterr().err
    assert message in error and error.startswith("evoyolo: ") and error.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_files_are_predicted_whoever_made_them(board, tmp_path, capsys):
    from evaluators.formats.onnx import export_onnx
    from search_spaces import build_model

    board.save(tmp_path / "board.json")
    architecture = YoloSpace().preset("yolov8-w1/16", image_size=64)
    export_onnx(build_model(architecture, board.num_classes), tmp_path / "mine.onnx", 64)
    assert main(["device", "predict", "board.json", "mine.onnx"]) == 0
    value, low, high = (float(figure[0]) for figure in board.predict([architecture]))
    said = capsys.readouterr().out.splitlines()
    assert said[0] == f"board: {board.protocol}"
    assert said[1].startswith(f"mine.onnx: {value:.3g} ms (90% interval {low:.3g} to {high:.3g}) at 64 x 64 px; ")
    export_onnx(build_model(architecture, 3), tmp_path / "large.onnx", 2048)
    assert main(["device", "predict", "board.json", "mine.onnx", "large.onnx"]) == 1
    assert "says nothing of 2048 x 2048 px; measure a profile there" in capsys.readouterr().err
