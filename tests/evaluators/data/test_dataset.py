"""Loading datasets: what Ultralytics understands is understood, and what is wrong is named."""

import subprocess
import sys

import pytest

from evaluators.data import DatasetError, check_dataset, load_dataset


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("names: [a\ntrain: x", "line 2: not valid YAML"),
        ("train: images/train\nval: images/val\n", "names must list the classes"),
        ("train: images/train\nval: images/val\nnames: {0: a, 2: b}\n", "names must list the classes"),
        ("train: images/train\nval: images/val\nnames: [a]\nnc: 2\n", "nc is 2 but names has 1"),
        ("train: images/train\nnames: [a]\n", "val must name a folder"),
        ("train: nowhere\nval: images/val\nnames: [a]\n", "train names .*nowhere, which is neither a folder"),
        ("[1]", "must hold the fields"),
        ("train: images/train\nval: images/val\nnames: {0: a, x: b}\n", "names must list the classes"),
        ("train: images/train\nval: images/val\nnames: [a, b, a]\n", "names has 'a' more than once"),
        ("[" * 1100, "not valid YAML"),
        (
            "path: nowhere\ntrain: images/train\nval: images/val\nnames: [a]\n",
            "path names nowhere, but there is no folder",
        ),
        ("names: !!python/object/apply:os.getcwd []\n", "line 1: not valid YAML"),
    ],
)
def test_wrong_data_files_are_named(tmp_path, text, message, write_yolo):
    path = write_yolo(tmp_path)
    path.write_text(text)
    with pytest.raises(DatasetError, match=message):
        load_dataset(path)


def test_lists_of_images_are_a_split(tmp_path, write_yolo):
    path = write_yolo(tmp_path)
    (tmp_path / "train.txt").write_text("./images/train/one.png\n\nnotes.md\n", encoding="utf-8-sig")
    path.write_text("train: train.txt\nval: images/val\nnames: [a, b]\n")
    assert check_dataset(load_dataset(path)).images == {"train": 1, "val": 1}


def test_the_home_of_nobody_is_a_name_like_any_other(tmp_path, write_yolo):
    path = write_yolo(tmp_path)
    (tmp_path / "train.txt").write_text("./images/train/one.png\n~nobody-of-that-name/one.png\n")
    path.write_text("train: train.txt\nval: images/val\nnames: [a, b]\n")
    with pytest.raises(DatasetError, match="~nobody-of-that-name/one.png"):
        check_dataset(load_dataset(path))


@pytest.mark.parametrize(
    "text",
    [
        "train: ../images/train\nval: ../images/val\nnames: [a, b]\n",  # Roboflow's
        "train: images/train\nvalidation: images/val\nnames: [a, b]\n",
        "path: elsewhere\ntrain: images/train\nval: images/val\nnames: [a, b]\n",  # of the working directory
        "train: images/train\nval: [images/val]\nnames: {0: a, 1: b}\ndownload: raise SystemExit\n",
    ],
)
def test_what_ultralytics_understands_is_understood(tmp_path, monkeypatch, text, write_yolo):
    path = write_yolo(tmp_path / "work" / "elsewhere")
    monkeypatch.chdir(tmp_path / "work")
    if "elsewhere" in text:
        path = tmp_path / "data.yaml"
    path.write_text(text, encoding="utf-8-sig")
    dataset = load_dataset(path)
    assert check_dataset(dataset).images == {"train": 1, "val": 1}
    assert dataset.val == (tmp_path / "work" / "elsewhere" / "images" / "val" / "one.png",)


def test_hidden_files_are_no_images(tmp_path, write_yolo):
    path = write_yolo(tmp_path)
    (tmp_path / "images" / "train" / "._one.png").write_text("what macOS leaves in archives")
    assert check_dataset(load_dataset(path)).images == {"train": 1, "val": 1}


def test_what_is_no_dataset_is_named():
    with pytest.raises(DatasetError, match="a dataset is digits, a data.yaml, a folder that holds one, COCO json"):
        load_dataset("coco")
    with pytest.raises(DatasetError, match="none.yaml: cannot be read"):
        load_dataset("none.yaml")


def test_the_room_does_not_import_torch():
    """Commands that only look at datasets answer at once."""
    heavy = ("torch", "torchvision", "ultralytics", "onnx")
    code = f"import sys, evaluators; sys.modules.update(dict.fromkeys({heavy})); import evaluators.data"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
