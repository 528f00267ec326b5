"""COCO mAP: exact on made-up detections, in step with Ultralytics' validator on a model."""

import copy
import dataclasses

import pytest
import torch

from evaluators.accuracy.coco import coco_map, detect, score_detections
from evaluators.data import coco_ground_truth, load_dataset
from evaluators.training.checkpoint import checkpoint_architecture, load_checkpoint
from search_spaces import InputError, YoloSpace


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
    for found in detect(load_checkpoint(checkpoint), dataset.val, 96, confidence=1e-4)[:200]:
        x, y, w, h = found["bbox"]
        assert 0 <= x <= x + w <= 64.01 and 0 <= y <= y + h <= 64.01


def test_it_agrees_with_ultralytics_own_validator(tmp_path):
    """On a model that has learnt something: trained on the images it is judged on."""
    from evaluators.data.digits import DigitsSettings, digits_yaml
    from evaluators.training import Fidelity, train

    easy = DigitsSettings(
        image_size=64, train=8, val=24, classes=1, fewest=1, most=2, smallest=24, largest=44, clutter=0
    )
    dataset = load_dataset(digits_yaml(easy, tmp_path))
    judged = dataclasses.replace(dataset, sources=dict.fromkeys(("train", "val"), dataset.sources["val"]))
    still = {"lr0": 0.003, "scale": 0.0, "translate": 0.0, "hsv_h": 0.0, "hsv_s": 0.0, "hsv_v": 0.0}
    architecture = YoloSpace().preset("yolov8-w1/8", image_size=64)
    result = train(architecture, judged, Fidelity(30), tmp_path / "trial", batch=4, settings=still)
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
