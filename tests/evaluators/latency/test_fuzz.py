"""Fuzzed device profiles and results files: accepted, or refused in one line."""

import json

import numpy as np
import pytest
from hypothesis import given

from evaluators.latency import agent
from evaluators.latency.profile import DeviceProfile
from evaluators.latency.results import read_results
from search_spaces import YoloSpace
from tests.fuzzing import Tally, fuzzed, mutated_json

pytestmark = pytest.mark.slow

SPACE = YoloSpace()


@pytest.fixture
def small(made_up_results):
    """A results document of few models."""
    return made_up_results(8)


def seal(document):
    return {**document, "checksum": agent.checksum(document)} if isinstance(document, dict) else document


def test_profiles(tmp_path, small):
    (tmp_path / "results.json").write_text(json.dumps(small))
    profile = DeviceProfile.fit("board", read_results(tmp_path / "results.json"))
    architectures = [SPACE.preset("yolov8n", image_size=size) for size in (320, 640)]

    def look(path):
        profile = DeviceProfile.load(path)
        assert np.isfinite(profile.predict(architectures)).all()
        assert profile.protocol and profile.image_sizes
        profile.check_covers(SPACE)
        profile.elsewhere()

    with Tally("device profile") as tally:

        @fuzzed
        @given(mutated_json(json.loads(profile.to_json())))
        def check(content):
            tally.read(look, tmp_path / "board.json", content)

        check()


def test_results(tmp_path, small):
    """What is accepted as results makes a profile, or says in one line why not."""

    with Tally("results.json") as tally:

        @fuzzed
        @given(mutated_json(small, seal))
        def check(content):
            tally.read(lambda path: DeviceProfile.fit("board", read_results(path)), tmp_path / "results.json", content)

        check()
