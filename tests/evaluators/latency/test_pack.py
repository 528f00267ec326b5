"""A pack for a board: exported here, run by a process that has nothing but numpy and a runtime, fitted here."""

import json
import subprocess
import sys

import numpy as np
import pytest

from evaluators.latency import agent
from evaluators.latency.pack import pack
from evaluators.latency.profile import DeviceProfile
from evaluators.latency.results import read_results
from search_spaces import YoloSpace

pytestmark = pytest.mark.slow

BRIEF = dict.fromkeys(("WARMUP_SECONDS", "MODEL_SECONDS", "USUAL_SECONDS", "WAIT_SECONDS"), 0.05)

# What a board does not have: importing any of it fails.
BARE = """
import sys
for name in ("torch", "torchvision", "ultralytics", "ray", "search_spaces", "evaluators", "nas", "pydantic", "onnx"):
    sys.modules[name] = None
import runpy
sys.argv = ["run.py", *{arguments!r}]
runpy.run_path({script!r}, run_name="__main__")
"""


@pytest.fixture(scope="module")
def packed(tmp_path_factory, alter_archive):
    """A pack of six small models whose runner takes less care than usual, and its progress lines."""
    folder, lines = tmp_path_factory.mktemp("pack"), []
    space = YoloSpace().restrict({"image_size": [64, 96]})
    architectures = [space.preset("yolov8-w1/16", image_size=size) for size in (64, 96)]
    architectures += [a.replace(p3_block="CSPPC") for a in architectures] + [
        a.replace(p4_down="HWD") for a in architectures
    ]
    pack(architectures, folder, threads=1, num_classes=3, progress=lines.append)
    alter_archive(folder / "run.py", {**BRIEF, "WIDEST": 50.0})
    return folder, architectures, lines


def run_bare(folder, *arguments):
    script = BARE.format(arguments=list(arguments), script=str(folder / "run.py"))
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=300, cwd=folder)


def test_a_pack_is_models_a_manifest_and_one_script(packed):
    folder, architectures, lines = packed
    assert {p.name for p in folder.iterdir()} == {"manifest.json", "run.py", "models"}
    assert {p.name for p in (folder / "models").iterdir()} == {f"{a.key}.onnx" for a in architectures} | {
        "reference.onnx"
    }
    manifest = json.loads((folder / "manifest.json").read_text())
    assert [m["name"] for m in manifest["models"]] == [a.key for a in architectures]
    assert len(lines) == 7 and lines[-1].startswith("exported 7/7 models, 0 s left")


def test_it_runs_where_nothing_else_is_and_makes_a_profile(packed, tmp_path):
    folder, architectures, _ = packed
    settings = ["--runtime", "onnxruntime", "--device", "cpu", "--precision", "FP32", "--threads", "1"]
    done = run_bare(folder, "--worker", "--folder", str(folder), *settings, "--output", str(tmp_path / "results.json"))
    assert done.returncode == 0, done.stderr
    assert "6/6" in done.stdout and "6 of 6 models measured" in done.stdout
    results = read_results(tmp_path / "results.json")
    assert {m.name for m in results.figures} == {a.key for a in architectures}
    profile = DeviceProfile.fit("board", results)
    assert profile.machine == agent.device_name() and profile.is_here() and profile.threads == 1
    assert profile.image_sizes == (64, 96) and profile.num_classes == 3


def test_int8_is_of_the_form_that_was_asked_for_and_the_runner_says_what_suits(packed, tmp_path, alter_archive):
    other = next(form for form in agent.ACTIVATIONS if form != agent.suiting_activations())
    images = np.random.default_rng(0).random((2, 3, 64, 64), dtype=np.float32)
    manifest = pack(
        packed[1][:1], tmp_path, precision="INT8", threads=1, num_classes=3, images=images, activations=other
    )
    assert manifest["activations"] == other
    alter_archive(tmp_path / "run.py", {**BRIEF, "WIDEST": 50.0})
    done = run_bare(tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"the INT8 files of this pack have {other} activations" in done.stdout
    assert f"--activations {agent.suiting_activations()}`" in done.stdout
    assert read_results(tmp_path / "results.json").activations == other


def test_other_precisions_than_the_pack_s_are_refused(packed):
    done = run_bare(packed[0], "--precision", "INT8")
    assert done.returncode == 1 and "the files of this pack are made for FP32; make another for INT8" in done.stderr
