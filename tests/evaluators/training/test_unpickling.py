"""A checkpoint is a pickle from anywhere: it gives a network or one clear error, and never runs anything."""

from __future__ import annotations

import ast
import io
import os
import pickle
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from ultralytics.cfg import get_cfg
from ultralytics.nn.tasks import DetectionModel
from ultralytics.utils.loss import v8DetectionLoss

from evaluators.accuracy.detections import open_predictor
from evaluators.training import load_checkpoint
from evaluators.training.unpickling import read_pickle
from nas.cli.main import main
from search_spaces import InputError, build_model
from search_spaces.models import architecture_of

ROOT = Path(__file__).parents[3]


class Call:
    """Pickles as a call of a function."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


class Foreign(nn.Identity):
    """A module of someone else's."""


def network(tiny: Any, **attributes: Any) -> nn.Module:
    """A network with attributes that it has not by itself, the deepest of its layers too."""
    model = build_model(tiny, 2)
    for module in (model, list(model.modules())[-1]):
        module.__dict__.update(attributes)
    return model


def tar(content: Any) -> bytes:
    """PyTorch's oldest format, whose first part is enough."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name in ("storages", "tensors", "pickle"):
            data = pickle.dumps(content, 2)
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return stream.getvalue()


def checkpoints(tiny: Any, order: Call) -> dict[str, Any]:
    """Name -> bytes, or an object to be saved as a checkpoint is."""
    legacy = io.BytesIO()
    torch.save({"model": order}, legacy, _use_new_zipfile_serialization=False)
    return {
        "bare": order,
        "beside": {"model": network(tiny), "date": order},
        "inside": {"model": network(tiny, note=order)},
        "hook": {"model": network(tiny, _forward_pre_hooks={0: order})},
        "legacy": legacy.getvalue(),
        "tar": tar(order),
        "pickle": pickle.dumps(order),
    }


@pytest.mark.parametrize("kind", ["bare", "beside", "inside", "hook", "legacy", "tar", "pickle"])
@pytest.mark.parametrize("open_it", [load_checkpoint, open_predictor, lambda path: main(["show", str(path)])])
def test_no_code_of_a_checkpoint_is_run(kind: str, open_it: Any, tiny: Any, tmp_path: Path, capsys: Any) -> None:
    path, marker = tmp_path / "evil.pt", tmp_path / "ran"
    content = checkpoints(tiny, Call(os.system, f"touch {marker}"))[kind]
    path.write_bytes(content) if isinstance(content, bytes) else torch.save(content, path)
    try:
        assert open_it(path) == 1
        assert f"evoyolo: {path}: " in capsys.readouterr().err
    except InputError as error:
        assert str(error).startswith(f"{path}: ") and "\n" not in str(error)
    assert not marker.exists()


def test_on_trust_everything_is_run(tiny: Any, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    torch.save(checkpoints(tiny, Call(os.system, f"touch {marker}"))["inside"], tmp_path / "evil.pt")
    load_checkpoint(tmp_path / "evil.pt", trust=True)
    assert marker.exists()  # or the other tests would prove nothing


def test_the_model_files_of_a_checkpoint_are_not_evaluated(tmp_path: Path) -> None:
    # the constructor is on nobody's list of dangerous functions, and evaluates a text in its argument
    marker = tmp_path / "ran"
    content = {"activation": f"__import__('os').system('touch {marker}')", "nc": 1, "backbone": [], "head": []}
    torch.save({"model": Call(DetectionModel, content)}, tmp_path / "evil.pt")
    with pytest.raises(InputError, match="not a checkpoint"):
        load_checkpoint(tmp_path / "evil.pt")
    assert not marker.exists()


def test_what_is_foreign_is_named_and_loaded_on_trust(tiny: Any, tmp_path: Path) -> None:
    path = tmp_path / "foreign.pt"
    model = network(tiny)
    model.model[-1].extra = Foreign()
    torch.save({"model": model}, path)
    with pytest.raises(InputError, match=r"foreign\.pt: needs '.*Foreign', .*--trust"):
        load_checkpoint(path)
    assert type(load_checkpoint(path, trust=True).model[-1].extra).__name__ == "Foreign"
    assert main(["show", str(path)]) == 1
    assert main(["show", str(path), "--trust"]) == 0


def test_a_checkpoint_of_ultralytics_is_read_as_it_reads_it_itself(tmp_path: Path) -> None:
    model = DetectionModel("yolov8n.yaml", nc=3, verbose=False)
    model.args = {"imgsz": 64, "project": Path("runs")}
    rest = {"epoch": -1, "best_fitness": np.float64(0.25), "train_args": {"data": Path("a.yaml")}, "updates": None}
    torch.save({"model": None, "ema": model.half(), **rest}, tmp_path / "best.pt")
    ours = load_checkpoint(tmp_path / "best.pt")
    theirs = load_checkpoint(tmp_path / "best.pt", trust=True)
    assert type(ours) is type(theirs) is DetectionModel
    assert [type(module) for module in ours.modules()] == [type(module) for module in theirs.modules()]
    assert all(torch.equal(a, b) for a, b in zip(ours.state_dict().values(), theirs.state_dict().values()))
    assert read_pickle(tmp_path / "best.pt")["best_fitness"] == 0.25
    with pytest.raises(InputError, match="was not made by evoyolo"):
        architecture_of(ours)


@pytest.mark.parametrize("end2end", [False, True])
def test_a_checkpoint_that_was_not_stripped_is_read_without_its_loss(end2end: bool, tmp_path: Path) -> None:
    model = DetectionModel("yolo26n.yaml" if end2end else "yolov8n.yaml", nc=3, verbose=False)
    model.args = get_cfg()
    model.criterion = model.init_criterion()
    torch.save({"ema": model, "model": None, "epoch": 3}, tmp_path / "last.pt")
    ours = load_checkpoint(tmp_path / "last.pt")
    assert not hasattr(ours, "criterion")
    assert all(torch.equal(a, b) for a, b in zip(ours.state_dict().values(), model.state_dict().values()))
    assert type(ours.init_criterion()) is type(model.criterion)


def test_what_a_loss_would_be_called_with_is_not_run(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    for evil in (Call(v8DetectionLoss, Call(os.system, f"touch {marker}")), Call(v8DetectionLoss, "x")):
        torch.save({"model": evil}, tmp_path / "evil.pt")
        with pytest.raises(InputError):
            load_checkpoint(tmp_path / "evil.pt")
    assert not marker.exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a checkpoint"),
        (b"PK\x03\x04 and no more", "not a checkpoint"),
        ({"model": nn.Linear(2, 2)}, "holds a Linear, not a detection model"),
        ({"model": None}, "holds a NoneType"),
        ([1, 2], "holds a list"),
        ({"model": DetectionModel.__new__(DetectionModel)}, "damaged DetectionModel|not a checkpoint"),
    ],
)
def test_what_is_no_checkpoint_is_one_error(content: Any, message: str, tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    path.write_bytes(content) if isinstance(content, bytes) else torch.save(content, path)
    with pytest.raises(InputError, match=message):
        load_checkpoint(path)


def test_an_archive_that_grows_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bomb.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data.pkl", bytes(10**7))
    with pytest.raises(InputError, match="larger unpacked than packed"):
        load_checkpoint(tmp_path / "bomb.pt")


def test_torchscript_is_not_run(tmp_path: Path) -> None:
    torch.jit.script(nn.Linear(2, 2)).save(str(tmp_path / "script.pt"))
    with pytest.raises(InputError, match="not a checkpoint"):
        load_checkpoint(tmp_path / "script.pt")


def test_nothing_else_reads_pickles() -> None:
    readers = {("torch", "load"), ("pickle", "load"), ("pickle", "loads"), ("cloudpickle", "loads"), ("np", "load")}
    found = set()
    for package in ("search_spaces", "evaluators", "nas"):
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call):
                    called = ast.unparse(node.func)
                    if tuple(called.split(".")) in readers or called in ("torch_load", "YOLO"):
                        found.add(path.name)
    assert found == {"unpickling.py"}
