"""Compression step by step: every row is of the file that it names, what is done is kept, and what cannot be done is said."""

import csv
import json
import os
import signal
import subprocess
import sys
import time

import pytest
from PIL import Image

from evaluators import complexity
from evaluators.data import load_dataset
from evaluators.file_metrics import evaluate_file
from evaluators.training.checkpoint import checkpoint_architecture, load_checkpoint
from nas.cli.main import main
from nas.delivery.compress import COLUMNS, compress
from search_spaces import InputError

pytestmark = pytest.mark.slow

STEPS = [{"prune": {"ratio": 0.3, "multiple": 4}}, {"finetune": {"epochs": 1}}, "export", "quantise"]
OPTIONS = {"batch": 8, "runtimes": ()}


@pytest.fixture(scope="module")
def dataset(small_data):
    return load_dataset(small_data)


@pytest.fixture(scope="module")
def done(checkpoint, dataset, tmp_path_factory):
    """(folder, rows, what was said)"""
    folder, said = tmp_path_factory.mktemp("compressed") / "out", []
    return folder, compress(checkpoint, dataset, folder, STEPS, say=said.append, **OPTIONS), said


def test_every_row_is_of_its_own_file(done, checkpoint, dataset, tiny):
    folder, rows, said = done
    assert [row["step"] for row in rows] == ["untouched", "prune", "finetune", "export", "quantise"]
    assert rows[0]["file"] == str(checkpoint)
    assert [row["file"] for row in rows[1:]] == ["1-prune.pt", "2-finetune.pt", "3-export.onnx", "4-quantise.onnx"]
    for row in rows:
        path = checkpoint if row is rows[0] else folder / row["file"]
        found = evaluate_file(path, dataset, threads=1, image_size=64, with_latency=False)
        for name in ("map50_95", "map50", "params", "macs", "bytes", "zeros"):
            assert row[name] == pytest.approx(getattr(found, name)), (row["step"], name)
    assert rows[0]["params"] == complexity([tiny], dataset.num_classes).params[0]
    assert rows[2]["params"] == rows[1]["params"] < 0.9 * rows[0]["params"]
    assert rows[4]["bytes"] < 0.65 * rows[3]["bytes"] and rows[3]["macs"] == rows[1]["macs"] < rows[0]["macs"]
    pruned = checkpoint_architecture(folder / "2-finetune.pt")
    assert pruned.space.name == "yolo-pruned"
    assert complexity([pruned], dataset.num_classes).params[0] == rows[2]["params"]


def test_the_table_and_the_picture(done):
    folder, rows, said = done
    with open(folder / "steps.csv", newline="") as stream:
        table = list(csv.DictReader(stream))
    assert tuple(table[0]) == COLUMNS and [row["step"] for row in table] == [row["step"] for row in rows]
    assert json.loads((folder / "steps.json").read_text())["steps"] == rows
    assert Image.open(folder / "steps.png").format == "PNG"
    assert said[0].startswith("untouched: ") and said[1] == "step 1 of 4: prune"
    assert f"{rows[1]['macs'] / 1e6:,.0f} M MACs" in said[2]


def test_what_is_done_is_not_paid_for_again(done, checkpoint, dataset):
    folder, rows, _ = done
    written = {path: path.stat().st_mtime_ns for path in folder.rglob("*.pt")} | {
        path: path.stat().st_mtime_ns for path in folder.rglob("*.onnx")
    }
    assert compress(checkpoint, dataset, folder, STEPS, say=lambda text: None, **OPTIONS) == rows
    assert {path: path.stat().st_mtime_ns for path in written} == written
    other = [*STEPS[:2], "export", {"quantise": {"activations": "unsigned"}}]
    again = compress(checkpoint, dataset, folder, other, say=lambda text: None, **OPTIONS)
    assert again[:4] == rows[:4]


def test_a_pruned_model_is_a_model_like_any_other(done, small_data, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder, rows, _ = done
    model = str(folder / "2-finetune.pt")
    assert main(["export", model, "--format", "onnx", "--output", "shipped"]) == 0
    assert main(["show", model]) == 0
    assert f"{rows[2]['params']:,}" in capsys.readouterr().out
    command = [
        "compress",
        model,
        "--data",
        str(small_data),
        "--prune",
        "0.2",
        "--multiple",
        "2",
        "--no-latency",
        "--output",
        "less",
    ]
    assert main(command) == 0
    assert json.loads((tmp_path / "less" / "steps.json").read_text())["steps"][1]["params"] < rows[2]["params"]
    assert len(load_checkpoint(tmp_path / "less" / "1-prune.pt").names) == 4


def test_finished_steps_outlive_a_kill(checkpoint, small_data, tmp_path):
    command = [
        sys.executable,
        "-m",
        "nas.cli",
        "compress",
        str(checkpoint),
        "--data",
        str(small_data),
        "--prune",
        "0.3",
    ]
    command += [
        "--multiple",
        "4",
        "--finetune",
        "1",
        "--batch",
        "8",
        "--no-latency",
        "--threads",
        "1",
        "--output",
        str(tmp_path / "out"),
    ]
    environment = {**os.environ, "PYTHONPATH": os.getcwd(), "PYTHONUNBUFFERED": "1"}
    killed = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    for line in killed.stdout:
        if line.startswith("step 2 of 2"):
            time.sleep(0.5)
            break
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    pruned = (tmp_path / "out" / "work" / "pruned.pt").stat().st_mtime_ns
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert "  epoch 1 of 1, " in done.stdout  # while it trained, when the standard output was its log
    assert (tmp_path / "out" / "work" / "pruned.pt").stat().st_mtime_ns == pruned
    assert [row["step"] for row in json.loads((tmp_path / "out" / "steps.json").read_text())["steps"]] == [
        "untouched",
        "prune",
        "finetune",
    ]


def test_folders_of_others_are_left_alone(checkpoint, dataset, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="mine exists and is no folder of `evoyolo compress`; it is left as it is"):
        compress(checkpoint, dataset, tmp_path / "mine", STEPS, **OPTIONS)
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["notes.txt"]
    (tmp_path / "mine" / "work").mkdir()
    (tmp_path / "mine" / "steps.csv").write_text("mine")
    with pytest.raises(InputError, match="it is left as it is"):
        compress(checkpoint, dataset, tmp_path / "mine", STEPS, **OPTIONS)
    assert (tmp_path / "mine" / "steps.csv").read_text() == "mine"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "nothing is asked for: give --prune"),
        (["--prune", "0.3", "--to-macs", "1e6"], "are different targets; give one"),
        (["--to-latency-ms", "3"], "--to-latency-ms needs --device"),
        (["--prune", "1"], "prune: field ratio: 1.0: "),
        (["--prune", "0.3", "--multiple", "3"], "multiple 3: must be an even number from 2"),
        (["--to-macs", "10"], "MACs: 10 cannot be reached by taking channels out; "),
        (["--finetune", "0"], "finetune: field epochs: 0: "),
        (["--qat"], "--qat needs --finetune"),
        (["--teacher", "x.pt", "--prune", "0.3"], "--teacher needs --finetune"),
        (["--finetune", "1", "--teacher", "none.pt"], "none.pt: no such file"),
        (["--quantize", "fp16", "--max-drop", "0.1"], "--max-drop needs --quantize int8"),
        (["--rounds", "2", "--finetune", "1"], "--rounds needs a target such as --prune"),
        (["--recipe", "[finetune]", "--prune", "0.3"], "--recipe says all steps itself"),
        (["--recipe", "[finetune]", "--teacher", "x.pt"], "--teacher: --recipe says all steps itself"),
        (["--recipe", "finetune"], "must be a list of steps"),
        (["--recipe", "[{sparsify: {sparsity: 2}}]"], "sparsify: field sparsity: 2"),
    ],
)
def test_what_cannot_be_done(checkpoint, small_data, tmp_path, options, message, capsys):
    command = [
        "compress",
        str(checkpoint),
        "--data",
        str(small_data),
        "--no-latency",
        "--output",
        str(tmp_path / "out"),
    ]
    assert main([*command, *options]) == 1
    assert message in capsys.readouterr().err


def test_another_dataset(checkpoint, dataset, tmp_path):
    import dataclasses

    with pytest.raises(InputError, match="detects 4 classes, and the dataset .* has 2"):
        compress(checkpoint, dataclasses.replace(dataset, names=dataset.names[:2]), tmp_path / "out", STEPS, **OPTIONS)
