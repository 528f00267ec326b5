"""What a user calls an architecture by, as far as the command's tests do not say it."""

from pathlib import Path

import pytest
import torch

from evaluators.training import checkpoint
from nas.report import describe
from search_spaces import InputError, build_model

CHECKPOINT = Path(__file__).parents[2] / "data" / "checkpoint-0.1.0.pt"


def test_a_checkpoint_is_read_once(monkeypatch):
    read, read_pickle = [], checkpoint.read_pickle
    monkeypatch.setattr(
        checkpoint, "read_pickle", lambda path, **options: read.append(path) or read_pickle(path, **options)
    )
    architecture, num_classes = describe.find_architecture(str(CHECKPOINT))
    assert read == [CHECKPOINT]
    model = checkpoint.load_checkpoint(CHECKPOINT)
    said = {**model.yaml["architecture"], "afpn_depth": 4}  # it is from before AFPN had a choice of it
    assert architecture.network_values() == said and num_classes == len(model.names)


def test_a_checkpoint_of_someone_else_s_network_is_named(tiny, tmp_path):
    model = build_model(tiny, 2)
    model.yaml = {}
    torch.save({"model": model}, tmp_path / "theirs.pt")
    with pytest.raises(InputError, match=r"theirs\.pt: this model was not made by evoyolo"):
        describe.find_architecture(str(tmp_path / "theirs.pt"))
