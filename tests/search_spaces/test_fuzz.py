"""Fuzzed model files: accepted, or refused in one line."""

import pytest
from hypothesis import given

from search_spaces import YoloSpace, lower
from search_spaces.files import read_yaml
from search_spaces.models import load_yaml, save_yaml
from search_spaces.yaml_text import to_yaml
from tests.fuzzing import Tally, fuzzed, mutated_bytes, mutated_document

pytestmark = pytest.mark.slow


def test_model_files(tmp_path):
    path = tmp_path / "model.yaml"
    save_yaml(path, YoloSpace().preset("light-recipe"), 3, {0: "a", 1: "yes", 2: "1e3"})
    content = read_yaml(path)
    mutated = mutated_bytes(path.read_bytes()) | mutated_document(content).map(lambda made: to_yaml(made).encode())
    # most of a model file are its layers, which are Ultralytics' and not read here
    head = {name: content[name] for name in ("space", "key", "architecture", "nc", "names")}
    mutated |= mutated_document(head).map(lambda made: to_yaml(made).encode())

    def look(path):
        architecture, content = load_yaml(path)
        lower(architecture, content.get("nc", 80))

    with Tally("model.yaml") as tally:

        @fuzzed
        @given(mutated)
        def check(content):
            tally.read(look, path, content)

        check()
