"""Training reads the images and boxes that were checked, runs nothing that lies in a dataset, and writes nothing there."""

import hashlib
import pickle

import numpy as np
import pytest
from PIL import Image

from evaluators.data import load_dataset
from evaluators.training import Fidelity, train
from evaluators.training.annotated_data import AnnotatedData


class Evil:
    def __reduce__(self):
        return (exec, (f"open({str(Evil.mark)!r}, 'w').close()",))


@pytest.fixture
def hostile(small_data, tmp_path):
    """A copy of the small dataset with what Ultralytics would run, remove or repair in place; (data.yaml, mark)."""
    import shutil

    root = tmp_path / "data"
    shutil.copytree(small_data.parent, root)
    Evil.mark = tmp_path / "it-ran"
    for cache in ("train.cache", "val.cache"):
        (root / "labels" / cache).write_bytes(pickle.dumps(Evil()))
    images = sorted((root / "images").rglob("*.png"))
    np.save(images[0].with_suffix(".npy"), np.array([Evil()], dtype=object), allow_pickle=True)
    images[-1].with_suffix(".npy").write_bytes(b"no array")
    for image in images[1:3]:  # as phones write them: something follows the picture
        photograph = image.with_suffix(".jpg")
        Image.open(image).save(photograph, quality=50)
        photograph.write_bytes(photograph.read_bytes() + b"SEFT" * 9)
        image.unlink()
    return root / small_data.name, Evil.mark


@pytest.mark.slow
def test_a_dataset_is_only_read(hostile, tiny, tmp_path):
    path, mark = hostile
    before = {p: hashlib.sha256(p.read_bytes()).hexdigest() for p in path.parent.rglob("*") if p.is_file()}
    train(tiny, load_dataset(path), Fidelity(1), tmp_path / "trial", batch=8)
    after = {p: hashlib.sha256(p.read_bytes()).hexdigest() for p in path.parent.rglob("*") if p.is_file()}
    assert before == after and not mark.exists()


@pytest.mark.parametrize(("fraction", "count"), [(1.0, 16), (0.5, 8), (0.01, 1), (5, 5), (500, 16)])
def test_a_fraction_takes_the_first_images(small_data, fraction, count):
    from ultralytics.utils import DEFAULT_CFG

    dataset = load_dataset(small_data)
    loader = AnnotatedData(
        dataset.annotated("train"), fraction=fraction, imgsz=64, hyp=DEFAULT_CFG, data=dataset.data_dict()
    )
    assert loader.im_files == [str(p) for p in dataset.train[:count]] and len(loader.labels) == count


def test_augmentations_of_a_package_that_may_be_installed_are_left_out(small_data):
    """With them, a seed would give other trainings on another machine."""
    from ultralytics.data.augment import Albumentations, v8_transforms
    from ultralytics.utils import DEFAULT_CFG

    dataset = load_dataset(small_data)
    options = {"imgsz": 64, "hyp": DEFAULT_CFG, "data": dataset.data_dict(), "augment": True, "batch_size": 4}
    loader = AnnotatedData(dataset.annotated("train"), **options)
    assert any(isinstance(each, Albumentations) for each in v8_transforms(loader, 64, DEFAULT_CFG).transforms)
    assert not any(isinstance(each, Albumentations) for each in loader.transforms.transforms)
    assert loader[0]["img"].shape == (3, 64, 64)


def test_what_travels_to_workers_is_the_arrays_alone(small_data):
    found = load_dataset(small_data).annotated("train")
    before = len(pickle.dumps(found))
    assert len(found.boxes) == len(found.crowds) == 16
    assert len(pickle.dumps(found)) == before
    assert [boxes.tolist() for boxes in pickle.loads(pickle.dumps(found)).boxes] == [b.tolist() for b in found.boxes]
