"""Shared by all tests: a small dataset, a small trained checkpoint, and a home that is not the user's."""

import json
import os
import tempfile
from pathlib import Path

import hypothesis
import pytest

# Before anything imports Ultralytics: its settings, and the caches of this package, stay out of the user's home.
_HOME = Path(tempfile.gettempdir()) / f"evoyolo-tests-{os.getuid()}"
os.environ["YOLO_CONFIG_DIR"] = str(_HOME / "ultralytics")
os.environ["EVOYOLO_CACHE"] = str(_HOME / "cache")
os.environ.setdefault("OMP_NUM_THREADS", "1")
(_HOME / "ultralytics").mkdir(parents=True, exist_ok=True)

# How long an example takes is the machine's doing, which other work may keep busy.
hypothesis.settings.register_profile("untimed", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("untimed")


@pytest.fixture(scope="session")
def small_data(tmp_path_factory):
    """data.yaml of 16 + 8 small digit scenes."""
    from evaluators.data.digits import DigitsSettings, digits_yaml

    settings = DigitsSettings(image_size=64, train=16, val=8, smallest=16, largest=32)
    return digits_yaml(settings, tmp_path_factory.mktemp("digits"))


@pytest.fixture(scope="session")
def tiny():
    """The smallest preset, with one block of this package in it, at 64 pixels."""
    from search_spaces import YoloSpace

    return YoloSpace().preset("yolov8-w1/16", image_size=64, p3_block="CSPPC", p4_down="HWD")


@pytest.fixture(scope="session")
def checkpoint(small_data, tiny, tmp_path_factory):
    """best.pt of `tiny` after one epoch on `small_data`."""
    from evaluators.data import load_dataset
    from evaluators.training import Fidelity, train

    return train(tiny, load_dataset(small_data), Fidelity(1), tmp_path_factory.mktemp("trained"), batch=8).checkpoint


def _made_up_latency(architectures, num_classes=80, noise=0.02, seed=0):
    """ms on a made-up device: random positive prices, and small images that pay a little more."""
    import numpy as np

    from evaluators.latency.features import TERMS, operator_work
    from evaluators.latency.work_model import WorkModel

    rng = np.random.default_rng(seed)
    prices = WorkModel.nominal() * np.exp(0.7 * rng.standard_normal(len(TERMS)))
    work = operator_work(architectures, num_classes)
    clean = work.table @ prices * (1 + 0.2 / (1 + np.sqrt(work.pixels) / 200))
    return clean * np.exp(noise * rng.standard_normal(len(clean)))


def _made_up_results(count=40, seed=0, **fields):
    """What run.py would write of `count` random architectures; `fields` replace its own."""
    import numpy as np

    from evaluators.latency import agent
    from evaluators.latency.measurement import reference_architecture
    from search_spaces import YoloSpace

    space, rng = YoloSpace(), np.random.default_rng(seed)
    architectures = [space.sample(rng) for _ in range(count)]
    reference = reference_architecture()
    reference_ms = float(_made_up_latency([reference], noise=0)[0])
    models = [
        {
            "name": a.key,
            "architecture": a.to_dict(),
            "image_size": [a["image_size"]] * 2,
            "files": {"onnx": f"{a.key}.onnx"},
        }
        for a in (reference, *architectures)
    ]
    measurements = []
    for a, latency_ms in zip(architectures, _made_up_latency(architectures)):
        ratio = float(latency_ms / reference_ms)
        figures = {"ratio": ratio, "ratio_q25": 0.99 * ratio, "ratio_q75": 1.02 * ratio, "raw_ms": float(latency_ms)}
        counts = {"rounds": 12, "repeats": 60, "warmup": 20}
        measurements.append({"name": a.key, "time": 1, "reference_ms": reference_ms, **figures, **counts})
    document = {
        "evoyolo_results": agent.VERSION,
        "manifest": "0123456789ab",
        "space": "yolo",
        "num_classes": 80,
        "machine": "a made-up board",
        "system": "Linux aarch64, Python 3.8.18",
        "runtime": "onnxruntime",
        "version": "1.0",
        "device": "cpu",
        "precision": "FP32",
        "threads": 4,
        "batch": 1,
        "timed": "network and box decoding, without NMS",
        "reference": models[0],
        "models": models[1:],
        "measurements": measurements,
        "expected_ms": reference_ms,
        "attempts": {},
        "repeated": [],
        **fields,
    }
    return {**document, "checksum": agent.checksum(document)}


@pytest.fixture(scope="session")
def made_up_latency():
    """The function (architectures) -> ms of a made-up device whose truth is known."""
    return _made_up_latency


@pytest.fixture(scope="session")
def made_up_results():
    """The function that makes the results document of that device."""
    return _made_up_results


@pytest.fixture(scope="session")
def results_file(tmp_path_factory):
    """results.json of 40 models on the made-up device."""
    path = tmp_path_factory.mktemp("board") / "results.json"
    path.write_text(json.dumps(_made_up_results()))
    return path


@pytest.fixture(scope="session")
def board(results_file):
    """The profile that those results make."""
    from evaluators.latency.profile import DeviceProfile
    from evaluators.latency.results import read_results

    return DeviceProfile.fit("board", read_results(results_file))


def pytest_collection_modifyitems(items):
    """What takes long begins first, so that the processes that share the files end together."""
    items.sort(key=lambda item: not (item.get_closest_marker("ray") or item.get_closest_marker("slow")))
