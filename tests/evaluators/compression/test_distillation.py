"""Distillation: what its losses are, which teachers fit, and that a training with one learns from it and survives a kill."""

import csv

import pytest
import torch

from evaluators.compression import distillation as module
from evaluators.compression.distillation import (
    GAINS,
    ON_MAPS,
    Distillation,
    Level,
    boxes,
    cwd,
    levels_of,
    pkd,
    response,
)
from evaluators.data import load_dataset
from evaluators.steps.taught import Method
from evaluators.training import Fidelity, load_checkpoint, train_long
from evaluators.training.yolov8 import DetectorTraining
from search_spaces import InputError, YoloSpace, build_model

LOSSES = {"response": response, "boxes": boxes}


def level(bins=4, classes=3, places=(4, 4), seed=0):
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.randn(shape, generator=generator)

    return Level(draw(2, 8, *places), draw(2, classes, 16), 1 + draw(2, 4 * bins, 16).abs())


def value(found):
    total, weight = found
    return float(total / weight)


@pytest.fixture(scope="module")
def dataset(small_data):
    return load_dataset(small_data)


@pytest.fixture(scope="module")
def teacher_file(dataset, tmp_path_factory):
    """A checkpoint of another neck, other widths and one level more than the students', with the dataset's classes."""
    architecture = YoloSpace().preset("light-recipe", image_size=64)
    return saved(build_model(architecture, dataset.num_classes, dict(enumerate(dataset.names))), tmp_path_factory)


def saved(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("teacher") / "teacher.pt"
    torch.save({"model": model.half()}, path)
    return path


@pytest.mark.parametrize("method", LOSSES)
def test_who_answers_as_the_teacher_does_loses_nothing(method):
    assert value(LOSSES[method](level(), level(), 2.0)) == pytest.approx(0, abs=1e-5)
    near = level()
    near = Level(near.features, near.scores + 0.1, near.boxes + torch.linspace(0, 0.3, 16).view(1, 16, 1))
    assert 0 < value(LOSSES[method](near, level(), 2.0)) < value(LOSSES[method](level(seed=1), level(), 2.0))


@pytest.mark.parametrize("loss", [cwd, pkd])
def test_maps_are_compared_channel_by_channel(loss):
    maps, others = level().features, level(seed=1).features
    assert value(loss(maps, maps, 1.0)) == pytest.approx(0, abs=1e-5)
    assert value(loss(others, maps, 1.0)) > 0.1
    assert value(loss(maps.flip(1), maps, 1.0)) > 0.1


def test_the_response_is_that_of_its_formula():
    student, teacher, t = level(), level(seed=1), 3.0
    p, q = (teacher.scores / t).sigmoid(), (student.scores / t).sigmoid()
    divergence = p * (p / q).log() + (1 - p) * ((1 - p) / (1 - q)).log()
    total, weight = response(student, teacher, t)
    assert float(total) == pytest.approx(float(divergence.sum()) * t**2, rel=1e-4)
    assert float(weight) == pytest.approx(float(teacher.scores.sigmoid().amax(1).sum()))


def test_heads_of_other_bins_are_compared_by_their_boxes():
    student, teacher = level(bins=1), level(bins=8)
    assert 0 < value(boxes(student, teacher, 1.0)) < 1
    same = Level(student.features, student.scores, teacher.distances)
    assert value(boxes(same, teacher, 1.0)) == pytest.approx(0, abs=1e-4)


def test_a_head_gives_the_same_levels_in_training_and_in_evaluation(tiny):
    model, image = build_model(tiny, 3).eval(), torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        judged = levels_of(model(image), model.model[-1])
        model.model[-1].training = True  # its normalisations stay as they are
        trained = levels_of(model(image), model.model[-1])
    assert list(judged) == [8, 16, 32] == list(trained)
    for stride in judged:
        assert torch.equal(judged[stride].scores, trained[stride].scores)
        assert judged[stride].scores.shape == (1, 3, (64 // stride) ** 2)
        assert judged[stride].distances.shape == (1, 4, (64 // stride) ** 2)


@pytest.mark.slow
@pytest.mark.parametrize("methods", [("response", "boxes"), ("cwd", "pkd")])
def test_any_neck_teaches_any_other(methods, tiny, dataset, teacher_file, tmp_path):
    extension = Distillation(teacher_file, methods)
    before = {name: tensor.clone() for name, tensor in extension.teacher.state_dict().items()}
    result = train_long(tiny, dataset, Fidelity(2), tmp_path, extensions=[extension], batch=8, threads=1)
    assert all(torch.equal(tensor, before[name]) for name, tensor in extension.teacher.state_dict().items())
    student = load_checkpoint(result.checkpoint)
    assert student.state_dict().keys() == build_model(tiny, dataset.num_classes).state_dict().keys()
    alone = tmp_path / "alone.pt"
    torch.save({"model": student.half()}, alone)
    assert result.checkpoint.stat().st_size < alone.stat().st_size + 20_000  # nothing of the teacher is in it
    with open(tmp_path / "results.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    for method in methods:
        assert all(float(row[f"train/teacher_{method}"]) > 0 for row in rows)
        assert f"val/teacher_{method}" not in rows[0]
    assert float(rows[1]["val/cls_loss"]) > 0


@pytest.mark.slow
def test_a_student_comes_to_answer_as_its_teacher_does(tiny, dataset, teacher_file, tmp_path):
    """With a gain that drowns the labels, its answers are nearer to the teacher's than what the labels alone leave."""
    images = torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    teacher = load_checkpoint(teacher_file)

    def distance(name, **options):
        options |= {"batch": 4, "threads": 1}
        model = load_checkpoint(train_long(tiny, dataset, Fidelity(4), tmp_path / name, **options).checkpoint)
        with torch.no_grad():
            ours, theirs = (levels_of(each(images), each.model[-1]) for each in (model, teacher))
        return sum(value(response(ours[stride], theirs[stride], 1.0)) for stride in ours)

    taught = Distillation(teacher_file, ["response"], gains={"response": 100.0})
    assert distance("taught", extensions=[taught]) < 0.8 * distance("plain")


@pytest.mark.slow
def test_one_that_is_killed_ends_like_one_that_was_not(tiny, dataset, teacher_file, tmp_path, monkeypatch):
    def trained(directory):
        options = {"batch": 8, "threads": 1, "extensions": [Distillation(teacher_file, ["cwd", "response"])]}
        return load_checkpoint(train_long(tiny, dataset, Fidelity(4), directory, **options).checkpoint).state_dict()

    whole, save = trained(tmp_path / "whole"), DetectorTraining.save_state

    def saving(trainer, *args, **kwargs):
        save(trainer, *args, **kwargs)
        if trainer.epoch == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(DetectorTraining, "save_state", saving)
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "cut")
    monkeypatch.undo()
    again = trained(tmp_path / "cut")
    assert all(torch.equal(whole[name], again[name]) for name in whole)


def test_teachers_that_do_not_fit_are_named(dataset, tiny, tmp_path, tmp_path_factory):
    with pytest.raises(InputError, match="no such file"):
        Distillation(tmp_path / "none.pt")
    other = saved(build_model(tiny, 2, {0: "cat", 1: "dog"}), tmp_path_factory)
    with pytest.raises(
        InputError, match=r"detects cat and dog \(2 classes\), and the student .* only cwd and pkd do not"
    ):
        Distillation(other).check(dataset.names, [8, 16, 32])
    Distillation(other, ["cwd"]).check(dataset.names, [8, 16, 32])
    with pytest.raises(InputError, match="levels of stride 8, 16 and 32, and the student 4; they need one in common"):
        Distillation(other, ["pkd"]).check(dataset.names, [4])
    with pytest.raises(InputError, match="'attention' is no method|attention is no method"):
        Distillation(other, ["attention"])


def test_classes_in_another_order_are_put_in_order(dataset, tiny, tmp_path_factory):
    """The teacher is the student with its classes turned round: nothing is left to learn from its answers."""
    names = list(dataset.names)
    model = build_model(tiny, len(names), dict(enumerate(names))).eval()
    for branch in model.model[-1].cv3:  # scores of their own for every class
        branch[-1].bias.data += torch.linspace(0, 3, len(names))
    turned = build_model(tiny, len(names), dict(enumerate(reversed(names)))).eval()
    turned.load_state_dict(model.state_dict())
    for branch in turned.model[-1].cv3:
        for tensor in (branch[-1].weight, branch[-1].bias):
            tensor.data = tensor.data.flip(0)
    extension = Distillation(saved(turned, tmp_path_factory), ["response"])

    class Trainer:
        device = torch.device("cpu")
        data = {"names": dict(enumerate(names))}

    trainer = Trainer()
    trainer.model = model
    extension.begin(trainer)
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        answers = levels_of(model(images), model.model[-1])
    assert float(trainer.model._losses(images, answers)["teacher_response"]) < 1e-3
    trainer.model._order = None
    assert float(trainer.model._losses(images, answers)["teacher_response"]) > 0.1


def test_the_methods_of_the_step_are_those_that_there_are():
    assert set(Method.__args__) == set(GAINS) == {
        *LOSSES,
        *ON_MAPS,
    } and module._OF_ANSWERS.keys() | module._OF_MAPS.keys() == set(GAINS)
