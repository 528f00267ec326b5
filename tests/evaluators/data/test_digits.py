"""The built-in dataset: disjoint originals, boxes that hold their digits, one copy however many ask for it."""

import hashlib
import subprocess
import sys

import numpy as np
import pytest

from evaluators.data import check_dataset, load_dataset
from evaluators.data.digits import DigitsSettings, compose, digits_yaml, split_originals
from evaluators.data.folders import whole_folder

SMALL = DigitsSettings(train=6, val=3)


def content(folder):
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.suffix != ".cache")
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def test_training_and_validation_digits_come_from_disjoint_originals():
    from sklearn.datasets import load_digits

    classes = load_digits().target
    train, val = split_originals(classes, DigitsSettings())
    assert not set(train) & set(val)
    assert len(train) + len(val) == (classes < 4).sum() and len(val) > 100
    assert set(classes[train]) == set(classes[val]) == {0, 1, 2, 3}


def test_same_settings_same_bytes_and_another_seed_other_scenes(tmp_path):
    first = content(digits_yaml(SMALL, tmp_path / "a").parent)
    assert first == content(digits_yaml(SMALL, tmp_path / "b").parent)
    other = content(digits_yaml(DigitsSettings(train=6, val=3, seed=1), tmp_path / "a").parent)
    assert not set(first.values()) & {digest for name, digest in other.items() if name.endswith(".png")}


def test_boxes_hold_ink_and_nothing_is_inked_outside_them():
    settings = DigitsSettings(clutter=0)
    blank = np.full((300, 300, 3), 128, np.uint8)
    strokes = np.zeros((1, 8, 8))
    strokes[0, 1:7, 3:5] = 16  # one upright bar
    for seed in range(20):
        scene, boxes = compose(np.random.default_rng(seed), strokes, np.array([3]), np.array([0]), [blank], settings)
        changed = (np.abs(scene.astype(int) - 128) > 40).any(axis=2)
        covered = np.zeros_like(changed)
        for label, x, y, w, h in boxes:
            x1, x2 = round((x - w / 2) * 96), round((x + w / 2) * 96)
            y1, y2 = round((y - h / 2) * 96), round((y + h / 2) * 96)
            assert label == 3 and 0 <= x1 < x2 <= 96 and 0 <= y1 < y2 <= 96
            inked = changed[y1:y2, x1:x2]
            assert inked.any(axis=0).mean() > 0.6 and inked.any(axis=1).mean() > 0.6  # tight
            covered[y1:y2, x1:x2] = True
        assert boxes and not (changed & ~covered).any()


@pytest.mark.slow
def test_processes_that_race_end_with_one_whole_dataset(tmp_path):
    code = (
        "from pathlib import Path; from evaluators.data.digits import *\n"
        f"print(digits_yaml(DigitsSettings(train=6, val=3), Path({str(tmp_path)!r})))"
    )
    racing = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    printed = {process.communicate()[0].strip() for process in racing}
    assert all(process.returncode == 0 for process in racing) and len(printed) == 1
    assert len(list(tmp_path.iterdir())) == 1
    assert check_dataset(load_dataset(printed.pop())).images == {"train": 6, "val": 3}


def test_it_is_made_once(tmp_path):
    path = digits_yaml(SMALL, tmp_path)
    before = path.stat().st_mtime_ns
    assert digits_yaml(SMALL, tmp_path) == path and path.stat().st_mtime_ns == before


def test_what_breaks_half_way_leaves_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt), whole_folder(tmp_path / "data") as temporary:
        (temporary / "data.yaml").write_text("half")
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("split", ["train", "val"])
def test_every_class_is_in_every_split_of_the_default(split):
    dataset = load_dataset("digits")
    labels = {
        line.split()[0] for p in (dataset.root / "labels" / split).iterdir() for line in p.read_text().splitlines()
    }
    assert labels == {"0", "1", "2", "3"}
