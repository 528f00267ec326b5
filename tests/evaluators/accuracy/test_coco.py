"""COCO mAP: exact on made-up detections, in step with Ultralytics' validator on a model."""

import copy

import pytest
import torch

from evaluators.accuracy import ModelPredictor, coco_map, detect, score_detections
from evaluators.data import coco_ground_truth, load_dataset
from evaluators.training.checkpoint import checkpoint_architecture, load_checkpoint
from search_spaces import InputError, YoloSpace

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def truth(small_data):
    return coco_ground_truth(load_dataset(small_data))


def perfect(truth):
    return [{k: a[k] for k in ("image_id", "category_id", "bbox")} | {"score": 0.9} for a in truth["annotations"]]


def test_perfect_detections_score_one_and_none_score_zero(truth):
    scores = score_detections(truth, perfect(truth))
    assert scores["map50_95"] == pytest.approx(1) and scores["map50"] == pytest.approx(1)
    assert all(value == pytest.approx(1) for value in scores.values())
    assert score_detections(truth, [])["map50_95"] == 0


def test_boxes_that_overlap_by_half_count_at_50_percent_only(truth):
    moved = copy.deepcopy(perfect(truth))
    for detection in moved:
        x, y, w, h = detection["bbox"]
        detection["bbox"] = [x, y, w * 0.55, h]  # intersection over union 0.55
    scores = score_detections(truth, moved)
    assert scores["map50"] > 0.9 and scores["map50_95"] == pytest.approx(scores["map50"] * 0.2, abs=0.02)


def test_the_wrong_class_scores_nothing(truth):
    wrong = [d | {"category_id": (d["category_id"] + 1) % 4} for d in perfect(truth)]
    assert score_detections(truth, wrong)["map50_95"] < 0.1


def test_boxes_return_to_the_original_image(small_data, checkpoint):
    dataset = load_dataset(small_data)
    for found in detect(ModelPredictor(load_checkpoint(checkpoint)), dataset.val, 96, confidence=1e-4)[:200]:
        x, y, w, h = found["bbox"]
        assert 0 <= x <= x + w <= 64.01 and 0 <= y <= y + h <= 64.01


def test_it_agrees_with_ultralytics_own_validator(learnt):
    result, dataset = learnt
    ours = coco_map(load_checkpoint(result.checkpoint), dataset, 64)
    assert result.metrics["map50_95"] > 0.5
    assert ours["map50_95"] == pytest.approx(result.metrics["map50_95"], abs=0.03)
    assert ours["map50"] == pytest.approx(result.metrics["map50"], abs=0.03)


def test_checkpoints_name_their_architecture(checkpoint, tiny, tmp_path):
    assert checkpoint_architecture(checkpoint, YoloSpace()) == tiny
    (tmp_path / "text.pt").write_text("not a checkpoint")
    torch.save({"model": torch.nn.Linear(2, 2)}, tmp_path / "linear.pt")
    from ultralytics.nn.tasks import DetectionModel

    torch.save({"model": DetectionModel("yolov8n.yaml", nc=1, verbose=False)}, tmp_path / "theirs.pt")
    for name, message in (
        ("none.pt", "no such file"),
        ("text.pt", "not a checkpoint that Ultralytics wrote"),
        ("linear.pt", "holds a Linear, not a detection model"),
        ("theirs.pt", "was not made by evoyolo"),
    ):
        with pytest.raises(InputError, match=f"{name}: .*{message}"):
            checkpoint_architecture(tmp_path / name, YoloSpace())
