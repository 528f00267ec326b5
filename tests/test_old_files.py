"""Files that version 0.1.0 wrote, before the rooms were moved, are read as they were meant."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from evaluators.latency.profile import DeviceProfile
from evaluators.latency.results import read_results
from evaluators.training.checkpoint import checkpoint_architecture, load_checkpoint
from nas import load_run, pick
from search_spaces import YoloSpace
from search_spaces.build import SearchedModel
from search_spaces.models import load_yaml

DATA = Path(__file__).parent / "data"


def test_a_checkpoint_with_all_our_blocks_gives_what_it_gave():
    model = load_checkpoint(DATA / "checkpoint-0.1.0.pt")
    kept = json.loads((DATA / "checkpoint-0.1.0.json").read_text())
    assert type(model) is SearchedModel
    image = torch.linspace(0, 1, 3 * 64 * 64).reshape(1, 3, 64, 64)
    with torch.no_grad():
        output = model(image)[0][0, :, ::7].flatten()
        model.fuse(verbose=False)
        fused = model(image)[0][0, :, ::7].flatten()
    expected = torch.tensor(kept["output"])
    assert torch.allclose(output, expected, rtol=1e-3, atol=1e-4) and expected.std() > 1
    assert torch.allclose(fused, expected, rtol=1e-2, atol=1e-2)
    architecture = checkpoint_architecture(DATA / "checkpoint-0.1.0.pt")
    assert architecture.key == kept["key"] and architecture["p3_block"] == "CSPPC" and architecture["neck"] == "AFPN"


@pytest.mark.slow
def test_ultralytics_loads_that_checkpoint():
    import numpy as np
    from ultralytics import YOLO

    found = YOLO(DATA / "checkpoint-0.1.0.pt").predict(np.zeros((64, 64, 3), "uint8"), imgsz=64, verbose=False)
    assert len(found) == 1


def test_a_model_file():
    architecture, content = load_yaml(DATA / "model-0.1.0.yaml")
    assert architecture.key == content["key"] and architecture["p2_down"] == "HWD" and content["nc"] == 4


@pytest.fixture
def run(tmp_path):
    return Path(shutil.copytree(DATA / "run-0.1.0", tmp_path / "run"))


def test_a_run(run):
    opened = load_run(run)
    assert len(opened.evaluations) == 4 and opened.complete and opened.max_evaluations == 4
    assert isinstance(opened.space, YoloSpace) and all(e.metrics["params"] > 0 for e in opened.evaluations)
    front = json.loads((run / "front.json").read_text())["front"]
    assert {e.key for e in opened.front} == {entry["key"] for entry in front}
    fastest = min(opened.front, key=lambda e: e.metrics["latency_ms"])
    bound = 1.001 * fastest.metrics["latency_ms"]
    assert pick(run, max_latency_ms=bound).key == fastest.key


def test_a_results_file_makes_a_profile_and_a_profile_predicts():
    kept = DeviceProfile.load(DATA / "profile-0.1.0.json")
    fitted = DeviceProfile.fit("board", read_results(DATA / "results-0.1.0.json"))
    space = YoloSpace()
    architectures = [space.sample(seed) for seed in range(20)]
    for new, old in zip(fitted.predict(architectures), kept.predict(architectures)):
        # its prices are of a time when two concatenations in a row were counted as two
        assert new == pytest.approx(old, rel=1e-2)
    assert isinstance(kept.make_space(), YoloSpace)
