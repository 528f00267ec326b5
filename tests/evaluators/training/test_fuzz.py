"""Fuzzed checkpoints: a network, or refused in one line."""

import io
import zipfile
from pathlib import Path

import pytest
from hypothesis import given

from evaluators.training import load_checkpoint
from tests.fuzzing import Tally, fuzzed, mutated_bytes

pytestmark = pytest.mark.slow

HONEST = Path(__file__).parents[2] / "data" / "checkpoint-0.1.0.pt"


def test_checkpoints(tmp_path):
    with zipfile.ZipFile(HONEST) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    (pickled,) = (name for name in entries if name.endswith("/data.pkl"))

    def packed(content):
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w") as archive:
            for name, whole in entries.items():
                archive.writestr(name, content if name == pickled else whole)
        return stream.getvalue()

    with Tally("checkpoint") as tally:

        @fuzzed
        @given(mutated_bytes(entries[pickled]).map(packed) | mutated_bytes(HONEST.read_bytes()))
        def check(content):
            tally.read(load_checkpoint, tmp_path / "best.pt", content)

        check()
