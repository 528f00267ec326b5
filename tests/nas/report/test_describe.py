"""What a user calls an architecture by, as far as the command's tests do not say it."""

from pathlib import Path

import pytest
import torch

from nas.report import describe
from search_spaces import InputError, build_model

CHECKPOINT = Path(__file__).parents[2] / "data" / "checkpoint-0.1.0.pt"


def test_a_checkpoint_is_read_once(monkeypatch):
    read, load = [], describe.load_checkpoint
    monkeypatch.setattr(describe, "load_checkpoint", lambda path, **options: read.append(path) or load(path, **options))
    architecture, num_classes = describe.find_architecture(str(CHECKPOINT))
    model = load(CHECKPOINT)
    assert read == [str(CHECKPOINT)] and num_classes == len(model.names)
    assert architecture.network_values() == model.yaml["architecture"]


def test_a_checkpoint_of_someone_else_s_network_is_named(tiny, tmp_path):
    model = build_model(tiny, 2)
    model.yaml = {}
    torch.save({"model": model}, tmp_path / "theirs.pt")
    with pytest.raises(InputError, match=r"theirs\.pt: this model was not made by evoyolo"):
        describe.find_architecture(str(tmp_path / "theirs.pt"))
